/** The screening of deposits and offers: what is asked of each, and what a verdict does (screening-verdict.ts). */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { DepositQuestion } from './screening-client.ts';
import type { ScreeningKind } from './screening-kind.ts';
import { depositsWait } from './screening-mode.ts';
import { recordVerdict } from './screening-verdict.ts';
import type { PaidRefunds } from './sent-back.ts';

/** @param refunds of this installation: what they have paid is credited to nobody. */
export function depositScreening(refunds: PaidRefunds): ScreeningKind<DepositQuestion> {
  return {
    name: 'screening',
    table: sql`screening`,
    key: sql`transfer_id`,
    questionsOf,
    record: async (tx, { id, question }, verdict, nowMicros) =>
      await recordVerdict(tx, id, verdict, { account: question.account, by: 'screening', refunds, nowMicros }),
    catchUp: openForPendingOffers,
  };
}

async function questionsOf(db: Database, ids: readonly string[]) {
  const { rows } = await sql<
    Omit<DepositQuestion, 'instrument' | 'recordTime'> & { admin: string; instrumentId: string; recordTime: bigint }
  >`
    SELECT t.transfer_id AS "transferId", CASE WHEN t.is_offer AND t.held IS NULL THEN 'OFFER' ELSE 'DEPOSIT' END AS kind,
      n.name AS network, p.party AS "treasuryParty", i.admin, i.instrument_id AS "instrumentId",
      coalesce(t.held, t.amount)::text AS amount, t.sender, t.memo, a.owner AS account, t.update_id AS "updateId",
      t.record_time AS "recordTime"
    FROM screening t JOIN treasury_party p ON p.id = t.treasury_id JOIN network n ON n.id = p.network_id
    JOIN instrument i ON i.id = t.instrument_id JOIN account a ON a.id = t.account_id
    WHERE t.transfer_id = ANY (${[...ids]}::text[])`.execute(db);
  return rows.map(({ admin, instrumentId, recordTime, ...row }) => ({
    id: row.transferId,
    question: { ...row, instrument: { admin, id: instrumentId }, recordTime: recordTime.toString() },
  }));
}

/** Offers that were here before anybody screened: where an offer without a verdict is not accepted, each gets its question. */
async function openForPendingOffers(db: Database, nowMicros: bigint): Promise<void> {
  await sql`
    INSERT INTO screening (transfer_id, treasury_id, instrument_id, is_offer, state, account_id, deposit_account_id, owner_decided_by,
      amount, memo, sender, update_id, record_time, next_try_at, opened_at)
    SELECT t.id, t.treasury_id, t.instrument_id, true, 'WAITING', coalesce(c.account_id, d.account_id),
      CASE WHEN c.account_id IS NULL THEN d.id END, coalesce(c.decided_by, 'memo'), t.amount, t.memo, t.counterparty, t.update_id, t.record_time,
      ${nowMicros}::bigint, ${nowMicros}::bigint
    FROM transfer t
    JOIN treasury_party p ON p.id = t.treasury_id
    JOIN instrument i ON i.id = t.instrument_id AND i.is_accepted
    LEFT JOIN desk_case c ON c.transfer_id = t.id
    LEFT JOIN deposit_account d ON d.network_id = p.network_id AND d.memo = t.memo AND d.state <> 'DISABLED'
    WHERE t.status = 'PENDING' AND t.direction = 'IN' AND t.kind = 'OFFER' AND t.amount > 0
      AND coalesce(c.account_id, d.account_id) IS NOT NULL
      AND ${depositsWait(sql`p.network_id`, null)}
      AND NOT EXISTS (SELECT FROM treasury_party own WHERE own.network_id = p.network_id AND own.party = t.counterparty)
    ON CONFLICT (transfer_id) DO NOTHING`.execute(db);
}
