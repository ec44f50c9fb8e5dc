/**
 * How a deposit is credited. A transfer that somebody sent to a treasury belongs to the account that its memo stands for, decided here, once, in the transaction
 * that stores the update; without such an account it waits, unattributed, for a person. Offers are announced when they appear and credit nobody before their
 * acceptance is seen.
 */
import { sql } from 'kysely';
import { type AccountRef, houseAccount, postEntries } from '../books/journal.ts';
import { ownParties } from '../books/own-parties.ts';
import { bookTransfer } from '../books/transfer-booking.ts';
import { isDeposit } from '../books/treasury-sink.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents, type EventDraft } from '../db/event-log.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Clock } from '../env/clock.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { formatAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_UNATTRIBUTED,
  type DepositCredited,
  type DepositUnattributed,
  OFFER_ENDED,
  OFFER_RECEIVED,
  type OfferPayload,
} from './deposit-events.ts';

type DepositAccountRow = {
  readonly id: string;
  readonly memo: string;
  readonly accountId: bigint;
  readonly owner: string;
};

/** Whom a completed deposit belongs to. */
type Decision =
  | { readonly kind: 'CREDITED'; readonly account: DepositAccountRow }
  | { readonly kind: 'UNATTRIBUTED'; readonly why: DepositUnattributed['why'] }
  /** From another treasury of ours: nobody's deposit. */
  | { readonly kind: 'INTERNAL' };

export function createDepositSink({ clock }: { readonly clock: Clock }): EffectSink {
  return {
    name: 'deposits',
    apply: async (tx, treasury, changes) => {
      const deposits = changes.filter(isDeposit);
      if (deposits.length === 0) return;
      const own = await ownParties(tx, treasury.networkId);
      const accounts = await accountsByMemo(tx, treasury, deposits);
      const decided = deposits.map((change) => ({ change, decision: decide(change, accounts, own) }));

      await writeAttributions(tx, decided);
      await postEntries(
        tx,
        treasury.networkId,
        decided.map(({ change, decision }) =>
          bookTransfer(change, treasury.party, { counter: counterOf(change, decision) }),
        ),
      );
      const recordedAt = clock.nowMicros();
      const events = decided.flatMap(({ change, decision }) => announce(change, decision, treasury));
      await appendEvents(
        tx,
        events.map((event) => ({ ...event, recordedAt })),
      );
    },
  };
}

function decide(
  change: TransferChange,
  accounts: ReadonlyMap<string, DepositAccountRow>,
  own: ReadonlySet<string>,
): Decision {
  if (change.counterparty !== null && own.has(change.counterparty)) return { kind: 'INTERNAL' };
  if (!change.instrument.isAccepted) return { kind: 'UNATTRIBUTED', why: 'INSTRUMENT_NOT_ACCEPTED' };
  if (change.memo === null || change.memo === '') return { kind: 'UNATTRIBUTED', why: 'NO_MEMO' };
  const account = accounts.get(change.memo);
  return account === undefined ? { kind: 'UNATTRIBUTED', why: 'UNKNOWN_MEMO' } : { kind: 'CREDITED', account };
}

function counterOf(change: TransferChange, decision: Decision): AccountRef {
  if (!isCredit(change)) return houseAccount('UNEXPLAINED'); // It ended, and brought nothing or took something: nobody's credit.
  switch (decision.kind) {
    case 'CREDITED':
      return { kind: 'CUSTOMER', owner: decision.account.owner };
    case 'UNATTRIBUTED':
      return houseAccount('UNATTRIBUTED');
    case 'INTERNAL':
      return houseAccount('BETWEEN_TREASURIES');
  }
}

async function accountsByMemo(tx: Transaction, treasury: Treasury, deposits: readonly TransferChange[]) {
  const memos = [...new Set(deposits.flatMap(({ memo }) => memo ?? []))];
  const { rows } = await sql<DepositAccountRow>`
    SELECT d.id, d.memo, d.account_id AS "accountId", a.owner
    FROM deposit_account d JOIN account a ON a.id = d.account_id
    WHERE d.network_id = ${treasury.networkId} AND d.memo = ANY (${memos}::text[])`.execute(tx);
  return new Map(rows.map((row) => [row.memo, row]));
}

const ATTRIBUTION_COLUMNS = {
  transfer_id: 'text',
  account_id: 'bigint',
  deposit_account_id: 'text',
  decided_by: 'text',
  record_time: 'bigint',
} as const;

async function writeAttributions(tx: Transaction, decided: readonly { change: TransferChange; decision: Decision }[]) {
  const rows = decided.flatMap(({ change, decision }) =>
    decision.kind === 'CREDITED' && isCredit(change)
      ? [
          {
            transfer_id: change.transferId,
            account_id: decision.account.accountId,
            deposit_account_id: decision.account.id,
            decided_by: 'memo',
            record_time: change.recordTime,
          },
        ]
      : [],
  );
  await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, rows);
}

/** Whether this change is the one that brings the money. */
function isCredit(change: TransferChange): boolean {
  return change.status === 'COMPLETED' && change.earlierHoldingsDelta + change.holdingsDelta > 0n;
}

function announce(change: TransferChange, decision: Decision, treasury: Treasury): Omit<EventDraft, 'recordedAt'>[] {
  const event = (type: string, payload: EventDraft['payload']) => [
    { eventId: eventId(type, change.transferId, change.updateId), type, subject: change.transferId, payload },
  ];
  const common = {
    transferId: change.transferId,
    treasuryParty: treasury.party,
    instrument: { admin: change.instrument.admin, id: change.instrument.id },
    amount: formatAmount(isCredit(change) ? change.earlierHoldingsDelta + change.holdingsDelta : change.amount),
    memo: change.memo,
    sender: change.counterparty,
    updateId: change.updateId,
    recordTime: change.recordTime.toString(),
  };
  if (change.status === 'PENDING') {
    return change.isNew ? event(OFFER_RECEIVED, { ...common, status: change.status } satisfies OfferPayload) : [];
  }
  if (!isCredit(change)) return event(OFFER_ENDED, { ...common, status: change.status } satisfies OfferPayload);
  switch (decision.kind) {
    case 'CREDITED': {
      const { owner: account, id: depositAccountId } = decision.account;
      return event(DEPOSIT_CREDITED, { ...common, account, depositAccountId } satisfies DepositCredited);
    }
    case 'UNATTRIBUTED':
      return event(DEPOSIT_UNATTRIBUTED, { ...common, why: decision.why } satisfies DepositUnattributed);
    case 'INTERNAL':
      return [];
  }
}
