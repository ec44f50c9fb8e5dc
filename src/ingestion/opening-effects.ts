/**
 * What contracts mean that were there before we looked: imports of an active contract set, which a participant shows at the record time 0001-01-01, and the
 * opening balance that we take ourselves. What we know already changes nothing; what we do not know is an opening balance, never a deposit. Offers among them are
 * offers like any other: what they bring when they are accepted later is a deposit.
 */
import type { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { effectsOf, type Known, type UpdateEffects } from '../tokens/update-effects.ts';

/** @throws DecodeError as effectsOf does. */
export function openingEffects(transaction: Transaction, party: string, known: Known): UpdateEffects {
  const isKnown = (contractId: string) =>
    known.holding(contractId) !== undefined || known.instruction(contractId) !== undefined;
  const events = transaction.events.filter(
    ({ event }) => event?.$case !== 'created' || !isKnown(event.value.contractId),
  );
  const effects = effectsOf({ ...transaction, events }, party, known);
  return {
    ...effects,
    movements: effects.movements.map((movement) =>
      movement.kind === 'OFFER' ? movement : { ...movement, kind: 'OPENING', counterparty: null, memo: null },
    ),
  };
}

/** Contracts whose earlier life decides what an opening means. */
export function openedContracts(transaction: Transaction): readonly string[] {
  return transaction.events.flatMap(({ event }) => (event?.$case === 'created' ? [event.value.contractId] : []));
}
