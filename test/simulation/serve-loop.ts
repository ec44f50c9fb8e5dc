/**
 * What a process runs, wired as the command line wires it. A further loop joins here: it takes its database, clock, failpoints and calls to the outside from the life
 * it is given, and with that every wait of its own becomes an operation of the scheduler.
 */
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createEventSequencer } from '../../src/db/event-sequencer.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import type { EffectSink, Treasury } from '../../src/ingestion/effect-sink.ts';
import { runStreamWorker, type StreamSettings } from '../../src/ingestion/stream-worker.ts';
import type { Life, ProcessLoop } from './process.ts';

/** Work beside ingestion. */
export type Extension = {
  /** Applied before the sinks of deposits and books. */
  readonly sinks?: (life: Life) => readonly EffectSink[];
  /** Runs until the life's signal aborts. */
  readonly loop?: (life: Life, treasury: Treasury) => Promise<void>;
};

export function serveLoop(
  catalog: CatalogConfig,
  settings: Partial<StreamSettings>,
  extensions: readonly Extension[],
): ProcessLoop {
  return async (life) => {
    const { db, clock, random } = life;
    const treasuries = await registerCatalog(db, catalog);
    const sequencer = createEventSequencer({ ...life, clock: life.lazyClock });
    const sinks = [
      ...extensions.flatMap((extension) => extension.sinks?.(life) ?? []),
      createDepositSink({ clock }),
      createTreasurySink(),
    ];
    const holder = random.uuid();
    const leases = createLeases({ db, clock });
    await Promise.all([
      ...treasuries.map(
        async (treasury) => await runStreamWorker({ ...life, leases, treasury, sinks, holder, settings }),
      ),
      ...treasuries.flatMap((treasury) => extensions.flatMap((extension) => extension.loop?.(life, treasury) ?? [])),
      sequencer.run(),
    ]);
  };
}
