/**
 * How what we do about an offer learns what became of it: from the transaction that ingestion stores, inside that transaction, whoever ended the offer and whether our loop ran or not. The
 * attempt settles in the same commit that moves the position past it.
 */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import type { Clock } from '../../env/clock.ts';
import { unreachable } from '../../env/errors.ts';
import type { EffectSink, TransferChange } from '../../ingestion/effect-sink.ts';
import { settleAttempt } from '../../submissions/attempts.ts';
import type { OfferChoice } from './offer-action-id.ts';
import { PARKED_BY_PERSON } from './offer-purpose.ts';

export function createOfferSink({ clock }: { readonly clock: Clock }): EffectSink {
  return {
    name: 'offers',
    apply: async (tx, _treasury, changes) => {
      const moved = changes.filter(({ isNew, direction, kind }) => !isNew && direction === 'IN' && kind === 'OFFER');
      if (moved.length === 0) return;
      const actions = await lockActions(tx, [...new Set(moved.map(({ transferId }) => transferId))]);
      for (const action of actions) {
        // A batch may move an offer on several times: the last one counts.
        const change = moved.findLast(({ transferId }) => transferId === action.transferId);
        if (change !== undefined) await apply(tx, action, change, clock.nowMicros());
      }
    },
  };
}

/** Why an action is done whose offer is not: the registry goes on by itself. */
const AWAITS_ADMIN = 'AWAITS_ADMIN';

type Action = {
  readonly id: string;
  readonly transferId: string;
  readonly choice: OfferChoice;
  readonly state: string;
  readonly isParkRequested: boolean;
};

async function lockActions(tx: Transaction, transferIds: readonly string[]): Promise<readonly Action[]> {
  const { rows } = await sql<Action>`
    SELECT id, transfer_id AS "transferId", choice, state, is_park_requested AS "isParkRequested" FROM offer_action
    WHERE transfer_id = ANY (${[...transferIds]}::text[]) AND (state IN ('QUEUED', 'IN_FLIGHT', 'PARKED') OR reason = ${AWAITS_ADMIN})
    ORDER BY id FOR UPDATE`.execute(tx);
  return rows;
}

async function apply(tx: Transaction, action: Action, change: TransferChange, nowMicros: bigint): Promise<void> {
  const { rows: open } = await sql<{ submissionId: string; number: number }>`
    SELECT t.submission_id AS "submissionId", t.number::int AS number FROM attempt t JOIN submission s ON s.id = t.submission_id
    WHERE s.offer_action_id = ${action.id} AND t.state = 'OPEN'`.execute(tx);
  // Whoever consumed the offer's contract: no attempt on it can commit any more.
  for (const attempt of open) await settleAttempt(tx, attempt, nowMicros);
  const isOurs = await isSignedFor(tx, action.id, change);
  // Another contract stands for the offer, and what people decided about the offer stands.
  if (change.status === 'PENDING' && isOurs !== true && action.state === 'PARKED') return;
  await tx
    .updateTable('offer_action')
    .set({
      ...outcomeOf(action, change.status, isOurs),
      detail: null,
      is_park_requested: false,
      changed_at: nowMicros,
    })
    .$if(change.status !== 'PENDING', (update) => update.set({ ended_update_id: change.updateId }))
    .$if(change.status === 'PENDING', (update) => update.set({ next_try_at: nowMicros }))
    .where('id', '=', action.id)
    .execute();
}

/** Whether the transaction carries a hash that was to be signed for this very action; null where the participant tells none. */
async function isSignedFor(tx: Transaction, actionId: string, { signedHash }: TransferChange): Promise<boolean | null> {
  if (signedHash === null || signedHash.length === 0) return null;
  const { rows } = await sql`
    SELECT FROM signed_hash h JOIN submission s ON s.id = h.submission_id
    WHERE h.hash = ${Buffer.from(signedHash)} AND s.offer_action_id = ${actionId}`.execute(tx);
  return rows.length > 0;
}

type Outcome = { readonly state: 'QUEUED' | 'PARKED' | 'DONE' | 'ENDED'; readonly reason: string | null };

function outcomeOf(
  { choice, isParkRequested }: Pick<Action, 'choice' | 'isParkRequested'>,
  status: TransferChange['status'],
  isOurs: boolean | null,
): Outcome {
  switch (status) {
    case 'PENDING':
      // Another contract stands for the offer now. Where our own choice made it, the rest is the admin's.
      if (isOurs === true) return { state: 'DONE', reason: AWAITS_ADMIN };
      return isParkRequested ? { state: 'PARKED', reason: PARKED_BY_PERSON } : { state: 'QUEUED', reason: null };
    case 'COMPLETED':
      if (choice === 'REJECT') return { state: 'ENDED', reason: 'ACCEPTED' };
      return { state: 'DONE', reason: isOurs === false ? 'ACCEPTED_ELSEWHERE' : null };
    case 'REJECTED':
      if (choice === 'ACCEPT') return { state: 'ENDED', reason: 'REJECTED' };
      return { state: 'DONE', reason: isOurs === false ? 'REJECTED_ELSEWHERE' : null };
    case 'WITHDRAWN':
    case 'EXPIRED':
    case 'FAILED':
      return { state: 'ENDED', reason: status };
    default:
      return unreachable(status);
  }
}
