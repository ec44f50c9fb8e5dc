/** Opening attempts: offers that are due get one, as far as the budgets go; the offer's contract is reserved, and a last record time is fixed. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { isFrozen } from '../../ingestion/freezes.ts';
import { insertAttempt } from '../../submissions/attempt-opening.ts';
import { positionClock } from '../../submissions/position-clock.ts';
import type { TransferJson } from '../../tokens/transfer-record.ts';
import { mayBeAccepted, OFFER_FACTS } from './offer-gate.ts';
import type { OfferRules } from './offer-rules.ts';
import { hasBudget, type Spender, spendTry } from './offer-spending.ts';

const OPEN_BATCH_MAX = 8;
const IN_FLIGHT_MAX = 16; // Of one treasury: what comes next waits no longer than these take.

/**
 * Opens attempts, one account after the other and one sender after the other, the oldest of each first: a thousand offers of one make nobody else wait.
 * @returns how many were opened.
 */
export async function openOfferAttempts(
  db: Database,
  treasuryId: number,
  rules: OfferRules,
  nowMicros: Micros,
): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const clock = await positionClock(tx, treasuryId, rules.limits, nowMicros);
    if (clock === null) return 0;
    const offers = await takeDue(tx, treasuryId, rules, { nowMicros, recordTime: clock.recordTime });
    let opened = 0;
    for (const offer of offers) {
      if (!(await spendTry(tx, { ...offer, treasuryId }, rules.budget, nowMicros))) continue;
      await insertAttempt(tx, {
        submissionId: `sb_${offer.id.slice(3)}`,
        purpose: { purpose: 'OFFER', offer_action_id: offer.id },
        treasuryId,
        instrumentKey: offer.instrumentKey,
        clock,
        target: clock.recordTime + millisToMicros(rules.limits.ttlMs),
        transfer: offer.transfer,
        inputs: [offer.contractId],
        nowMicros,
      });
      await tx
        .updateTable('offer_action')
        .set({ state: 'IN_FLIGHT', changed_at: nowMicros })
        .where('id', '=', offer.id)
        .execute();
      opened += 1;
    }
    return opened;
  });
}

type DueOffer = Omit<Spender, 'treasuryId'> & {
  readonly id: string;
  readonly contractId: string;
  readonly transfer: TransferJson;
};

async function takeDue(
  tx: Transaction,
  treasuryId: number,
  rules: OfferRules,
  { nowMicros, recordTime }: { readonly nowMicros: Micros; readonly recordTime: Micros },
): Promise<readonly DueOffer[]> {
  const { rows } = await sql<DueOffer>`
    SELECT a.id, a.instrument_id AS "instrumentKey", a.deposit_account_id AS "depositAccountId", a.sender, due.contract_id AS "contractId",
           t.transfer_object AS transfer
    FROM (
      SELECT a.id, i.contract_id, a.created_at,
             row_number() OVER (PARTITION BY coalesce(a.deposit_account_id, a.id) ORDER BY a.created_at, a.id) AS of_account,
             row_number() OVER (PARTITION BY a.sender ORDER BY a.created_at, a.id) AS of_sender
      FROM offer_action a
      JOIN transfer_instruction i ON i.transfer_id = a.transfer_id AND i.treasury_id = a.treasury_id AND i.ended_update_id IS NULL
      ${OFFER_FACTS}
      WHERE a.treasury_id = ${treasuryId} AND a.state = 'QUEUED' AND a.next_try_at <= ${nowMicros} AND i.execute_before > ${recordTime}
        AND NOT ${isFrozen(sql`a.treasury_id`, sql`a.instrument_id`)}
        AND (a.choice = 'REJECT' OR ${mayBeAccepted(rules)}) AND ${hasBudget(rules.budget, nowMicros)}
    ) AS due
    JOIN offer_action a ON a.id = due.id
    JOIN transfer t ON t.id = a.transfer_id AND t.transfer_object IS NOT NULL
    WHERE a.state = 'QUEUED'
      AND NOT EXISTS (SELECT FROM reservation r WHERE r.treasury_id = a.treasury_id AND r.contract_id = due.contract_id AND r.is_open)
    ORDER BY greatest(due.of_account, due.of_sender), due.created_at, a.id
    LIMIT greatest(0, least(${OPEN_BATCH_MAX}::int, ${IN_FLIGHT_MAX} - (
      SELECT count(*) FROM attempt JOIN submission s ON s.id = attempt.submission_id
      WHERE attempt.state = 'OPEN' AND s.purpose = 'OFFER' AND s.treasury_id = ${treasuryId})::int))
    FOR UPDATE OF a SKIP LOCKED`.execute(tx);
  return rows;
}
