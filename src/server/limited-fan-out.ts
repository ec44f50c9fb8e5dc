/** A fan-out in which each client has so many subscriptions and no more, over all its sockets. */
import { getOperationAST } from 'graphql';
import type { ClientLimiter } from './client-limits.ts';
import { isRefusal } from './client-limits.ts';
import { type FanOut, isDelivery } from './fan-out.ts';
import { limitError } from './operation-limits.ts';
import type { CostOf } from './query-limits.ts';

export function limitSubscriptions(fanOut: FanOut, limiter: ClientLimiter, costOf: CostOf): FanOut {
  return {
    ...fanOut,
    open: async (operation, principal) => {
      const release = limiter.open(principal, 'SUBSCRIPTIONS');
      if (isRefusal(release)) return { errors: [limitError(release)] };
      const asked = getOperationAST(operation.document, operation.operationName);
      // Those of one withdrawal begin with its present state: opened and ended again and again, they are questions.
      if (asked != null) limiter.charge(principal, costOf(operation.document, asked));
      try {
        const opened = await fanOut.open(operation, principal);
        if (!isDelivery(opened)) {
          release();
          return opened;
        }
        return {
          ...opened,
          run: async (sink) => {
            try {
              return await opened.run(sink);
            } finally {
              release();
            }
          },
          stop: () => {
            release();
            opened.stop();
          },
        };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}
