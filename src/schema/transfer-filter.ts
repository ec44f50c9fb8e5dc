/** `TransferFilter`: which transfers a list shows, beside what its own arguments say. */
import type { Micros } from '../env/clock.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import type { TransferFilter } from '../read/transfer-filter.ts';
import { formatAmount } from '../tokens/amount.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { instrumentOfId } from './instrument.ts';

export const TransferFilterInput = builder.inputType('TransferFilter', {
  description: 'Which transfers: all that is given holds together. Since 0.1.',
  fields: (t) => ({
    memo: t.string({ description: 'Only with exactly this memo.' }),
    counterparty: t.string({
      description:
        'Only with this party id on the other side: the sender of what came in, the receiver of what went out.',
    }),
    instrument: t.id({ description: 'Only of this `Instrument`, by its global id.' }),
    amountMin: t.field({
      type: 'Decimal',
      description: 'Only of this amount or more, in units of the instrument, which has to be named with it.',
    }),
    amountMax: t.field({
      type: 'Decimal',
      description: 'Only of this amount or less, in units of the instrument, which has to be named with it.',
    }),
    from: t.field({ type: 'RecordTime', description: 'First seen at this record time or later.' }),
    before: t.field({ type: 'RecordTime', description: 'First seen before this record time.' }),
    updateId: t.string({ description: 'Only those that began or ended in this update of the ledger.' }),
    isAttributed: t.boolean({ description: 'True: only what is credited to a customer. False: only what is not.' }),
  }),
});

type Given = {
  readonly memo?: string | null | undefined;
  readonly counterparty?: string | null | undefined;
  readonly instrument?: string | null | undefined;
  readonly amountMin?: bigint | null | undefined;
  readonly amountMax?: bigint | null | undefined;
  readonly from?: Micros | null | undefined;
  readonly before?: Micros | null | undefined;
  readonly updateId?: string | null | undefined;
  readonly isAttributed?: boolean | null | undefined;
};

/** @returns null: nothing can be found. @throws GraphQLError ID_INVALID, FILTER_INVALID. */
export function transferFilterOf(
  given: Given,
): Omit<TransferFilter, 'treasury' | 'direction' | 'status' | 'kind' | 'account'> | null {
  const { memo = null, counterparty = null, amountMin, amountMax, updateId = null } = given;
  const instrument = instrumentOfId(given.instrument);
  if (instrument === null && (amountMin != null || amountMax != null)) {
    throw apiError('FILTER_INVALID', 'Amounts of several instruments do not compare: name the instrument.');
  }
  if (![memo, counterparty, updateId].every((text) => isStorableText(text ?? ''))) return null;
  return {
    memo,
    counterparty,
    instrument,
    amountMin: amountMin == null ? null : formatAmount(amountMin),
    amountMax: amountMax == null ? null : formatAmount(amountMax),
    from: given.from ?? null,
    before: given.before ?? null,
    updateId,
    isAttributed: given.isAttributed ?? null,
  };
}
