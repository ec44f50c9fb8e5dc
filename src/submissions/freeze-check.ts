/** The last look before money moves: whether a freeze covers what a submission would spend. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { RetryableError } from '../env/errors.ts';
import { covers } from '../ingestion/freezes.ts';

/**
 * A freeze that is committed when this is called stops the submission here. Its attempt stays as it is: without a signature it can be given up, with one it ends by proof.
 * @throws RetryableError FROZEN with the reasons: to be noted, and tried again later.
 */
export async function demandUnfrozen(db: Database, submissionId: string): Promise<void> {
  const { rows } = await sql<{ reason: string; detail: string }>`
    SELECT frozen.reason, frozen.detail FROM submission
    JOIN money_freeze AS frozen ON ${covers(sql`frozen`, sql`submission.treasury_id`, sql`submission.instrument_id`)}
    WHERE submission.id = ${submissionId} ORDER BY frozen.id`.execute(db);
  if (rows.length === 0) return;
  const why = rows.map(({ reason, detail }) => `${reason}: ${detail}`).join('; ');
  throw new RetryableError('FROZEN', `Nothing may move here until a freeze is lifted. ${why}`, { submissionId });
}
