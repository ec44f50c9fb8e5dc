/**
 * Brings the books in line with derived tables that were derived anew. The journal is never changed: what was booked for a transfer and is not what moved is met by one more entry, against
 * unexplained, for a person to look at.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { parseAmount } from '../tokens/amount.ts';
import { houseAccount, postEntries } from './journal.ts';
import { lineOf } from './transfer-booking.ts';

export type Correction = {
  readonly transferId: string;
  readonly instrumentKey: number;
  /** What was missing in the treasury's account, as decimal text; negative: what was too much. */
  readonly amount: string;
};

/**
 * @param transferIds those that may be wrong, also such as are gone.
 * @returns what was booked; none where all was right, so that doing it twice does nothing.
 */
export async function bookCorrections(
  tx: Transaction,
  treasury: Treasury,
  transferIds: readonly string[],
): Promise<readonly Correction[]> {
  const { rows } = await sql<Correction & { recordTime: bigint; number: number }>`
    WITH entry AS (
      SELECT id, split_part(cause, ':', 2) AS transfer_id, record_time, cause FROM journal_entry
      WHERE cause LIKE 'transfer:%' AND split_part(cause, ':', 2) = ANY (${transferIds}::text[])
    ), booked AS (
      SELECT e.transfer_id, p.instrument_id,
        CASE WHEN d.kind = 'TREASURY' THEN p.amount::numeric ELSE 0 END - CASE WHEN c.kind = 'TREASURY' THEN p.amount::numeric ELSE 0 END AS amount
      FROM entry e JOIN posting p ON p.entry_id = e.id
      JOIN account d ON d.id = p.debit_account_id JOIN account c ON c.id = p.credit_account_id
    ), moved AS (
      SELECT id AS transfer_id, instrument_id, holdings_delta::numeric AS amount FROM transfer
      WHERE treasury_id = ${treasury.id} AND id = ANY (${transferIds}::text[])
    ), missing AS (
      SELECT transfer_id, instrument_id, sum(amount) AS amount
      FROM (SELECT * FROM moved UNION ALL SELECT transfer_id, instrument_id, -amount FROM booked) AS line
      GROUP BY 1, 2 HAVING sum(amount) <> 0
    )
    SELECT m.transfer_id AS "transferId", m.instrument_id AS "instrumentKey", m.amount::text AS amount,
      coalesce((SELECT record_time FROM transfer t WHERE t.id = m.transfer_id), (SELECT max(record_time) FROM entry e WHERE e.transfer_id = m.transfer_id)) AS "recordTime",
      (SELECT count(*)::int FROM entry e WHERE e.transfer_id = m.transfer_id AND e.cause LIKE '%:corrected:%') AS number
    FROM missing m ORDER BY 1, 2`.execute(tx);
  await postEntries(
    tx,
    treasury.networkId,
    rows.map(({ transferId, instrumentKey, amount, recordTime, number }) => ({
      cause: `transfer:${transferId}:corrected:${instrumentKey}:${number + 1}`,
      description: 'derived anew, and not what was booked',
      recordTime,
      lines: lineOf(
        instrumentKey,
        { kind: 'TREASURY', owner: treasury.party },
        houseAccount('UNEXPLAINED'),
        parseAmount(amount),
      ),
    })),
  );
  return rows.map(({ transferId, instrumentKey, amount }) => ({ transferId, instrumentKey, amount }));
}

/**
 * Transfers that, derived anew, are gone or brought nothing, and whose money was credited, is held for somebody or goes back to its sender. Whose it is then, a person must say.
 * @returns their ids.
 */
export async function creditsWithoutTransfer(
  tx: Transaction,
  transferIds: readonly string[],
): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT given.id
    FROM (
      SELECT transfer_id AS id FROM attribution WHERE transfer_id = ANY (${transferIds}::text[])
      UNION SELECT transfer_id FROM screening WHERE transfer_id = ANY (${transferIds}::text[]) AND held IS NOT NULL
      UNION SELECT transfer_id FROM desk_case WHERE transfer_id = ANY (${transferIds}::text[]) AND state = 'REFUNDED'
    ) AS given LEFT JOIN transfer t ON t.id = given.id
    WHERE t.id IS NULL OR t.status <> 'COMPLETED' OR t.holdings_delta <= 0
    ORDER BY 1`.execute(tx);
  return rows.map(({ id }) => id);
}
