/** A fan-out in which each client has so many subscriptions and no more, over all its sockets. */
import type { ClientLimiter } from './client-limits.ts';
import { isRefusal } from './client-limits.ts';
import { type FanOut, isDelivery } from './fan-out.ts';
import { limitError } from './operation-limits.ts';

export function limitSubscriptions(fanOut: FanOut, limiter: ClientLimiter): FanOut {
  return {
    ...fanOut,
    open: async (operation, principal) => {
      const release = limiter.open(principal, 'SUBSCRIPTIONS');
      if (isRefusal(release)) return { errors: [limitError(release)] };
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
