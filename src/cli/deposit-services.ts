/** What decides about deposits, wired from the configuration: the desk and its limits for the API, the screening loop for the workers. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { OUTBOX_CHANNEL } from '../db/event-log.ts';
import type { Notifications } from '../db/notifications.ts';
import { createWakeUp } from '../db/polling-loop.ts';
import { depositScreening } from '../deposits/deposit-screening.ts';
import { createDesk, type Desk, type DeskLimits, type DeskOptions } from '../deposits/desk.ts';
import { createScreeningClient } from '../deposits/screening-client.ts';
import { runScreening, SCREENING_LIMITS } from '../deposits/screening-loop.ts';
import type { PaidRefunds } from '../deposits/sent-back.ts';
import { parseAmount } from '../tokens/amount.ts';
import type { ServiceEnv } from './service-config.ts';
import type { ServiceLoops } from './service-loops.ts';

/** Whether deposits are to wait for a verdict, as this process is configured: what decides stands in the database (src/deposits/screening-mode.ts). */
export function isScreeningWanted({
  screeningUrl,
  depositScreening,
}: Pick<Config, 'screeningUrl' | 'depositScreening'>): boolean {
  return depositScreening === null ? screeningUrl !== null : depositScreening === 'on';
}

export function openDesk(config: Pick<Config, 'deskLimits' | 'instruments'>, parts: Omit<DeskOptions, 'limits'>): Desk {
  return createDesk({ ...parts, limits: deskLimitsOf(config) });
}

/** The configuration names instruments; the desk knows them by admin and id. */
export function deskLimitsOf({ deskLimits, instruments }: Pick<Config, 'deskLimits' | 'instruments'>): DeskLimits {
  return new Map(
    deskLimits.flatMap(({ instrument, amount }) =>
      instruments
        .filter(({ name }) => name === instrument)
        .map(({ admin, id }) => [`${admin}/${id}`, parseAmount(amount)] as const),
    ),
  );
}

/** @returns what starts the loop; it does nothing where no service is configured. */
export function prepareScreening(parts: {
  readonly config: Pick<Config, 'screeningUrl' | 'screeningSecret' | 'screeningTries'>;
  readonly env: ServiceEnv;
  readonly lane: (name: string, poolSizeMax: number) => Database;
  readonly notifications: Notifications;
  /** Of this installation; null: nothing is paid out from here. */
  readonly refunds: PaidRefunds;
}): (working: ServiceLoops) => void {
  const { config, env, lane, notifications, refunds } = parts;
  const { screeningUrl, screeningSecret, screeningTries } = config;
  if (screeningUrl === null || screeningSecret === null) return () => undefined;
  const db = lane('screening', CONNECTIONS);
  const client = createScreeningClient({
    url: screeningUrl,
    secret: Buffer.from(screeningSecret.reveal(), 'hex'),
    fetch,
    clock: env.clock,
  });
  const kind = depositScreening(refunds);
  return (working) => {
    working.run('screening', async (signal) => {
      const wakeUp = createWakeUp(env.clock);
      const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      const limits = { ...SCREENING_LIMITS, triesMax: screeningTries };
      await runScreening({ ...env, db, kind, client, limits, wakeUp, signal }).finally(unlisten);
    });
  };
}

const CONNECTIONS = 2; // Questions spend their time waiting for the service, not for the database.
