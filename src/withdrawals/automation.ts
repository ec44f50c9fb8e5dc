/**
 * The loop that executes withdrawals: the passes of `submissions/attempt-loop.ts`, where what waits are queued withdrawals that get funds, and a try is a transfer through the registry's factory.
 */
import { createGathering } from '../db/gathering.ts';
import type { WakeUp } from '../db/polling-loop.ts';
import { runPollingLoop } from '../db/polling-loop.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { passOver as passOverAttempts } from '../submissions/attempt-loop.ts';
import type { TryOptions } from '../submissions/attempt-try.ts';
import type { AttemptLimits } from '../submissions/attempts.ts';
import type { WitnessLedger } from '../submissions/input-witness.ts';
import { openAttempts } from './attempt-funding.ts';
import { WITHDRAWALS } from './attempts.ts';
import { runControl } from './control.ts';
import type { ReturnPlanOptions } from './offers/return-plan.ts';
import { DEFAULT_RETURN_RULES, type ReturnRules } from './offers/return-rules.ts';
import { returnOnce } from './offers/returns.ts';
import { type PaymentPolicy, readPaymentPolicies } from './payment-policy.ts';
import { planSelfTransfers } from './pool/self-transfer-plan.ts';
import { SELF_TRANSFERS } from './pool/self-transfers.ts';
import { planTransfers, type TransferPlanOptions } from './transfer-plan.ts';

export type AutomationOptions = Omit<TryOptions, 'purpose' | 'plan'> &
  TransferPlanOptions &
  ReturnPlanOptions & {
    /** When offers of ours are taken back. */
    readonly returnRules?: ReturnRules;
    readonly treasury: Treasury;
    /** Who is asked for a second witness before an attempt lapses; a ledger of its own. */
    readonly ledger: WitnessLedger;
    readonly limits: AttemptLimits;
    readonly logger: Logger;
    readonly wakeUp: WakeUp;
    readonly signal: AbortSignal;
  };

/** What is not configured, or as it is by default. */
export const DEFAULT_LIMITS: Omit<AttemptLimits, 'ttlMs' | 'attemptsMax'> = {
  recordTimeAgeMsMax: 35 * 60_000, // Record time of a quiet ledger moves at least every half hour.
  recordTimeAheadMsMax: 60_000, // The margin of a restore, where that is not configured.
  triesMax: 8,
  tryHoldMs: 20_000, // Longer than the deadlines of one try together.
};

const POLL_MS = 500;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runAutomation(options: AutomationOptions): Promise<void> {
  const { treasury, clock, random, logger, wakeUp } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const paying = runPollingLoop({
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
  const loops = [paying, runControl({ ...options, signal })];
  // Neither goes on without the other: what is paid has to be kept in hand.
  for (const loop of loops) loop.catch(() => failed.abort());
  const ends = await Promise.allSettled(loops);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** One pass over what pays, and over what keeps the treasury able to. @returns true when there may be more to do at once. */
export async function passOver(options: AutomationOptions): Promise<boolean> {
  const { db, treasury, limits } = options;
  const common = { ...options, treasuryId: treasury.id };
  const policyOf = createGathering<string, PaymentPolicy>(async (ids) => await readPaymentPolicies(db, ids));
  const isMore = await passOverAttempts({
    ...common,
    purpose: WITHDRAWALS,
    plan: planTransfers({ ...options, policyOf }),
    open: async (nowMicros) =>
      await openAttempts(db, treasury.id, limits, nowMicros, (subjectId, error) =>
        options.logger.error('A withdrawal could not be given an attempt.', { subjectId, why: messageOf(error) }),
      ),
    isGivenUpEarly: false,
    news: options.wakeUp,
  });
  const areMoreSelf = await passOverAttempts({
    ...common,
    limits: { ...limits, attemptsMax: 1 },
    lane: 'UPKEEP',
    purpose: SELF_TRANSFERS,
    plan: planSelfTransfers(options),
    // They are opened with the withdrawals, out of the same funds.
    open: async () => 0,
    // What comes to nothing before a signature frees its funds for whoever waits.
    isGivenUpEarly: true,
  });
  return isMore || areMoreSelf;
}
