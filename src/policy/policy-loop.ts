/**
 * The loop that keeps what the policy says current: a version whose time has come begins to hold, what another version judged is judged again, and who was asked in vain is asked no longer. It holds no state that matters: any
 * number of these may run, each withdrawal is looked at in a transaction of its own, and what a crash leaves undone the next pass finds.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { isRestoring } from '../db/database-restore.ts';
import { runPollingLoop, type WakeUp } from '../db/polling-loop.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { isPoison } from '../ingestion/poison.ts';
import { isPaidBefore } from '../withdrawals/earlier-payment.ts';
import { holdPolicy } from './policy-in-force.ts';
import { lookAgain, type SecondLook } from './second-look.ts';

export type PolicyLoopOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly wakeUp: WakeUp;
  readonly signal: AbortSignal;
};

const POLL_MS = 500;
const LOOKED_AT_ONCE_MAX = 50; // Each a transaction of milliseconds, one after the other.
// A queue may be long, and almost always nothing of it needs a second look: it is searched when a version begins to hold, and from time to time for approvals that ran out.
const SEARCH_MICROS = 5_000_000n;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runPolicyLoop(options: PolicyLoopOptions): Promise<void> {
  let searchAt = options.clock.nowMicros();
  await runPollingLoop({
    ...options,
    name: 'policy',
    pollMs: POLL_MS,
    pass: async () => {
      const nowMicros = options.clock.nowMicros();
      const isSearched = (await beginVersions(options.db, nowMicros)) || nowMicros >= searchAt;
      const isMore = await passOverPolicy(options, { isSearched });
      if (isSearched && !isMore) searchAt = nowMicros + SEARCH_MICROS;
      return isMore;
    },
  });
}

/** One pass. @param search.isSearched whether what is queued or in flight is looked through, too. @returns true when there may be more to do at once. */
export async function passOverPolicy(
  options: Pick<PolicyLoopOptions, 'db' | 'clock' | 'logger'>,
  { isSearched }: { readonly isSearched: boolean },
): Promise<boolean> {
  const { db, clock, logger } = options;
  const nowMicros = clock.nowMicros();
  await beginVersions(db, nowMicros);
  const ids = await findOverdue(db, nowMicros, isSearched);
  let changed = 0;
  for (const id of ids) {
    const looked = await lookAtOne(options, id);
    if (looked === 'AS_IT_WAS') continue;
    changed += 1;
    logger.info('The policy looked at a withdrawal again.', { withdrawalId: id, looked });
  }
  return ids.length >= LOOKED_AT_ONCE_MAX && changed > 0;
}

/** One that cannot be written about is in nobody else's way. */
async function lookAtOne(
  { db, clock, logger }: Pick<PolicyLoopOptions, 'db' | 'clock' | 'logger'>,
  withdrawalId: string,
): Promise<SecondLook> {
  try {
    return await lookAgain(db, withdrawalId, clock.nowMicros());
  } catch (error) {
    if (!isPoison(error)) throw error;
    logger.error('The policy could not look at a withdrawal again.', { withdrawalId, why: messageOf(error) });
    return 'AS_IT_WAS';
  }
}

/** @returns whether another version holds now. */
async function beginVersions(db: Database, nowMicros: Micros): Promise<boolean> {
  const { rows } = await sql<{ networkId: number }>`
    SELECT DISTINCT v.network_id AS "networkId" FROM policy_version v LEFT JOIN policy_in_force f ON f.network_id = v.network_id
    WHERE v.effective_at <= ${nowMicros} AND v.version > coalesce(f.version, 0)`.execute(db);
  for (const { networkId } of rows) {
    await db.transaction().execute(async (tx) => await holdPolicy(tx, networkId, nowMicros));
  }
  return rows.length > 0;
}

async function findOverdue(db: Database, nowMicros: Micros, isSearched: boolean): Promise<readonly string[]> {
  const leave = sql`policy_leave(w.id, w.verdict, w.network_id, ${nowMicros}::bigint)`;
  const isOutdated = sql`coalesce(v.policy_version, 0) <> coalesce(f.version, 0)`;
  // What was paid before is ended by people, with evidence: it would only stand in front of the others here.
  const isUnpaid = sql`NOT ${isPaidBefore(sql`ARRAY[w.id]`)}`;
  const isLate = sql`(v.expires_at <= ${nowMicros} AND ${leave} = 'APPROVALS' AND ${isUnpaid})`;
  // Enough people had said yes when it was judged, and some of that has run out since, before the question itself did.
  const isRunOut = sql`(v.approvals_needed > 0 AND EXISTS (
      SELECT FROM withdrawal_approval a
      WHERE a.withdrawal_id = w.id AND a.decision = 'APPROVE' AND a.expires_at > v.decided_at AND a.expires_at <= ${nowMicros}
    ) AND ${leave} = 'APPROVALS' AND policy_leave(w.id, w.verdict, w.network_id, NULL) <> 'APPROVALS')`;
  // Denied while it was in flight, which only the ledger ends; what has come back from there ends now.
  const isDenied = sql`(w.state = 'QUEUED' AND (v.kind = 'DENY' OR (v.needs_screening AND EXISTS (
      SELECT FROM withdrawal_screening s WHERE s.withdrawal_id = w.id AND s.state = 'DENIED'
    ))) AND ${isUnpaid})`;
  // What a database that went back has lost may have paid it: until the ledger has told, it does not end.
  const isCertain = sql`NOT ${isRestoring(sql`w.treasury_id`)}`;
  const joined = sql`
    FROM withdrawal w LEFT JOIN policy_verdict v ON v.withdrawal_id = w.id AND v.number = w.verdict
    LEFT JOIN policy_in_force f ON f.network_id = w.network_id`;
  // Whoever says the last yes lets it go on at once: that nobody did is looked for from time to time, as it costs the whole question for each that waits.
  const { rows } = await sql<{ id: string }>`
    (SELECT w.id ${joined} WHERE ${isCertain} AND w.state = 'AWAITING_APPROVAL'
       AND (${isOutdated} OR ${isLate} OR (${isSearched} AND (${isRunOut} OR ${leave} = 'GIVEN')))
     ORDER BY w.created_at, w.id LIMIT ${LOOKED_AT_ONCE_MAX})
    UNION ALL
    (SELECT w.id ${joined} WHERE ${isCertain} AND ${isSearched} AND w.state IN ('QUEUED', 'IN_FLIGHT')
       AND (${isOutdated} OR ${isLate} OR ${isRunOut} OR ${isDenied})
     ORDER BY w.created_at, w.id LIMIT ${LOOKED_AT_ONCE_MAX})`.execute(db);
  return rows.map(({ id }) => id);
}
