/**
 * Payments that were read while nothing could be made of them, because the key that opens what travels with them was not configured, or a version of Sluice read them that could not: tried again. The sink that
 * ingestion tells is told once more, of those alone.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { type Amount, amountOf, parseAmount } from '../tokens/amount.ts';
import type { FinalStatus } from '../tokens/movement.ts';
import { IS_UNKNOWN_PAYMENT } from './reopening.ts';

/** @param sink of withdrawals, with what makes them anew. @returns how many transfers have their withdrawal now. Harmless when repeated. */
export async function recoverLate(db: Database, treasury: Treasury, sink: EffectSink): Promise<number> {
  const unknown = await unknownPayments(db, treasury);
  let recovered = 0;
  for (const payment of unknown) {
    const isKnown = await db.transaction().execute(async (tx) => {
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
  'transferId' | 'direction' | 'counterparty' | 'memo' | 'updateId' | 'recordTime' | 'status'
> & {
  readonly kind: 'DIRECT' | 'OFFER';
  readonly amount: Amount;
  readonly instrument: TransferChange['instrument'];
  readonly concludedUpdateId: string;
  readonly concludedAt: bigint;
};

async function unknownPayments(db: Database, { id }: Treasury): Promise<readonly Payment[]> {
  const { rows } = await sql<
    Omit<Payment, 'amount' | 'instrument'> & {
      amount: string;
      instrument: { key: number; admin: string; id: string; isAccepted: boolean };
    }
  >`
    SELECT t.id AS "transferId", t.kind, t.direction, t.counterparty, t.memo, t.update_id AS "updateId", t.record_time AS "recordTime", t.status,
      t.amount::text AS amount, coalesce(t.concluded_update_id, t.update_id) AS "concludedUpdateId",
      coalesce(t.concluded_record_time, t.record_time) AS "concludedAt",
      json_build_object('key', i.id, 'admin', i.admin, 'id', i.instrument_id, 'isAccepted', i.is_accepted) AS instrument
    FROM transfer t JOIN instrument i ON i.id = t.instrument_id
    WHERE t.treasury_id = ${id} AND t.kind IN ('DIRECT', 'OFFER') AND ${IS_UNKNOWN_PAYMENT}
    ORDER BY t.record_time, t.id`.execute(db);
  return rows.map((row) => ({ ...row, amount: parseAmount(row.amount) }));
}

/** As ingestion would tell of it: an offer when it appears, and what became of it. */
function changesOf({ concludedUpdateId, concludedAt, ...payment }: Payment): readonly TransferChange[] {
  const common = {
    ...payment,
    holdingsDelta: amountOf(0n),
    earlierHoldingsDelta: amountOf(0n),
    signedHash: null,
    inputs: [],
  };
  if (payment.kind === 'DIRECT') return [{ ...common, isNew: true }];
  const begun: TransferChange = { ...common, isNew: true, status: 'PENDING' };
  if (payment.status === 'PENDING') return [begun];
  const ended: FinalStatus = payment.status;
  return [begun, { ...common, isNew: false, status: ended, updateId: concludedUpdateId, recordTime: concludedAt }];
}
