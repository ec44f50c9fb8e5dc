/** The policy of withdrawals, wired from the configuration: the loop that judges again, and the one that has withdrawals screened. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { OUTBOX_CHANNEL } from '../db/event-log.ts';
import type { Notifications } from '../db/notifications.ts';
import { createWakeUp } from '../db/polling-loop.ts';
import { createScreeningClient } from '../deposits/screening-client.ts';
import { runScreening, SCREENING_LIMITS } from '../deposits/screening-loop.ts';
import { runPolicyLoop } from '../policy/policy-loop.ts';
import { WITHDRAWAL_SCREENING } from '../policy/withdrawal-screening.ts';
import type { ServiceEnv } from './service-config.ts';
import type { ServiceLoops } from './service-loops.ts';

/** @returns what starts the loops. Without a screening service what the policy wants screened waits. */
export function preparePolicy(parts: {
  readonly config: Pick<Config, 'screeningUrl' | 'screeningSecret' | 'screeningTries'>;
  readonly env: ServiceEnv;
  readonly lane: (name: string, poolSizeMax: number) => Database;
  readonly notifications: Notifications;
}): (working: ServiceLoops) => void {
  const { config, env, lane, notifications } = parts;
  const { screeningUrl, screeningSecret, screeningTries } = config;
  const db = lane('policy', CONNECTIONS);
  return (working) => {
    working.run('policy', async (signal) => {
      const wakeUp = createWakeUp(env.clock);
      const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      await runPolicyLoop({ ...env, db, wakeUp, signal }).finally(unlisten);
    });
    if (screeningUrl === null || screeningSecret === null) return;
    const client = createScreeningClient({
      url: screeningUrl,
      secret: Buffer.from(screeningSecret.reveal(), 'hex'),
      fetch,
      clock: env.clock,
    });
    working.run(WITHDRAWAL_SCREENING.name, async (signal) => {
      const wakeUp = createWakeUp(env.clock);
      const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      const limits = { ...SCREENING_LIMITS, triesMax: screeningTries };
      await runScreening({ ...env, db, kind: WITHDRAWAL_SCREENING, client, limits, wakeUp, signal }).finally(unlisten);
    });
  };
}

const CONNECTIONS = 2; // One withdrawal at a time, and answers of the screening service.
