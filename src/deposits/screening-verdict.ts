/**
 * What a verdict does, once and in one transaction with its event: what was held is credited, or stays held and becomes a case at the desk. Of an offer that has
 * not been accepted yet only the verdict is kept: its acceptance is what brings the money.
 */
import { sql } from 'kysely';
import { type JournalLine, openAccounts, postEntries } from '../books/journal.ts';
import { lineOf } from '../books/transfer-booking.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents, type EventDraft } from '../db/event-log.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Micros } from '../env/clock.ts';
import { parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { ATTRIBUTION_COLUMNS } from './attribution-columns.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_DENIED,
  type DepositCredited,
  type DepositDenied,
  type DepositFacts,
} from './deposit-events.ts';
import { lockDeskCases, writeDeskCases } from './desk-case-rows.ts';
import type { ScreeningState } from './screening-rows.ts';

export type Verdict = {
  readonly kind: 'ALLOW' | 'DENY';
  /** The service's own name for its case. */
  readonly caseId: string | null;
  readonly reason: string | null;
};

/** @returns false where there is a verdict already, or nothing to judge any more: nothing was changed. */
export async function recordVerdict(
  tx: Transaction,
  transferId: string,
  verdict: Verdict,
  { by, nowMicros }: { readonly by: string; readonly nowMicros: Micros },
): Promise<boolean> {
  await lockDeskCases(tx, [transferId]);
  const row = await lockScreening(tx, transferId);
  if (row === null || (row.state !== 'WAITING' && row.state !== 'PARKED')) return false;
  await sql`
    UPDATE screening SET state = ${verdict.kind === 'ALLOW' ? 'ALLOWED' : 'DENIED'}, next_try_at = NULL, last_error = NULL,
      case_id = ${verdict.caseId}, reason = ${verdict.reason}, decided_at = ${nowMicros}, decided_by = ${by}
    WHERE transfer_id = ${transferId}`.execute(tx);
  await (verdict.kind === 'ALLOW' ? credit(tx, row, nowMicros) : deny(tx, row, verdict, nowMicros));
  return true;
}

type Row = {
  readonly transferId: string;
  readonly state: ScreeningState;
  readonly treasuryId: number;
  readonly treasuryParty: string;
  readonly networkId: number;
  readonly instrumentKey: number;
  readonly admin: string;
  readonly instrumentId: string;
  readonly accountId: bigint;
  readonly account: string;
  readonly depositAccountId: string | null;
  readonly ownerDecidedBy: string;
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: bigint;
  readonly held: string | null;
};

async function lockScreening(tx: Transaction, transferId: string): Promise<Row | null> {
  const { rows } = await sql<Row>`
    SELECT s.transfer_id AS "transferId", s.state, s.treasury_id AS "treasuryId", p.party AS "treasuryParty",
      p.network_id AS "networkId", s.instrument_id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId",
      s.account_id AS "accountId", a.owner AS account, s.deposit_account_id AS "depositAccountId",
      s.owner_decided_by AS "ownerDecidedBy", s.amount::text, s.memo, s.sender, s.update_id AS "updateId",
      s.record_time AS "recordTime", s.held::text
    FROM screening s JOIN treasury_party p ON p.id = s.treasury_id JOIN instrument i ON i.id = s.instrument_id
    JOIN account a ON a.id = s.account_id
    WHERE s.transfer_id = ${transferId} FOR UPDATE OF s`.execute(tx);
  return rows[0] ?? null;
}

async function credit(tx: Transaction, row: Row, nowMicros: Micros): Promise<void> {
  if (row.held === null) return;
  await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, [
    {
      transfer_id: row.transferId,
      account_id: row.accountId,
      deposit_account_id: row.depositAccountId,
      decided_by: row.ownerDecidedBy,
      record_time: row.recordTime,
    },
  ]);
  const lines: JournalLine[] = lineOf(
    row.instrumentKey,
    { kind: 'HELD', owner: row.account },
    { kind: 'CUSTOMER', owner: row.account },
    parseAmount(row.held),
  );
  await postEntries(tx, row.networkId, [
    {
      cause: `screening:${row.transferId}:allowed`,
      description: 'allowed by screening',
      recordTime: row.recordTime,
      lines,
    },
  ]);
  const payload: DepositCredited = {
    ...factsOf(row),
    account: row.account,
    depositAccountId: row.depositAccountId,
  };
  await appendEvents(tx, [eventOf(DEPOSIT_CREDITED, row, payload, nowMicros)]);
}

async function deny(tx: Transaction, row: Row, { caseId }: Verdict, nowMicros: Micros): Promise<void> {
  const accounts = await openAccounts(tx, row.networkId, [{ kind: 'HELD', owner: row.account }]);
  await writeDeskCases(tx, [
    {
      transferId: row.transferId,
      state: row.held === null ? 'OFFERED' : 'OPEN',
      why: 'DENIED',
      assigned: null,
      treasuryId: row.treasuryId,
      instrumentKey: row.instrumentKey,
      amount: row.held ?? row.amount,
      memo: row.memo,
      sender: row.sender,
      updateId: row.updateId,
      recordTime: row.recordTime,
      named: row.accountId,
      funds: row.held === null ? null : accounts({ kind: 'HELD', owner: row.account }),
    },
  ]);
  if (row.held === null) return;
  const payload: DepositDenied = {
    ...factsOf(row),
    account: row.account,
    depositAccountId: row.depositAccountId,
    caseId,
  };
  await appendEvents(tx, [eventOf(DEPOSIT_DENIED, row, payload, nowMicros)]);
}

function factsOf(row: Row): DepositFacts {
  return {
    transferId: row.transferId,
    treasuryParty: row.treasuryParty,
    instrument: { admin: row.admin, id: row.instrumentId },
    amount: row.held ?? row.amount,
    memo: row.memo,
    sender: row.sender,
    updateId: row.updateId,
    recordTime: row.recordTime.toString(),
  };
}

function eventOf(type: string, row: Row, payload: EventDraft['payload'], recordedAt: Micros): EventDraft {
  return {
    eventId: eventId(type, row.transferId, row.updateId),
    type,
    subject: row.transferId,
    payload,
    recordedAt,
  };
}
