/** What decides about deposits, wired from the configuration: the desk and its limits for the API, the screening loop for the workers. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { OUTBOX_CHANNEL } from '../db/event-log.ts';
import type { Notifications } from '../db/notifications.ts';
import { createWakeUp } from '../db/polling-loop.ts';
import { createDesk, type Desk, type DeskLimits } from '../deposits/desk.ts';
import { createScreeningClient } from '../deposits/screening-client.ts';
import { wereScreened } from '../deposits/screening-gate.ts';
import { runScreening, SCREENING_LIMITS } from '../deposits/screening-loop.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { parseAmount } from '../tokens/amount.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import type { ServiceEnv } from './service-config.ts';
import type { ServiceLoops } from './service-loops.ts';

/** Whether deposits wait for a verdict. */
export function isScreening({ screeningUrl }: Pick<Config, 'screeningUrl'>): boolean {
  return screeningUrl !== null;
}

/**
 * Whether deposits that a command books wait for a verdict. A terminal has seldom all of the service's configuration: where deposits were ever screened, its silence about the screening service is no leave to credit without one.
 * @param isUnscreened somebody has said that nobody screens them any more. @throws PermanentError SCREENING_UNKNOWN.
 */
export async function demandScreening(
  db: Database,
  config: Pick<Config, 'screeningUrl'>,
  isUnscreened: boolean,
): Promise<boolean> {
  if (isScreening(config)) return true;
  if (isUnscreened || !(await wereScreened(db))) return false;
  throw new PermanentError(
    'SCREENING_UNKNOWN',
    'Deposits are screened here, and what this books would be credited without: give the command SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET as the service has them. Where nobody screens them any more: --unscreened.',
  );
}

export function openDesk(
  config: Pick<Config, 'screeningUrl' | 'deskLimits' | 'instruments'>,
  parts: { readonly db: Database; readonly clock: Clock; readonly withdrawals: Withdrawals | null },
): Desk {
  return createDesk({ ...parts, limits: deskLimitsOf(config), isScreening: isScreening(config) });
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
}): (working: ServiceLoops) => void {
  const { config, env, lane, notifications } = parts;
  const { screeningUrl, screeningSecret, screeningTries } = config;
  if (screeningUrl === null || screeningSecret === null) return () => undefined;
  const db = lane('screening', CONNECTIONS);
  const client = createScreeningClient({
    url: screeningUrl,
    secret: Buffer.from(screeningSecret.reveal(), 'hex'),
    fetch,
    clock: env.clock,
  });
  return (working) => {
    working.run('screening', async (signal) => {
      const wakeUp = createWakeUp(env.clock);
      const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      const limits = { ...SCREENING_LIMITS, triesMax: screeningTries };
      await runScreening({ ...env, db, client, limits, wakeUp, signal }).finally(unlisten);
    });
  };
}

const CONNECTIONS = 2; // Questions spend their time waiting for the service, not for the database.
