/**
 * Books every change of the holdings that is not a deposit: outgoing transfers, merges, mints, burns, and what nobody can explain. Deposits are booked by
 * their own sink; `isDeposit` divides the two, so that each change is booked once.
 */
import type { Transaction } from '../db/connection.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { type AccountRef, houseAccount, postEntries } from './journal.ts';
import { ownParties } from './own-parties.ts';
import { bookSuspended, bookTransfer } from './transfer-booking.ts';

/** Whether a change is of a transfer that somebody sent to us. */
export function isDeposit({ direction, kind }: TransferChange): boolean {
  return direction === 'IN' && (kind === 'DIRECT' || kind === 'OFFER');
}

export function createTreasurySink(): EffectSink {
  return {
    name: 'treasury',
    apply: async (tx: Transaction, treasury: Treasury, changes: readonly TransferChange[]) => {
      const ours = changes.filter((change) => !isDeposit(change) && moved(change));
      if (ours.length === 0) return;
      const own = await ownParties(tx, treasury.networkId);
      const entries = ours.map((change) => bookTransfer(change, treasury.party, counterpartOf(change, own)));
      await postEntries(tx, treasury.networkId, entries);
    },
    suspend: async (tx, treasury, changes) => {
      // Whose it is could not be decided; that the treasury has it is certain. Deposits as well: nobody else books these now.
      const entries = changes.map((change) => bookSuspended(change, treasury.party));
      await postEntries(tx, treasury.networkId, entries);
    },
  };
}

function moved(change: TransferChange): boolean {
  return change.holdingsDelta !== 0n || change.earlierHoldingsDelta !== 0n;
}

function counterpartOf(change: TransferChange, own: ReadonlySet<string>): { counter: AccountRef; fee?: bigint } {
  const total = change.earlierHoldingsDelta + change.holdingsDelta;
  switch (change.kind) {
    case 'MINT':
      return { counter: houseAccount('HOUSE') };
    case 'BURN':
      return { counter: houseAccount('FEES') };
    case 'MERGE':
      // Merging moves nothing; what is missing afterwards was charged for it.
      return { counter: houseAccount(total < 0n ? 'FEES' : 'UNEXPLAINED') };
    case 'OPENING':
      return { counter: houseAccount('OPENING') };
    case 'UNEXPLAINED':
      return { counter: houseAccount('UNEXPLAINED') };
    case 'DIRECT':
    case 'OFFER': {
      if (change.status !== 'COMPLETED') return { counter: houseAccount(total < 0n ? 'FEES' : 'UNEXPLAINED') };
      const isOwn = change.counterparty !== null && own.has(change.counterparty);
      const counter = houseAccount(isOwn ? 'BETWEEN_TREASURIES' : 'UNEXPLAINED');
      const fee = change.direction === 'OUT' && -total > change.amount ? -total - change.amount : 0n;
      return { counter, fee };
    }
  }
}
