/**
 * What the mechanism of submissions asks of offers.
 *
 *   QUEUED     nothing of ours is alive. Due, allowed and affordable → IN_FLIGHT.
 *   IN_FLIGHT  an attempt is open. The end of the offer seen → DONE or ENDED; the attempt dead → QUEUED again after a wait, or PARKED when the offer itself has failed too often.
 *   PARKED     left alone until a person says otherwise; the end of the offer is recognised all the same.
 *   DONE       what we wanted was seen.   ENDED   something else was: withdrawn, expired, rejected, or replaced by another wish of ours.
 *
 * An attempt consumes the offer's contract, which is there once: two of them cannot both commit, whatever anybody believes about the first.
 */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { retryDelayMs } from '../../submissions/retry-delay.ts';
import type { DeadAttempt, Purpose } from '../../submissions/submission-purpose.ts';
import type { OfferRules } from './offer-rules.ts';

export function offerPurpose(rules: Pick<OfferRules, 'triesMax' | 'backoffMsMin' | 'backoffMsMax'>): Purpose {
  return {
    name: 'OFFER',
    failpoints: 'offers',
    subject: sql<string>`s.offer_action_id`,
    // Whether it may be accepted at all is asked before each try. Nothing is opened for what somebody wants left alone: it is parked as soon as its attempt is dead.
    mayBeSigned: sql<boolean>`NOT EXISTS (SELECT FROM offer_action unwanted WHERE unwanted.id = s.offer_action_id AND unwanted.is_park_requested)`,
    inputs: sql`(SELECT json_agg(json_build_object('contractId', r.contract_id, 'amount', t.transfer_object->>'amount') ORDER BY r.contract_id)
      FROM reservation r WHERE r.submission_id = t.submission_id AND r.number = t.number)`,
    lockSubjects,
    attemptDead: async (tx, id, dead, nowMicros) => await attemptDead(tx, id, dead, rules, nowMicros),
  };
}

async function lockSubjects(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('offer_action')
    .select('id')
    .where('id', 'in', ids)
    .orderBy('id')
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(({ id }) => id);
}

async function attemptDead(
  tx: Transaction,
  id: string,
  dead: DeadAttempt,
  { triesMax, backoffMsMin, backoffMsMax }: Parameters<typeof offerPurpose>[0],
  nowMicros: Micros,
): Promise<void> {
  const row = await tx
    .selectFrom('offer_action')
    .select(['state', 'tries', 'waits', 'is_park_requested'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  if (row.state !== 'IN_FLIGHT') return;
  const { reason, detail, isPassing } = failureOf(dead);
  const tries = row.tries + (isPassing ? 0 : 1);
  const waits = row.waits + (isPassing ? 1 : 0);
  const common = { tries, waits, detail, changed_at: nowMicros };
  const set = (change: object) =>
    tx
      .updateTable('offer_action')
      .set({ ...common, ...change })
      .where('id', '=', id)
      .execute();
  if (row.is_park_requested) await set({ state: 'PARKED', reason: PARKED_BY_PERSON, is_park_requested: false });
  else if (tries >= triesMax) await set({ state: 'PARKED', reason });
  else {
    const delayMs = retryDelayMs({
      id,
      attempts: tries + waits,
      minMs: backoffMsMin,
      maxMs: backoffMsMax,
      failedAt: nowMicros,
    });
    await set({ state: 'QUEUED', reason, next_try_at: nowMicros + millisToMicros(delayMs) });
  }
}

/** Why an offer is parked that a person parked. */
export const PARKED_BY_PERSON = 'PARKED_BY_PERSON';

function failureOf(dead: DeadAttempt): {
  readonly reason: string;
  readonly detail: string;
  readonly isPassing: boolean;
} {
  if (dead.kind === 'GIVEN_UP') {
    const { code, detail, isPassing } = dead.failure;
    return { reason: code, detail, isPassing: isPassing === true };
  }
  // A signature that was asked for and never came to `execute` says nothing of the offer.
  const detail = dead.lastError ?? 'The ledger passed the last record time of the attempt without it.';
  return { reason: 'NOT_COMMITTED', detail, isPassing: !dead.isTried };
}
