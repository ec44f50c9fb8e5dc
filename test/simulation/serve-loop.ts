/**
 * What a process runs, wired as the command line wires it. A further loop joins here: it takes its database, clock, failpoints and calls to the outside from the life
 * it is given, and with that every wait of its own becomes an operation of the scheduler.
 */
import { createSinks } from '../../src/cli/effect-sinks.ts';
import { createEventSequencer } from '../../src/db/event-sequencer.ts';
import { openEventTail } from '../../src/db/event-tail.ts';
import { createLeases, type Leases } from '../../src/db/lease.ts';
import { checkLogHistory } from '../../src/db/log-history.ts';
import { runLogWatch } from '../../src/db/log-watch.ts';
import type { Micros } from '../../src/env/clock.ts';
import { type RetryPolicy, retry } from '../../src/env/retry.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { runStreamWorker, type StreamSettings } from '../../src/ingestion/stream-worker.ts';
import { runReopening } from '../../src/withdrawals/reopening.ts';
import type { RecoverPayment } from '../../src/withdrawals/withdrawal-sink.ts';
import { KEEPER_STRETCH, type Life, type ProcessLoop } from './process.ts';

/** Work beside ingestion. */
export type Extension = {
  /** Runs until the life's signal aborts. */
  readonly loop?: (life: Life, treasury: Treasury) => Promise<void>;
};

export type Wiring = {
  readonly catalog: CatalogConfig;
  readonly settings: Partial<StreamSettings>;
  readonly extensions: readonly Extension[];
  /** At the start, as `createSinks` has it; null: nothing is screened, and nothing is waited for. */
  readonly screenedSinceOf: ((life: Life) => Promise<Micros | null>) | null;
  /** As `createSinks` has it. */
  readonly recoverOf: (life: Life) => RecoverPayment | undefined;
};

export function serveLoop({ catalog, settings, extensions, screenedSinceOf, recoverOf }: Wiring): ProcessLoop {
  return async (life) => {
    const { history } = life;
    const watching = history === null ? [] : await watchHistory(life, history);
    // Whoever watches may end the process while the rest is still beginning.
    await Promise.all([work(life), ...watching]);
  };

  async function work(life: Life): Promise<void> {
    const { db, clock, random, history } = life;
    const screenedSince = screenedSinceOf === null ? null : await screenedSinceOf(life);
    const treasuries = await registerCatalog(db, catalog);
    const sequencer = createEventSequencer({
      ...life,
      clock: life.lazyClock,
      ...(history !== null && { memory: history.memory }),
    });
    const sinks = createSinks({ ...life, screenedSince, recover: recoverOf(life) });
    const holder = random.uuid();
    const leases = longerWhenCalm(createLeases({ db, clock }), life);
    await Promise.all([
      ...treasuries.map(
        async (treasury) =>
          await runStreamWorker({ ...life, clock: life.keeperClock, leases, treasury, sinks, holder, settings }),
      ),
      ...treasuries.flatMap((treasury) => extensions.flatMap((extension) => extension.loop?.(life, treasury) ?? [])),
      sequencer.run(),
    ]);
  }
}

/** Leases that last as much longer as their keepers then sleep. */
function longerWhenCalm(leases: Leases, { isCalm }: Life): Leases {
  const lasting = (ttlMs: number): number => (isCalm() ? ttlMs * KEEPER_STRETCH : ttlMs);
  return {
    ...leases,
    acquire: async (request) => await leases.acquire({ ...request, ttlMs: lasting(request.ttlMs) }),
    renew: async (lease, ttlMs) => await leases.renew(lease, lasting(ttlMs)),
  };
}

/** As `serve` starts, except that its tail, which nobody reads from here, begins with the rest. */
const START: RetryPolicy = { attemptsMax: 10, delayMsMin: 200, delayMsMax: 5_000 };

/** What a process does that knows its database again: it looks before it begins and ever after, ends when another log stands there than it has read, and opens what is closed once nothing can be lost. */
async function watchHistory(
  life: Life,
  { memory, anchor }: NonNullable<Life['history']>,
): Promise<readonly Promise<void>[]> {
  const { db, clock, keeperClock, lazyClock, logger, random, signal } = life;
  await retry(
    async () => await checkLogHistory(db, { memory, random, logger, nowMicros: clock.nowMicros() }),
    START,
    life,
  );
  const tail = await openEventTail({ ...life, clock: lazyClock });
  return [
    anchor.run(keeperClock, signal),
    runLogWatch({ ...life, clock: keeperClock, memory }),
    tail.run(),
    runReopening({ ...life, clock: lazyClock }),
  ];
}
