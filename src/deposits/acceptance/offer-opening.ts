/** Opening attempts: offers that are due get one, as far as the budgets go; the offer's contract is reserved, and a last record time is fixed. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import type { PermanentError } from '../../env/errors.ts';
import { isFrozen } from '../../ingestion/freezes.ts';
import { insertAttempt } from '../../submissions/attempt-opening.ts';
import { IS_PAST } from '../../submissions/attempts.ts';
import { isHalted } from '../../submissions/halts.ts';
import { isolated, type OnRefused, throwRefused } from '../../submissions/isolated.ts';
import { positionClock } from '../../submissions/position-clock.ts';
import type { TransferJson } from '../../tokens/transfer-record.ts';
import { mayBeAccepted, OFFER_FACTS } from './offer-gate.ts';
import type { OfferRules } from './offer-rules.ts';
import { isUsedUp, readUsedUp, type Spender, spendTry } from './offer-spending.ts';

const OPEN_BATCH_MAX = 8;
const IN_FLIGHT_MAX = 16; // Of one treasury: what comes next waits no longer than these take.
const LOOKED_AT_MAX = 64;
const LOOK_AGAIN_MS = 2_000; // A verdict, or the end of a freeze, is noticed as soon as that.

/**
 * Opens attempts, one account after the other and one sender after the other, the largest of each first: a thousand offers of one make nobody else wait, and dust no deposit.
 * @param onRefused told where one cannot be written, which is put off; the others are opened. Default: throw.
 * @returns how many were opened.
 */
export async function openOfferAttempts(
  db: Database,
  treasuryId: number,
  rules: OfferRules,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const clock = await positionClock(tx, treasuryId, rules.limits, nowMicros);
    if (clock === null) return 0;
    const offers = await takeDue(tx, treasuryId, rules, { nowMicros, recordTime: clock.recordTime });
    let opened = 0;
    for (const offer of offers) {
      let isPaid = false;
      const refused = await isolated(tx, async () => {
        isPaid = await spendTry(tx, { ...offer, treasuryId }, rules.budget, nowMicros);
        if (!isPaid) return;
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
      });
      if (refused === null) {
        opened += isPaid ? 1 : 0;
        continue;
      }
      await onRefused(offer.id, refused);
      await putOff(tx, offer.id, refused, nowMicros + millisToMicros(rules.backoffMsMax));
    }
    return opened;
  });
}

async function putOff(tx: Transaction, id: string, why: PermanentError, until: Micros): Promise<void> {
  await tx
    .updateTable('offer_action')
    .set({ reason: why.code, detail: why.message, next_try_at: until })
    .where('id', '=', id)
    .execute();
}

type DueOffer = Omit<Spender, 'treasuryId'> & {
  readonly id: string;
  readonly contractId: string;
  readonly transfer: TransferJson;
};

/**
 * Chooses by the rows of what is due alone, however many they are, and looks at the offers of the chosen ones only. Of those, what may not be accepted now is put off a little, so that it does
 * not stand in front of the others for ever.
 */
async function takeDue(
  tx: Transaction,
  treasuryId: number,
  rules: OfferRules,
  { nowMicros, recordTime }: { readonly nowMicros: Micros; readonly recordTime: Micros },
): Promise<readonly DueOffer[]> {
  const usedUp = await readUsedUp(tx, treasuryId, rules.budget, nowMicros);
  const { rows: chosen } = await sql<{ id: string }>`
    SELECT id FROM (
      SELECT a.id, a.created_at,
             row_number() OVER (PARTITION BY coalesce(a.deposit_account_id, a.id) ORDER BY a.of_pair, a.amount DESC, a.created_at, a.id) AS of_account,
             row_number() OVER (PARTITION BY a.sender ORDER BY a.of_pair, a.created_at, a.id) AS of_sender
      FROM (
        SELECT a.*, t.amount, row_number() OVER (
          PARTITION BY coalesce(a.deposit_account_id, a.id), a.sender, a.instrument_id ORDER BY t.amount DESC, a.created_at, a.id
        ) AS of_pair
        FROM offer_action a JOIN transfer t ON t.id = a.transfer_id
        WHERE a.treasury_id = ${treasuryId} AND a.state = 'QUEUED' AND a.next_try_at <= ${nowMicros} AND NOT ${isUsedUp(usedUp)}
      ) AS a
    ) AS due
    ORDER BY greatest(of_account, of_sender), created_at, id LIMIT ${LOOKED_AT_MAX}`.execute(tx);
  if (chosen.length === 0) return [];
  const ids = chosen.map(({ id }) => id);
  const { rows } = await sql<DueOffer & { isLate: boolean; mayGo: boolean }>`
    SELECT a.id, a.instrument_id AS "instrumentKey", a.deposit_account_id AS "depositAccountId", a.sender, i.contract_id AS "contractId",
           t.transfer_object AS transfer,
           i.execute_before <= ${recordTime} AS "isLate", NOT ${isFrozen(sql`a.treasury_id`, sql`a.instrument_id`)}
             AND NOT ${isHalted(sql`a.treasury_id`, sql`a.instrument_id`)} AND (a.choice = 'REJECT' OR ${mayBeAccepted(rules)})
             AND NOT EXISTS (SELECT FROM reservation r WHERE r.treasury_id = a.treasury_id AND r.contract_id = i.contract_id AND r.is_open) AS "mayGo"
    FROM offer_action a
    -- One contract, however many stand for the offer; and with a limit, so that it is found by its index, whatever the planner believes of a table that has just been filled.
    JOIN LATERAL (
      SELECT * FROM transfer_instruction x WHERE x.transfer_id = a.transfer_id AND x.treasury_id = a.treasury_id AND x.ended_update_id IS NULL
      ORDER BY x.created_record_time DESC, x.contract_id LIMIT 1
    ) AS i ON true
    JOIN transfer t ON t.id = a.transfer_id AND t.transfer_object IS NOT NULL
    ${OFFER_FACTS}
    WHERE a.id = ANY (${ids}::text[]) AND a.state = 'QUEUED'
    ORDER BY array_position(${ids}::text[], a.id)
    FOR UPDATE OF a SKIP LOCKED`.execute(tx);
  const late = rows.filter(({ isLate }) => isLate).map(({ id }) => id);
  if (late.length > 0) {
    await tx
      .updateTable('offer_action')
      .set({ state: 'PARKED', reason: 'DEADLINE_PASSED', changed_at: nowMicros })
      .where('id', 'in', late)
      .execute();
  }
  const waiting = rows.filter(({ isLate, mayGo }) => !isLate && !mayGo).map(({ id }) => id);
  if (waiting.length > 0) {
    await tx
      .updateTable('offer_action')
      .set({ next_try_at: nowMicros + millisToMicros(LOOK_AGAIN_MS) })
      .where('id', 'in', waiting)
      .execute();
  }
  // What the ledger has passed costs nothing any more. Where a freeze keeps it from its end it may stay for days, and it is in no other's way.
  const { rows: underWay } = await sql`
    SELECT FROM attempt a JOIN submission s ON s.id = a.submission_id
    WHERE a.state = 'OPEN' AND s.purpose = 'OFFER' AND s.treasury_id = ${treasuryId} AND NOT ${IS_PAST} LIMIT ${IN_FLIGHT_MAX}`.execute(
    tx,
  );
  const room = Math.min(OPEN_BATCH_MAX, IN_FLIGHT_MAX - underWay.length);
  return rows.filter(({ isLate, mayGo }) => !isLate && mayGo).slice(0, room);
}
