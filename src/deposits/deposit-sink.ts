/**
 * How a deposit is credited. A transfer that somebody sent to a treasury belongs to the account that its memo stands for, decided here, once, in the transaction
 * that stores the update. Without such an account it waits at the desk for a person; with a screening service it is held until the verdict. Offers are announced
 * when they appear and credit nobody before their acceptance is seen.
 */
import { sql } from 'kysely';
import { type AccountRef, houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { ownParties } from '../books/own-parties.ts';
import { bookTransfer } from '../books/transfer-booking.ts';
import { isDeposit } from '../books/treasury-sink.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Clock } from '../env/clock.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { ATTRIBUTION_COLUMNS } from './attribution-columns.ts';
import { announceDeposit } from './deposit-announcement.ts';
import { type Decision, decide, isCredit, type Known, type MemoRow } from './deposit-decision.ts';
import { followUp } from './deposit-follow-up.ts';
import { lockDeskCases } from './desk-case-rows.ts';
import { lockScreenings } from './screening-rows.ts';

type Decided = { readonly change: TransferChange; readonly decision: Decision };

/** @param isScreening whether a screening service has to allow a deposit before it is credited. */
export function createDepositSink({
  clock,
  isScreening = false,
}: {
  readonly clock: Clock;
  readonly isScreening?: boolean;
}): EffectSink {
  return {
    name: 'deposits',
    apply: async (tx, treasury, changes) => {
      const deposits = changes.filter(isDeposit);
      if (deposits.length === 0) return;
      const known = await readKnown(tx, treasury, deposits, isScreening);
      const decided = deposits.map((change): Decided => ({ change, decision: decide(change, known) }));
      const nowMicros = clock.nowMicros();

      await writeAttributions(tx, decided);
      await postEntries(
        tx,
        treasury.networkId,
        decided.map(({ change, decision }) =>
          bookTransfer(change, treasury.party, { counter: counterOf(change, decision) }),
        ),
      );
      await writeFollowUps(tx, treasury, decided, known, nowMicros);
      const events = decided.flatMap(({ change, decision }) => announceDeposit(change, decision, treasury));
      await appendEvents(
        tx,
        events.map((event) => ({ ...event, recordedAt: nowMicros })),
      );
    },
  };
}

async function readKnown(
  tx: Transaction,
  treasury: Treasury,
  deposits: readonly TransferChange[],
  isScreening: boolean,
): Promise<Known> {
  // Only an offer has a past: a direct transfer is whole in one update, and costs no look-up.
  const begun = [...new Set(deposits.flatMap(({ isNew, transferId }) => (isNew ? [] : [transferId])))].sort();
  return {
    own: await ownParties(tx, treasury.networkId),
    memos: await readMemos(tx, treasury, deposits),
    cases: await lockDeskCases(tx, begun),
    screenings: await lockScreenings(tx, begun),
    isScreening,
  };
}

async function readMemos(tx: Transaction, treasury: Treasury, deposits: readonly TransferChange[]) {
  const memos = [...new Set(deposits.flatMap(({ memo }) => memo ?? []))];
  const { rows } = await sql<MemoRow>`
    SELECT d.id, d.memo, d.account_id AS "accountId", a.owner, d.state
    FROM deposit_account d JOIN account a ON a.id = d.account_id
    WHERE d.network_id = ${treasury.networkId} AND d.memo = ANY (${memos}::text[])`.execute(tx);
  return new Map(rows.map((row) => [row.memo, row]));
}

function counterOf(change: TransferChange, decision: Decision): AccountRef {
  if (!isCredit(change)) return houseAccount('UNEXPLAINED'); // It ended, and brought nothing or took something: nobody's credit.
  switch (decision.kind) {
    case 'CREDITED':
      return { kind: 'CUSTOMER', owner: decision.owner.name };
    case 'HELD':
      return { kind: 'HELD', owner: decision.owner.name };
    case 'UNATTRIBUTED':
      return houseAccount('UNATTRIBUTED');
    case 'INTERNAL':
      return houseAccount('BETWEEN_TREASURIES');
  }
}

async function writeAttributions(tx: Transaction, decided: readonly Decided[]) {
  const rows = decided.flatMap(({ change, decision }) =>
    decision.kind === 'CREDITED' && isCredit(change)
      ? [
          {
            transfer_id: change.transferId,
            account_id: decision.owner.accountId,
            deposit_account_id: decision.owner.depositAccountId,
            decided_by: decision.owner.decidedBy,
            record_time: change.recordTime,
          },
        ]
      : [],
  );
  await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, rows);
}

/** What waits for a person or for a verdict from here on, and what waits no longer. */
async function writeFollowUps(
  tx: Transaction,
  treasury: Treasury,
  decided: readonly Decided[],
  known: Known,
  nowMicros: bigint,
): Promise<void> {
  const wanting = decided.filter(({ change, decision }) => isCredit(change) && decision.kind !== 'CREDITED');
  const funds =
    wanting.length === 0
      ? null
      : await openAccounts(
          tx,
          treasury.networkId,
          wanting.map(({ change, decision }) => counterOf(change, decision)),
        );
  const fundsOf = ({ change, decision }: Decided): bigint | null =>
    isCredit(change) && decision.kind !== 'CREDITED' ? (funds?.(counterOf(change, decision)) ?? null) : null;
  await followUp(
    tx,
    treasury,
    decided.map((one) => ({ ...one, funds: fundsOf(one) })),
    known,
    nowMicros,
  );
}
