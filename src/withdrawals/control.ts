/**
 * The loop beside the one that pays: it gives back what may not be signed, fails what is overdue, cancels what another refund was paid for, asks the participant for a second witness before an attempt lapses, and hands to people what nobody can
 * read. It holds no state; any number of these may run at once, in any number of processes.
 */
import type { Database } from '../db/connection.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { hasOpenAttempts } from '../submissions/attempts.ts';
import { type WitnessLedger, witnessInputs } from '../submissions/input-witness.ts';
import { releaseNotLet } from '../submissions/release.ts';
import { WITHDRAWALS } from './attempts.ts';
import { failOverdue } from './overdue.ts';
import { cancelSuperseded } from './superseded-refund.ts';
import { markUnreadable } from './unreadable-attempts.ts';

export type ControlOptions = {
  readonly db: Database;
  readonly treasury: Treasury;
  /** For this loop alone: asking it which participant answers chooses one. */
  readonly ledger: WitnessLedger;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

const POLL_MS = 500;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runControl(options: ControlOptions): Promise<void> {
  const { treasury, clock } = options;
  await runPollingLoop({
    ...options,
    name: `control of withdrawals of ${treasury.name}`,
    pass: () => controlOnce(options),
    wakeUp: createWakeUp(clock),
    pollMs: POLL_MS,
  });
}

/** One pass. @returns true when there may be more to do at once. */
export async function controlOnce(options: ControlOptions): Promise<boolean> {
  const { db, treasury, clock, logger } = options;
  const isAnyOpen = await hasOpenAttempts(db, WITHDRAWALS, treasury.id);
  const released = isAnyOpen ? await releaseNotLet(db, WITHDRAWALS, treasury.id, clock.nowMicros()) : 0;
  const overdue = await failOverdue(db, treasury.id, clock.nowMicros(), (subjectId, error) =>
    logger.error('A withdrawal that is overdue could not be failed.', { subjectId, why: messageOf(error) }),
  );
  const superseded = await cancelSuperseded(db, treasury.id, clock.nowMicros());
  if (superseded > 0)
    logger.warn('Refunds are cancelled that a restored database had open beside one that was paid.', { superseded });
  if (!isAnyOpen) return overdue + superseded > 0;
  const unreadable = await markUnreadable(db, treasury.id, clock.nowMicros());
  if (unreadable > 0) logger.error('Withdrawals need people: nobody can read whether they were paid.', { unreadable });
  await witnessInputs({ ...options, treasuryId: treasury.id, purpose: WITHDRAWALS });
  return released + overdue + superseded + unreadable > 0;
}
