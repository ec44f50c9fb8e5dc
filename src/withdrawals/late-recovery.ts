/**
 * Payments that were read while nothing could be made of them, because the key that opens what travels with them was not configured, or a version of Sluice read them that could not: tried again. The sink that
 * ingestion tells is told once more, of those alone.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { type Amount, amountOf, parseAmount } from '../tokens/amount.ts';
import type { FinalStatus } from '../tokens/movement.ts';
import { IS_UNKNOWN_PAYMENT } from './reopening.ts';

/** @param sink of withdrawals, with what makes them anew. @returns how many transfers have their withdrawal now. Harmless when repeated. */
export async function recoverLate(db: Database, treasury: Treasury, sink: EffectSink): Promise<number> {
  let recovered = 0;
  for (const { id, inputs } of await unknownPayments(db, treasury)) {
    const isKnown = await db.transaction().execute(async (tx) => {
      const payment = await readPayment(tx, id, inputs);
      if (payment === null) return false;
      await sink.apply(tx, treasury, changesOf(payment));
      const { rows } = await sql`SELECT FROM withdrawal WHERE transfer_id = ${payment.transferId}`.execute(tx);
      return rows.length > 0;
    });
    if (isKnown) recovered += 1;
  }
  return recovered;
}

type Payment = Pick<
  TransferChange,
  'transferId' | 'direction' | 'counterparty' | 'memo' | 'updateId' | 'recordTime' | 'status' | 'inputs'
> & {
  readonly kind: 'DIRECT' | 'OFFER';
  readonly amount: Amount;
  readonly instrument: TransferChange['instrument'];
  readonly concludedUpdateId: string;
  readonly concludedAt: bigint;
};

/** With the holdings of ours that each consumed; read for all of them at once, since they are found by no index. */
async function unknownPayments(
  db: Database,
  { id }: Treasury,
): Promise<readonly { readonly id: string; readonly inputs: readonly string[] }[]> {
  const { rows } = await sql<{ id: string; inputs: string[] }>`
    WITH unknown AS MATERIALIZED (
      SELECT t.id, t.update_id, t.record_time FROM transfer t
      WHERE t.treasury_id = ${id} AND t.kind IN ('DIRECT', 'OFFER') AND ${IS_UNKNOWN_PAYMENT}
        -- One that was an alarm when it was read is known, and for people: told again it would pass for a sign of a restore.
        AND NOT EXISTS (
          SELECT FROM money_freeze f WHERE f.treasury_id = t.treasury_id AND f.reason = 'TRANSFER_NOT_EXPECTED' AND f.cause = 'update:' || t.update_id
        )
    )
    SELECT u.id, array_remove(array_agg(h.contract_id), NULL) AS inputs
    FROM unknown u LEFT JOIN holding h ON h.treasury_id = ${id} AND h.archived_update_id = u.update_id
    GROUP BY u.id, u.record_time ORDER BY u.record_time, u.id`.execute(db);
  return rows;
}

/** As it stands now, locked as ingestion locks it, which would move it on before anybody is told of it here. @returns null where its withdrawal is known by now. */
async function readPayment(tx: Transaction, id: string, inputs: readonly string[]): Promise<Payment | null> {
  await sql`SELECT FROM transfer WHERE id = ${id} FOR UPDATE`.execute(tx);
  const { rows } = await sql<
    Omit<Payment, 'amount' | 'instrument' | 'inputs'> & {
      amount: string;
      instrument: { key: number; admin: string; id: string; isAccepted: boolean };
    }
  >`
    SELECT t.id AS "transferId", t.kind, t.direction, t.counterparty, t.memo, t.update_id AS "updateId", t.record_time AS "recordTime", t.status,
      t.amount::text AS amount, coalesce(t.concluded_update_id, t.update_id) AS "concludedUpdateId",
      coalesce(t.concluded_record_time, t.record_time) AS "concludedAt",
      json_build_object('key', i.id, 'admin', i.admin, 'id', i.instrument_id, 'isAccepted', i.is_accepted) AS instrument
    FROM transfer t JOIN instrument i ON i.id = t.instrument_id
    WHERE t.id = ${id} AND ${IS_UNKNOWN_PAYMENT}`.execute(tx);
  const [row] = rows;
  return row === undefined ? null : { ...row, inputs, amount: parseAmount(row.amount) };
}

/** As ingestion would tell of it: an offer when it appears, and what became of it. */
function changesOf({ concludedUpdateId, concludedAt, ...payment }: Payment): readonly TransferChange[] {
  const common = {
    ...payment,
    holdingsDelta: amountOf(0n),
    earlierHoldingsDelta: amountOf(0n),
    signedHash: null,
  };
  if (payment.kind === 'DIRECT') return [{ ...common, isNew: true }];
  const begun: TransferChange = { ...common, isNew: true, status: 'PENDING' };
  if (payment.status === 'PENDING') return [begun];
  const ended: FinalStatus = payment.status;
  return [begun, { ...common, isNew: false, status: ended, updateId: concludedUpdateId, recordTime: concludedAt }];
}
