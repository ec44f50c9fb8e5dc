/** An intent in the signer's protocol. Written out field by field: what is not listed here does not cross, and what is listed and missing is refused. */
import { z } from 'zod';
import { type Intent, isOfferIntent } from '../custody/intent.ts';
import type { OfferIntent } from '../custody/offer-intent.ts';
import type { RegistryImplementation, TransferIntent } from '../custody/transfer-intent.ts';
import { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount } from '../tokens/amount.ts';
import { amount, base64, bytes, micros, text, word } from './wire-values.ts';

const INPUTS_MAX = 100; // What a transfer may have.
const ENTRIES_MAX = 200; // Of metadata and of a choice context.
const VALUE_BYTES_MAX = 256 * 1024; // A context value is a contract id, a number, a list of a few.

const TRANSFER_KINDS = ['DIRECT', 'OFFER'] as const satisfies readonly TransferIntent['kind'][];
const END_KINDS = ['ACCEPT', 'REJECT', 'WITHDRAW'] as const satisfies readonly OfferIntent['kind'][];
const IMPLEMENTATIONS = [
  'SPLICE_AMULET',
  'UTILITY_REGISTRY',
  'OTHER',
] as const satisfies readonly RegistryImplementation[];

const inputs = z.array(z.strictObject({ contractId: word, amount })).max(INPUTS_MAX);

const meta = z
  .array(z.strictObject({ key: text, value: text }))
  .max(ENTRIES_MAX)
  .refine((entries) => new Set(entries.map(({ key }) => key)).size === entries.length, 'a key twice')
  .transform((entries): ReadonlyMap<string, string> => new Map(entries.map(({ key, value }) => [key, value])));

const ledgerValue = bytes(VALUE_BYTES_MAX).transform((encoded, context): Value => {
  try {
    const value = Value.decode(encoded);
    if (Buffer.compare(Value.encode(value).finish(), encoded) === 0) return value;
  } catch {
    // Said below.
  }
  context.addIssue({ code: 'custom', message: 'not a canonical Value message' });
  return z.NEVER;
});

const choiceContext = z
  .array(z.strictObject({ key: text, value: ledgerValue }))
  .max(ENTRIES_MAX)
  .refine((entries) => new Set(entries.map(({ key }) => key)).size === entries.length, 'a key twice')
  .transform((entries): ReadonlyMap<string, Value> => new Map(entries.map(({ key, value }) => [key, value])));

const common = {
  implementation: z.enum(IMPLEMENTATIONS),
  sender: word,
  receiver: word,
  instrument: z.strictObject({ admin: word, id: word }),
  amount,
  meta,
  requestedAt: micros,
  executeBefore: micros,
  choiceContext,
  commandId: word,
  synchronizerId: word,
  physicalSynchronizerId: word.nullable(),
  maxRecordTime: micros,
};

const transfer = z.strictObject({ ...common, kind: z.enum(TRANSFER_KINDS), inputs, factory: word });
const offerEnd = z.strictObject({
  ...common,
  kind: z.enum(END_KINDS),
  offer: word,
  inputHoldings: z.array(word).max(INPUTS_MAX),
  locked: inputs,
});

export const intentShape = z.discriminatedUnion('kind', [transfer, offerEnd]) satisfies z.ZodType<Intent>;
export type IntentJson = z.input<typeof intentShape>;

export function intentJson(intent: Intent): IntentJson {
  const shared = {
    implementation: intent.implementation,
    sender: intent.sender,
    receiver: intent.receiver,
    instrument: { admin: intent.instrument.admin, id: intent.instrument.id },
    amount: formatAmount(intent.amount),
    meta: [...intent.meta].map(([key, value]) => ({ key, value })),
    requestedAt: intent.requestedAt.toString(),
    executeBefore: intent.executeBefore.toString(),
    choiceContext: [...intent.choiceContext].map(([key, value]) => ({
      key,
      value: base64(Value.encode(value).finish()),
    })),
    commandId: intent.commandId,
    synchronizerId: intent.synchronizerId,
    physicalSynchronizerId: intent.physicalSynchronizerId,
    maxRecordTime: intent.maxRecordTime.toString(),
  };
  if (isOfferIntent(intent)) {
    const { kind, offer, inputHoldings, locked } = intent;
    return { ...shared, kind, offer, inputHoldings: [...inputHoldings], locked: inputsJson(locked) };
  }
  return { ...shared, kind: intent.kind, inputs: inputsJson(intent.inputs), factory: intent.factory };
}

const inputsJson = (list: TransferIntent['inputs']) =>
  list.map((input) => ({ contractId: input.contractId, amount: formatAmount(input.amount) }));
