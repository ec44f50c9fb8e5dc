/**
 * What the mechanism of submissions asks of the returns of our offers: whose money an attempt gets back, and what follows when it is dead.
 *
 *   QUEUED     nothing of ours is alive. Due, and its withdrawal still offered → IN_FLIGHT.
 *   IN_FLIGHT  an attempt is open. The end of the offer seen → DONE or ENDED (`return-end.ts`); the attempt dead → QUEUED again after a wait, or PARKED when the offer itself has failed too often.
 *   PARKED     left alone until a person says otherwise, or the deadline gives the return a new reason; the end of the offer is recognised all the same.
 *   DONE       we took it back.   ENDED   something else ended the offer: accepted, rejected, expired by its admin, or in a way that nobody can read.
 *
 * An attempt consumes the offer's contract, which is there once: two of them cannot both commit, nor can one beside an acceptance. Its row is locked by the lock of its withdrawal.
 */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { retryDelayMs } from '../../submissions/retry-delay.ts';
import type { DeadAttempt, Purpose } from '../../submissions/submission-purpose.ts';
import { isStopped } from '../withdrawal-stops.ts';
import type { ReturnRules } from './return-rules.ts';

/** Over a withdrawal `w`: its offer stands, and nobody wants it left alone. */
export const MAY_BE_RETURNED = sql<boolean>`(w.state = 'OFFERED' AND NOT ${isStopped(sql`w.id`, 'HOLD')} AND NOT ${isStopped(sql`w.id`, 'PARK')})`;

export function returnPurpose(rules: Pick<ReturnRules, 'triesMax' | 'backoffMsMin' | 'backoffMsMax'>): Purpose {
  return {
    name: 'OFFER_WITHDRAW',
    failpoints: 'returns',
    subject: sql<string>`s.offer_return_id`,
    mayBeSigned: sql<boolean>`EXISTS (SELECT FROM withdrawal w WHERE w.id = s.offer_return_id AND ${MAY_BE_RETURNED})`,
    inputs: sql`(SELECT json_agg(json_build_object('contractId', r.contract_id, 'amount', t.transfer_object->>'amount') ORDER BY r.contract_id)
      FROM reservation r WHERE r.submission_id = t.submission_id AND r.number = t.number)`,
    lockSubjects,
    attemptDead: async (tx, id, dead, nowMicros) => await attemptDead(tx, id, dead, rules, nowMicros),
  };
}

/** The withdrawals, as whoever settles their attempts locks them. */
async function lockSubjects(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('withdrawal')
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
  { triesMax, backoffMsMin, backoffMsMax }: Parameters<typeof returnPurpose>[0],
  nowMicros: Micros,
): Promise<void> {
  const row = await tx
    .selectFrom('offer_return')
    .select(['state', 'tries', 'waits'])
    .where('withdrawal_id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  if (row.state !== 'IN_FLIGHT') return;
  const { code, detail, isPassing } = failureOf(dead);
  const tries = row.tries + (isPassing ? 0 : 1);
  const waits = row.waits + (isPassing ? 1 : 0);
  const delayMs = retryDelayMs({
    id,
    attempts: tries + waits,
    minMs: backoffMsMin,
    maxMs: backoffMsMax,
    failedAt: nowMicros,
  });
  await tx
    .updateTable('offer_return')
    .set({
      state: tries >= triesMax ? 'PARKED' : 'QUEUED',
      tries,
      waits: Math.min(waits, WAITS_COUNTED_MAX),
      trouble_code: code,
      trouble: detail,
      next_try_at: nowMicros + millisToMicros(delayMs),
      changed_at: nowMicros,
    })
    .where('withdrawal_id', '=', id)
    .execute();
}

const WAITS_COUNTED_MAX = 1_000; // The column is a small number, and a service may be away for a year.

function failureOf(dead: DeadAttempt): { readonly code: string; readonly detail: string; readonly isPassing: boolean } {
  if (dead.kind === 'GIVEN_UP') {
    const { code, detail, isPassing } = dead.failure;
    return { code, detail, isPassing: isPassing === true };
  }
  // A signature that was asked for and never came to `execute` says nothing of the offer.
  const detail = dead.lastError ?? 'The ledger passed the last record time of the attempt without it.';
  return { code: 'NOT_COMMITTED', detail, isPassing: !dead.isTried };
}
