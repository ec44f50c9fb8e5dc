/**
 * The loop that executes withdrawals: the passes of `submissions/attempt-loop.ts`, where what waits are queued withdrawals that get funds, and a try is a transfer through the registry's factory.
 */
import type { WakeUp } from '../db/polling-loop.ts';
import { runPollingLoop } from '../db/polling-loop.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { passOver as passOverAttempts } from '../submissions/attempt-loop.ts';
import type { TryOptions } from '../submissions/attempt-try.ts';
import type { AttemptLimits } from '../submissions/attempts.ts';
import { openAttempts } from './attempt-funding.ts';
import { WITHDRAWALS } from './attempts.ts';
import type { ReturnPlanOptions } from './offers/return-plan.ts';
import { DEFAULT_RETURN_RULES, type ReturnRules } from './offers/return-rules.ts';
import { returnOnce } from './offers/returns.ts';
import { readPaymentPolicy } from './payment-policy.ts';
import { planTransfers, type TransferPlanOptions } from './transfer-plan.ts';

export type AutomationOptions = Omit<TryOptions, 'purpose' | 'plan'> &
  TransferPlanOptions &
  ReturnPlanOptions & {
    /** When offers of ours are taken back. */
    readonly returnRules?: ReturnRules;
    readonly treasury: Treasury;
    readonly limits: AttemptLimits;
    readonly logger: Logger;
    readonly wakeUp: WakeUp;
    readonly signal: AbortSignal;
  };

/** What is not configured. */
export const DEFAULT_LIMITS: Omit<AttemptLimits, 'ttlMs' | 'attemptsMax'> = {
  recordTimeAgeMsMax: 35 * 60_000, // Record time of a quiet ledger moves at least every half hour.
  triesMax: 8,
  tryHoldMs: 20_000, // Longer than the deadlines of one try together.
};

const POLL_MS = 500;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runAutomation(options: AutomationOptions): Promise<void> {
  const { treasury, clock, random, logger, wakeUp, signal } = options;
  await runPollingLoop({
    name: `withdrawals of ${treasury.name}`,
    pass: async () => {
      const isMore = await passOver(options);
      return (await returnOnce({ ...options, returnRules: options.returnRules ?? DEFAULT_RETURN_RULES })) || isMore;
    },
    wakeUp,
    pollMs: POLL_MS,
    clock,
    random,
    logger,
    signal,
  });
}

/** One pass. @returns true when there may be more to do at once. */
export async function passOver(options: AutomationOptions): Promise<boolean> {
  const { db, treasury, limits } = options;
  return await passOverAttempts({
    ...options,
    purpose: WITHDRAWALS,
    plan: planTransfers({ ...options, policyOf: async (submissionId) => await readPaymentPolicy(db, submissionId) }),
    treasuryId: treasury.id,
    open: async (nowMicros) =>
      await openAttempts(db, treasury.id, limits, nowMicros, (subjectId, error) =>
        options.logger.error('A withdrawal could not be given an attempt.', { subjectId, why: messageOf(error) }),
      ),
    isGivenUpEarly: false,
  });
}
