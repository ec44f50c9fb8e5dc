/**
 * How a deposit is credited. A transfer that somebody sent to a treasury belongs to the account that its memo stands for, decided here, once, in the transaction
 * that stores the update. Without such an account it waits at the desk for a person; where deposits are screened it is held until the verdict. Offers are announced
 * when they appear and credit nobody before their acceptance is seen.
 */
import { sql } from 'kysely';
import { type AccountRef, houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { bookTransfer } from '../books/transfer-booking.ts';
import { isDeposit } from '../books/treasury-sink.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { ATTRIBUTION_COLUMNS } from './attribution-columns.ts';
import { announceDeposit } from './deposit-announcement.ts';
import { type Decision, decide, isCredit, type Known, type MemoRow } from './deposit-decision.ts';
import { followUp } from './deposit-follow-up.ts';
import { lockDeskCases } from './desk-case-rows.ts';
import { depositsWait, holdScreening } from './screening-mode.ts';
import { lockScreenings } from './screening-rows.ts';

type Decided = { readonly change: TransferChange; readonly decision: Decision };

/**
 * Whether deposits wait for the screening stands in the database, and is read with every batch.
 * @param screenedSince as `depositsWait` has it.
 */
export function createDepositSink({
  clock,
  screenedSince = null,
}: {
  readonly clock: Clock;
  readonly screenedSince?: Micros | null;
}): EffectSink {
  return {
    name: 'deposits',
    apply: async (tx, treasury, changes) => {
      const deposits = changes.filter(isDeposit);
      if (deposits.length === 0) return;
      const known = await readKnown(tx, treasury, deposits, screenedSince);
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
  screenedSince: Micros | null,
): Promise<Known> {
  // Only an offer has a past: a direct transfer is whole in one update, and costs no look-up.
  const begun = [...new Set(deposits.flatMap(({ isNew, transferId }) => (isNew ? [] : [transferId])))].sort();
  // Before the look for memos: that statement is to see what holds from here on.
  const own = await holdAndReadParties(tx, treasury.networkId);
  return {
    own,
    ...(await readMemos(tx, treasury, deposits, screenedSince)),
    cases: await lockDeskCases(tx, begun),
    screenings: await lockScreenings(tx, begun),
  };
}

/** Which parties are treasuries of ours (a transfer between two of them is no customer's), with the decision about the screening held: two things in one statement, since each batch pays for it. */
async function holdAndReadParties(tx: Transaction, networkId: number): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ party: string | null }>`
    SELECT t.party FROM (SELECT ${holdScreening(networkId)}) AS held LEFT JOIN treasury_party t ON t.network_id = ${networkId}`.execute(
    tx,
  );
  return new Set(rows.flatMap(({ party }) => party ?? []));
}

/** Again two questions in one. There is a row where no memo is known, too. */
async function readMemos(
  tx: Transaction,
  { networkId }: Treasury,
  deposits: readonly TransferChange[],
  screenedSince: Micros | null,
): Promise<Pick<Known, 'memos' | 'isScreening'>> {
  const wanted = [...new Set(deposits.flatMap(({ memo }) => memo ?? []))];
  const { rows } = await sql<{ isScreening: boolean } & (MemoRow | { id: null })>`
    SELECT mode.waits AS "isScreening", d.id, d.memo, d.account_id AS "accountId", a.owner, d.state
    FROM (SELECT ${depositsWait(sql`${networkId}::smallint`, screenedSince)} AS waits) AS mode
    LEFT JOIN (deposit_account d JOIN account a ON a.id = d.account_id) ON d.network_id = ${networkId} AND d.memo = ANY (${wanted}::text[])`.execute(
    tx,
  );
  const [first] = rows;
  assert(first !== undefined, 'The look for memos has a row at least.', { networkId });
  const memos = rows.flatMap((row) => (row.id === null ? [] : [[row.memo, row] as const]));
  return { memos: new Map(memos), isScreening: first.isScreening };
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
