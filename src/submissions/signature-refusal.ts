/**
 * What a signer's refusal means: that no signature was made for this request. Where its owner's policy was the answer to every request there ever was for a submission, no signature exists, and it need not
 * wait for its target. While one answer is unknown (lost, late, a process that died), or there was another attempt, only the ledger ends it.
 */
import { sql } from 'kysely';
import { CustodyRefusal } from '../custody/custody-refusal.ts';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { type OpenAttempt, releaseReservations } from './attempts.ts';
import type { Purpose } from './submission-purpose.ts';

/** Refusals that another try would meet as well: the owner of the key does not want it. */
const BY_POLICY: ReadonlySet<string> = new Set(['SIGNING_POLICY', 'SIGNING_LIMIT']);
/** … because of what this signer signed of the same submission before. After a restore of the database only the signer knows of it, and may refuse for ever what pays by other inputs. */
const BY_ITS_PAST: ReadonlySet<string> = new Set([
  'SIGNING_ATTEMPT_CHANGED',
  'SIGNING_SUBMISSION_CHANGED',
  'SIGNING_INPUT_NOT_KEPT',
]);

/**
 * Counts a refusal that concerns the submission, so that its attempts do not go on for ever as those do that nobody answered; and ends the attempt when nothing can have been signed.
 * @returns whether it was ended. False for every error that is no refusal by policy.
 */
export async function endRefused(
  db: Database,
  purpose: Purpose,
  { submissionId, number, subjectId }: OpenAttempt,
  error: unknown,
  nowMicros: Micros,
): Promise<boolean> {
  if (!(error instanceof CustodyRefusal)) return false;
  const { code, message } = error;
  if (!BY_POLICY.has(code) && !BY_ITS_PAST.has(code)) return false;
  // By itself: a refusal is a fact, whatever comes of it.
  await sql`
    UPDATE attempt SET sign_refusals = sign_refusals + 1
    WHERE submission_id = ${submissionId} AND number = ${number} AND sign_refusals < sign_requests`.execute(db);
  if (!BY_POLICY.has(code)) return false;
  return db.transaction().execute(async (tx) => {
    if ((await purpose.lockSubjects(tx, [subjectId])).length === 0) return false;
    // A version of us that does not count its requests still writes down a hash for each.
    const ended = await sql`
      UPDATE attempt a SET state = 'GIVEN_UP', closed_at = ${nowMicros}
      WHERE a.submission_id = ${submissionId} AND a.number = ${number} AND a.state = 'OPEN' AND a.sign_refusals = a.sign_requests
        AND (SELECT count(*) FROM signed_hash h WHERE h.submission_id = a.submission_id AND h.number = a.number) <= a.sign_requests
        AND NOT EXISTS (
          SELECT FROM attempt e
          WHERE e.submission_id = a.submission_id AND e.number < a.number AND e.sign_requested_at IS NOT NULL
        )`.execute(tx);
    if (ended.numAffectedRows !== 1n) return false;
    await releaseReservations(tx, submissionId, number);
    const failure = { code, detail: message, isPassing: false };
    await purpose.attemptDead(tx, subjectId, { kind: 'GIVEN_UP', failure }, nowMicros);
    return true;
  });
}
