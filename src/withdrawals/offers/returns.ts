/**
 * Taking back offers of ours that nobody accepted in time, or that somebody wants back. It holds no state; any number of these may run at once, in any number of processes.
 *
 *   find    what is to be taken back is noted.
 *   then    the passes of `submissions/attempt-loop.ts`: what is due gets an attempt, a try is the standard's choice on the offer, and only the ledger says what came of it: whoever is faster there, the
 *           receiver who accepts, the admin who lets it expire, or we.
 */
import type { WakeUp } from '../../db/polling-loop.ts';
import type { Micros } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import { passOver } from '../../submissions/attempt-loop.ts';
import type { TryOptions } from '../../submissions/attempt-try.ts';
import type { AttemptLimits } from '../../submissions/attempts.ts';
import { findReturns } from './return-finding.ts';
import { openReturnAttempts } from './return-opening.ts';
import { planReturns, type ReturnPlanOptions } from './return-plan.ts';
import { returnPurpose } from './return-purpose.ts';
import type { ReturnRules } from './return-rules.ts';

export type ReturnOptions = Omit<TryOptions, 'purpose' | 'plan'> &
  ReturnPlanOptions & {
    readonly treasury: { readonly id: number };
    readonly limits: AttemptLimits;
    readonly returnRules: ReturnRules;
    readonly logger: Logger;
    /** What the loop waits on between passes. */
    readonly wakeUp: WakeUp;
    readonly signal: AbortSignal;
  };

/** One pass. @returns true when there may be more to do at once. */
export async function returnOnce(options: ReturnOptions): Promise<boolean> {
  const { db, treasury, returnRules: rules, clock, failpoint } = options;
  const find = async (nowMicros: Micros): Promise<number> => {
    const count = await findReturns(db, treasury.id, rules, nowMicros);
    if (count > 0) await failpoint('returns.afterFinding');
    return count;
  };
  // Before anything is asked of the budget: what is found is shown, whether it can go or not.
  const found = await find(clock.nowMicros());
  let looks = 0;
  const limits: AttemptLimits = { ...options.limits, triesMax: rules.triesPerAttemptMax };
  const isMore = await passOver({
    ...options,
    limits,
    purpose: returnPurpose(rules),
    plan: planReturns(options),
    treasuryId: treasury.id,
    open: async (nowMicros) => {
      looks += 1;
      if (looks > 1) await find(nowMicros);
      return await openReturnAttempts(db, treasury.id, limits, rules, nowMicros, (subjectId, error) =>
        options.logger.error('The return of an offer could not be given an attempt.', {
          subjectId,
          why: messageOf(error),
        }),
      );
    },
    isGivenUpEarly: true,
    news: options.wakeUp,
  });
  return isMore || found > 0;
}
