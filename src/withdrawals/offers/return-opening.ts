/** Opening attempts: returns that are due get one; the contract that stands for the offer is reserved, and a last record time is fixed. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { isFrozen } from '../../ingestion/freezes.ts';
import { insertAttempt } from '../../submissions/attempt-opening.ts';
import type { AttemptLimits } from '../../submissions/attempts.ts';
import { isHalted } from '../../submissions/halts.ts';
import { isolated, type OnRefused, throwRefused } from '../../submissions/isolated.ts';
import { positionClock } from '../../submissions/position-clock.ts';
import type { TransferJson } from '../../tokens/transfer-record.ts';
import { MAY_BE_RETURNED } from './return-purpose.ts';
import type { ReturnRules } from './return-rules.ts';

const OPEN_BATCH_MAX = 8;

/**
 * Opens attempts, those that have waited longest first. What may not move now keeps its turn.
 * @param onRefused told where one cannot be written, which is put off; the others are opened. Default: throw.
 * @returns how many were opened.
 */
export async function openReturnAttempts(
  db: Database,
  treasuryId: number,
  limits: AttemptLimits,
  rules: Pick<ReturnRules, 'backoffMsMax'>,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  return await db.transaction().execute(async (tx) => {
    const due = await takeDue(tx, treasuryId, nowMicros);
    const clock = due.length === 0 ? null : await positionClock(tx, treasuryId, limits, nowMicros);
    if (clock === null) return 0;
    let opened = 0;
    for (const offer of due) {
      const refused = await isolated(tx, async () => {
        await insertAttempt(tx, {
          submissionId: `sr_${offer.id.slice(3)}`,
          purpose: { purpose: 'OFFER_WITHDRAW', offer_return_id: offer.id },
          treasuryId,
          instrumentKey: offer.instrumentKey,
          clock,
          target: clock.recordTime + millisToMicros(limits.ttlMs),
          transfer: offer.transfer,
          inputs: [offer.contractId],
          nowMicros,
        });
        await tx
          .updateTable('offer_return')
          .set({ state: 'IN_FLIGHT', changed_at: nowMicros })
          .where('withdrawal_id', '=', offer.id)
          .execute();
      });
      if (refused === null) {
        opened += 1;
        continue;
      }
      await onRefused(offer.id, refused);
      await tx
        .updateTable('offer_return')
        .set({
          trouble_code: refused.code,
          trouble: refused.message,
          next_try_at: nowMicros + millisToMicros(rules.backoffMsMax),
        })
        .where('withdrawal_id', '=', offer.id)
        .execute();
    }
    return opened;
  });
}

type DueReturn = {
  readonly id: string;
  readonly instrumentKey: number;
  readonly contractId: string;
  readonly transfer: TransferJson;
};

async function takeDue(tx: Transaction, treasuryId: number, nowMicros: Micros): Promise<readonly DueReturn[]> {
  const { rows } = await sql<DueReturn>`
    SELECT w.id, w.instrument_id AS "instrumentKey", i.contract_id AS "contractId", t.transfer_object AS transfer
    FROM offer_return r
    JOIN withdrawal w ON w.id = r.withdrawal_id
    -- One contract, however many stand for the offer.
    JOIN LATERAL (
      SELECT contract_id FROM transfer_instruction x
      WHERE x.transfer_id = w.transfer_id AND x.treasury_id = w.treasury_id AND x.direction = 'OUT' AND x.ended_update_id IS NULL
      ORDER BY x.created_record_time DESC, x.contract_id LIMIT 1
    ) AS i ON true
    JOIN transfer t ON t.id = w.transfer_id AND t.transfer_object IS NOT NULL
    WHERE r.treasury_id = ${treasuryId} AND r.state = 'QUEUED' AND r.next_try_at <= ${nowMicros} AND ${MAY_BE_RETURNED}
      AND NOT ${isFrozen(sql`w.treasury_id`, sql`w.instrument_id`)} AND NOT ${isHalted(sql`w.treasury_id`, sql`w.instrument_id`)}
      AND NOT EXISTS (SELECT FROM reservation x WHERE x.treasury_id = w.treasury_id AND x.contract_id = i.contract_id AND x.is_open)
    -- Both rows: whoever opened one just now changed the second alone, and what was read of it before is looked at again only if it is locked.
    ORDER BY r.next_try_at, w.id LIMIT ${OPEN_BATCH_MAX} FOR UPDATE OF w, r SKIP LOCKED`.execute(tx);
  return rows;
}
