/**
 * Chains audit entries: what triggers wrote with a decision gets its place, and its hash over the one before, once it is committed
 * (migrations/0025). Every process may run one; they take turns at the head of the chain.
 */
import { sql } from 'kysely';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Database } from './connection.ts';
import { createWakeUp, runPollingLoop } from './polling-loop.ts';

/** Entries per transaction: some ten milliseconds of work, so that nobody waits long at the head. */
const BATCH_SIZE_MAX = 500;
/** 1 s: how long an entry stands unchained, and can still be taken away without a trace. */
const POLL_MS = 1_000;

/** One batch. @returns how many entries were chained; 0: none waits. */
export async function chainAuditEntries(db: Database): Promise<number> {
  // Looked at first without a lock: nearly always there is nothing, and nobody should stand at the head for that.
  const { rows } = await sql<{ count: number }>`
    SELECT CASE WHEN EXISTS (SELECT FROM audit_outbox) THEN chain_audit(${BATCH_SIZE_MAX}::int) ELSE 0 END AS count`.execute(
    db,
  );
  return rows[0]?.count ?? 0;
}

/** Works until the signal aborts. @throws as {@link runPollingLoop} does. */
export async function runAuditChain(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { db, clock, random, logger, signal } = options;
  await runPollingLoop({
    name: 'audit chain',
    pass: async () => (await chainAuditEntries(db)) === BATCH_SIZE_MAX,
    wakeUp: createWakeUp(clock),
    pollMs: POLL_MS,
    clock,
    random,
    logger,
    signal,
  });
}
