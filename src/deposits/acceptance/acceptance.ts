/**
 * The loop that accepts offers for accounts we know. It holds no state; any number of these may run at once, in any number of processes.
 *
 *   find    offers for known accounts are noted.
 *   then    the passes of `submissions/attempt-loop.ts`: what is due gets an attempt, a try is the standard's choice on the offer, and only the ledger says what came of it.
 */
import { createWakeUp, runPollingLoop, type WakeUp } from '../../db/polling-loop.ts';
import type { Micros } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import type { Treasury } from '../../ingestion/effect-sink.ts';
import { passOver } from '../../submissions/attempt-loop.ts';
import type { TryOptions } from '../../submissions/attempt-try.ts';
import { findOffers } from './offer-finding.ts';
import { openOfferAttempts } from './offer-opening.ts';
import { type OfferPlanOptions, planOffers } from './offer-plan.ts';
import { offerPurpose } from './offer-purpose.ts';
import { forgetWindows } from './offer-spending.ts';

export type AcceptanceOptions = Omit<TryOptions, 'purpose' | 'plan'> &
  OfferPlanOptions & {
    readonly treasury: Treasury;
    readonly logger: Logger;
    readonly wakeUp: WakeUp;
    readonly signal: AbortSignal;
  };

const POLL_MS = 500;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runAcceptance(options: AcceptanceOptions): Promise<void> {
  const { treasury, clock, random, logger, wakeUp, signal } = options;
  await runPollingLoop({
    name: `offers to ${treasury.name}`,
    pass: () => acceptanceOnce(options),
    wakeUp,
    pollMs: POLL_MS,
    clock,
    random,
    logger,
    signal,
  });
}

/** One pass. @returns true when there may be more to do at once. */
export async function acceptanceOnce(options: AcceptanceOptions): Promise<boolean> {
  const { db, treasury, rules, clock, failpoint } = options;
  const find = async (nowMicros: Micros): Promise<number> => {
    const count = await findOffers(db, treasury.id, nowMicros);
    if (count > 0) {
      await failpoint('offers.afterFinding');
      await forgetWindows(db, treasury.id, nowMicros);
    }
    return count;
  };
  // Before anything is asked of the budget: what is found is shown, whether it can go or not.
  const found = await find(clock.nowMicros());
  let looks = 0;
  const isMore = await passOver({
    ...options,
    purpose: offerPurpose(rules),
    plan: planOffers(options),
    treasuryId: treasury.id,
    limits: rules.limits,
    open: async (nowMicros) => {
      looks += 1;
      if (looks > 1) await find(nowMicros);
      return await openOfferAttempts(db, treasury.id, rules, nowMicros, (subjectId, error) =>
        options.logger.error('An offer could not be given an attempt.', { subjectId, why: messageOf(error) }),
      );
    },
    isGivenUpEarly: true,
    // Woken by nobody: what comes while tries are under way is looked for from time to time, and not at each of the events that others cause.
    news: createWakeUp(clock),
  });
  return isMore || found > 0;
}
