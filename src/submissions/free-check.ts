/** The last look before money moves: whether a freeze or a halt covers what a submission would spend. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { RetryableError } from '../env/errors.ts';
import { covers } from '../ingestion/freezes.ts';

/**
 * A freeze or a halt that is committed when this is called stops the submission here. Its attempt stays as it is: without a signature it can be given up, with one it ends by proof.
 * @returns for each submission, in their order, null where nothing covers it; else FROZEN or HALTED with the reasons: to be noted, and tried again later.
 */
export async function obstaclesOf(
  db: Database,
  submissionIds: readonly string[],
): Promise<readonly (RetryableError | null)[]> {
  const spent = [sql`submission.treasury_id`, sql`submission.instrument_id`] as const;
  const { rows } = await sql<{ id: string; isHalt: boolean; why: string }>`
    SELECT submission.id, false AS "isHalt", frozen.reason || ': ' || frozen.detail AS why, frozen.opened_at AS since
    FROM submission JOIN money_freeze AS frozen ON ${covers(sql`frozen`, ...spent)} WHERE submission.id = ANY (${submissionIds}::text[])
    UNION ALL
    SELECT submission.id, true, halt.halted_by || ': ' || halt.why, halt.halted_at
    FROM submission JOIN halt ON ${covers(sql`halt`, ...spent)} WHERE submission.id = ANY (${submissionIds}::text[])
    ORDER BY since`.execute(db);
  return submissionIds.map((submissionId) =>
    obstacleOf(
      submissionId,
      rows.filter(({ id }) => id === submissionId),
    ),
  );
}

function obstacleOf(
  submissionId: string,
  rows: readonly { readonly isHalt: boolean; readonly why: string }[],
): RetryableError | null {
  if (rows.length === 0) return null;
  const why = rows.map((row) => row.why).join('; ');
  return rows.some(({ isHalt }) => isHalt)
    ? new RetryableError('HALTED', `Nothing may be signed here until a halt is lifted. ${why}`, { submissionId })
    : new RetryableError('FROZEN', `Nothing may move here until a freeze is lifted. ${why}`, { submissionId });
}
