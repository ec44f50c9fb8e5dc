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
import { assert } from '../env/errors.ts';
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
import { type DepositPlace, lockPlace } from './deposit-place.ts';
import { writeDeskCases } from './desk-case-rows.ts';
import { isSentBack, type PaidRefunds } from './sent-back.ts';

export type Verdict = {
  readonly kind: 'ALLOW' | 'DENY';
  /** The service's own name for its case. */
  readonly caseId: string | null;
  readonly reason: string | null;
};

/**
 * RECORDED.
 * NOT_ASKED: there is a verdict already, nothing to judge any more, or it is about another customer now. Nothing was changed.
 * PARKED: allowed, and what was held is not what the transfer, as it is derived now, brought, or the ledger shows that it was sent back. Nothing is credited before people have looked.
 */
export type RecordedVerdict = 'RECORDED' | 'NOT_ASKED' | 'PARKED';

/**
 * @param about.account the customer that the question named.
 * @param about.refunds of this installation.
 */
export async function recordVerdict(
  tx: Transaction,
  transferId: string,
  verdict: Verdict,
  {
    account,
    by,
    refunds,
    nowMicros,
  }: { readonly account: string; readonly by: string; readonly refunds: PaidRefunds; readonly nowMicros: Micros },
): Promise<RecordedVerdict> {
  const { place, screening, isAsTheLedgerSays } = await lockPlace(tx, transferId);
  if (screening?.state !== 'WAITING' && screening?.state !== 'PARKED') return 'NOT_ASKED';
  const row = await readScreening(tx, transferId);
  if (row.account !== account) return 'NOT_ASKED';
  const isToCredit = verdict.kind === 'ALLOW' && place === 'HELD';
  const doubt = isToCredit ? await doubtAbout(tx, row, { isAsTheLedgerSays, refunds }) : null;
  if (doubt !== null) {
    await sql`
      UPDATE screening SET state = 'PARKED', next_try_at = NULL, last_error = ${doubt}
      WHERE transfer_id = ${transferId}`.execute(tx);
    return 'PARKED';
  }
  await sql`
    UPDATE screening SET state = ${verdict.kind === 'ALLOW' ? 'ALLOWED' : 'DENIED'}, next_try_at = NULL, last_error = NULL,
      case_id = ${verdict.caseId}, reason = ${verdict.reason}, decided_at = ${nowMicros}, decided_by = ${by}
    WHERE transfer_id = ${transferId}`.execute(tx);
  if (isToCredit) await credit(tx, row, nowMicros);
  if (verdict.kind === 'DENY') await deny(tx, row, place, { ...verdict, nowMicros });
  return 'RECORDED';
}

/** @returns why it must not be credited although it was allowed; null: it may. */
async function doubtAbout(
  tx: Transaction,
  deposit: { readonly transferId: string; readonly treasuryParty: string },
  { isAsTheLedgerSays, refunds }: { readonly isAsTheLedgerSays: boolean; readonly refunds: PaidRefunds },
): Promise<string | null> {
  if (!isAsTheLedgerSays) return 'Allowed, and the transfer is not what is held for it.';
  if (!(await isSentBack(tx, deposit, refunds))) return null;
  return 'Allowed, and the ledger shows that it was sent back, by a withdrawal that is not here.';
}

type Row = {
  readonly transferId: string;
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

async function readScreening(tx: Transaction, transferId: string): Promise<Row> {
  const { rows } = await sql<Row>`
    SELECT s.transfer_id AS "transferId", s.treasury_id AS "treasuryId", p.party AS "treasuryParty",
      p.network_id AS "networkId", s.instrument_id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId",
      s.account_id AS "accountId", a.owner AS account, s.deposit_account_id AS "depositAccountId",
      s.owner_decided_by AS "ownerDecidedBy", s.amount::text, s.memo, s.sender, s.update_id AS "updateId",
      s.record_time AS "recordTime", s.held::text
    FROM screening s JOIN treasury_party p ON p.id = s.treasury_id JOIN instrument i ON i.id = s.instrument_id
    JOIN account a ON a.id = s.account_id
    WHERE s.transfer_id = ${transferId}`.execute(tx);
  const [row] = rows;
  assert(row !== undefined, 'A screening that was just locked is not there.', { transferId });
  return row;
}

async function credit(tx: Transaction, row: Row, nowMicros: Micros): Promise<void> {
  assert(row.held !== null, 'What is held has an amount.', { transferId: row.transferId });
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

async function deny(
  tx: Transaction,
  row: Row,
  place: DepositPlace['place'],
  { caseId, nowMicros }: Pick<Verdict, 'caseId'> & { readonly nowMicros: Micros },
): Promise<void> {
  if (place === 'SETTLED' || place === 'OVER') return;
  if (place === 'AT_DESK') {
    await sql`UPDATE desk_case SET why = 'DENIED' WHERE transfer_id = ${row.transferId}`.execute(tx);
    return;
  }
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
