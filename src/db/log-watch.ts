/**
 * Keeps what this process knows of the log, and of what must not move, up to date; so that a database that goes back under it is noticed by whoever looks first, and found to lack what was seen a moment
 * before.
 */
import type { Clock } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { type AuditHead, auditDoubtOf, describeAuditDoubt, freezeForAudit, readAuditHead } from './audit-head.ts';
import type { Database } from './connection.ts';
import { checkLogHistory, type LogMemory } from './log-history.ts';

const LOOK_MS = 500; // Two statements of a millisecond; the anchor is written once a second.

export type LogWatchOptions = {
  readonly db: Database;
  readonly memory: LogMemory;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

/** Runs until `signal` aborts. A database that is away is looked for again, however long it takes. @throws PermanentError of the database. */
export async function runLogWatch(options: LogWatchOptions & { readonly signal: AbortSignal }): Promise<void> {
  const { clock, logger, signal } = options;
  while (!signal.aborted) {
    try {
      await lookAtLog(options);
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error;
      logger.debug('The event log could not be looked at.', { why: messageOf(error) });
    }
    await clock.sleep(LOOK_MS, signal);
  }
}

/** One look. */
export async function lookAtLog({ db, memory, clock, random, logger }: LogWatchOptions): Promise<void> {
  // In this order: what is read from a database that turns out to be another one must not take the place of what is known. Another loop of this process may have noted that it is while this one was reading: then
  // what was read is of what was there before that, and says nothing.
  const before = memory.known();
  const kept = (await memory.keeper?.read(db)) ?? null;
  const head = await readAuditHead(db, memory.audit());
  const isKnown = await checkLogHistory(db, { memory, random, logger, nowMicros: clock.nowMicros() });
  const isOfNow = before === null || before.epoch === memory.known()?.epoch;
  if (isKnown && isOfNow) memory.noteKept(kept);
  // A standby may lag, and says nothing against what was seen.
  if (head === null) return;
  if (!isKnown) return memory.noteAudit(null); // Of a database that went back, which has its own freeze: what is there now is where it goes on.
  if (isOfNow) await judgeAudit(head);

  /** What was seen is held on to where the audit is not what became of it. */
  async function judgeAudit(seen: AuditHead): Promise<void> {
    const known = memory.audit();
    const doubt = auditDoubtOf(seen, known);
    if (doubt === null || known === null) return memory.noteAudit(seen);
    const detail = describeAuditDoubt(doubt, seen, known);
    await freezeForAudit(db, { detail, position: known.position, nowMicros: clock.nowMicros(), logger });
  }
}
