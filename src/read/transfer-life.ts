/** The life of a transfer, step by step, each with the update that shows it. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

export type TransferStep = {
  readonly transferId: string;
  readonly kind:
    | 'OFFERED'
    | 'REPLACED'
    | 'ACCEPTED'
    | 'REJECTED'
    | 'WITHDRAWN'
    | 'EXPIRED'
    | 'FAILED'
    | 'SETTLED'
    | 'CREDITED';
  /** Null: it is no update of the ledger. */
  readonly updateId: string | null;
  readonly recordTime: Micros;
  /** Of the offer; null: none has to do with it. */
  readonly contractId: string | null;
};

/** Of all given transfers in one statement, each in the order of its steps. */
export async function readTransferLives(db: Database, transferIds: readonly string[]): Promise<TransferStep[]> {
  const { rows } = await sql<TransferStep>`
    SELECT step."transferId", step.kind, step."updateId", step."recordTime", step."contractId"
    FROM (
      SELECT i.transfer_id AS "transferId", CASE WHEN i.contract_id = i.original_contract_id THEN 'OFFERED' ELSE 'REPLACED' END AS kind,
        i.created_update_id AS "updateId", i.created_record_time AS "recordTime", i.contract_id AS "contractId", 1 AS rank
      FROM transfer_instruction AS i WHERE i.transfer_id = ANY (${[...transferIds]}::text[])
      UNION ALL
      SELECT i.transfer_id, i.status, i.ended_update_id, i.ended_record_time, i.contract_id, 2
      FROM transfer_instruction AS i
      WHERE i.transfer_id = ANY (${[...transferIds]}::text[]) AND i.ended_update_id IS NOT NULL AND i.status <> 'REPLACED'
      UNION ALL
      SELECT t.id, 'SETTLED', t.concluded_update_id, t.concluded_record_time, NULL, 3
      FROM transfer AS t WHERE t.id = ANY (${[...transferIds]}::text[]) AND t.status = 'COMPLETED'
      UNION ALL
      SELECT a.transfer_id, 'CREDITED', NULL, a.record_time, NULL, 4
      FROM attribution AS a WHERE a.transfer_id = ANY (${[...transferIds]}::text[])
    ) AS step
    ORDER BY step."transferId", step."recordTime", step.rank, step."contractId"
  `.execute(db);
  return rows;
}
