/**
 * The loops that execute withdrawals: the passes of `submissions/attempt-loop.ts`, where what waits are queued withdrawals that get funds, and a try is a transfer through the registry's factory. Beside it what keeps the treasury
 * able to pay, and what takes offers back.
 */
import { createGathering } from '../db/gathering.ts';
import { createWakeUp, runPollingLoop, type WakeUp } from '../db/polling-loop.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { passOver } from '../submissions/attempt-loop.ts';
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

/**
 * Runs until `signal` aborts. Each purpose has a loop of its own, so that a signer, registry or participant who does not answer about one of them holds up no other.
 * @throws as {@link runPollingLoop} does.
 */
export async function runAutomation(options: AutomationOptions): Promise<void> {
  const { treasury, clock, wakeUp, returnRules = DEFAULT_RETURN_RULES } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const upkeep = createWakeUp(clock);
  // Woken by nobody: what is to be taken back can wait for the next look, and almost no event is about it.
  const returns = createWakeUp(clock);
  const loop = (name: string, woken: WakeUp, pass: () => Promise<boolean>): Promise<void> =>
    runPollingLoop({ ...options, name: `${name} of ${treasury.name}`, pass, wakeUp: woken, pollMs: POLL_MS, signal });
  const loops = [
    loop('withdrawals', wakeUp, () => payOnce({ ...options, signal }, upkeep.wake)),
    loop('self-transfers', upkeep, () => upkeepOnce({ ...options, signal, wakeUp: upkeep })),
    loop('returns', returns, () => returnOnce({ ...options, signal, wakeUp: returns, returnRules })),
    runControl({ ...options, signal }),
  ];
  // None goes on without the others: what is paid has to be kept in hand.
  for (const each of loops) each.catch(() => failed.abort());
  const ends = await Promise.allSettled(loops);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** One pass over what pays. @param onSelfTransfers told when some were opened. @returns true when there may be more to do at once. */
async function payOnce(options: AutomationOptions, onSelfTransfers: () => void): Promise<boolean> {
  const { db, treasury, limits, logger } = options;
  const policyOf = createGathering<string, PaymentPolicy>(async (ids) => await readPaymentPolicies(db, ids));
  return await passOver({
    ...options,
    treasuryId: treasury.id,
    purpose: WITHDRAWALS,
    plan: planTransfers({ ...options, policyOf }),
    open: async (nowMicros) => {
      let haveSelf = false;
      const opened = await openAttempts(
        db,
        treasury.id,
        limits,
        nowMicros,
        (subjectId, error) =>
          logger.error('A withdrawal could not be given an attempt.', { subjectId, why: messageOf(error) }),
        () => {
          haveSelf = true;
        },
      );
      if (haveSelf) onSelfTransfers();
      return opened;
    },
    isGivenUpEarly: false,
    news: options.wakeUp,
  });
}

/** One pass over what keeps the treasury able to pay. @returns true when there may be more to do at once. */
async function upkeepOnce(options: AutomationOptions): Promise<boolean> {
  return await passOver({
    ...options,
    treasuryId: options.treasury.id,
    limits: { ...options.limits, attemptsMax: 1 },
    lane: 'UPKEEP',
    purpose: SELF_TRANSFERS,
    plan: planSelfTransfers(options),
    // They are opened with the withdrawals, out of the same funds. What comes to nothing before a signature frees its funds for whoever waits.
    isGivenUpEarly: true,
    news: options.wakeUp,
  });
}
