/** The stream worker as `serve` runs it, until it has stored so many updates. */
import { createTreasurySink } from '../src/books/treasury-sink.ts';
import { createDatabase, type Database } from '../src/db/connection.ts';
import { createLeases } from '../src/db/lease.ts';
import { createDepositSink } from '../src/deposits/deposit-sink.ts';
import { type Failpoint, noFailpoints } from '../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';
import type { EffectSink, Treasury } from '../src/ingestion/effect-sink.ts';
import { runStreamWorker } from '../src/ingestion/stream-worker.ts';
import { createLedgerClient } from '../src/ledger/ledger-client.ts';
import { createWithdrawalSink } from '../src/withdrawals/withdrawal-sink.ts';

export type WorkerOptions = {
  readonly connectionString: string;
  /** Of the participant. */
  readonly url: string;
  readonly treasury: Treasury;
  /** Asked after every commit; true ends the run. */
  readonly isDone: (db: Database) => Promise<boolean>;
  readonly onStarted?: () => void;
  /** After the real ones. */
  readonly sinks?: readonly EffectSink[];
};

/** Runs the worker until `isDone`. @returns seconds, from before it connects to after the last commit. */
export async function runWorker({
  connectionString,
  url,
  treasury,
  isDone,
  sinks = [],
  onStarted,
}: WorkerOptions): Promise<number> {
  const logger = createSystemLogger('error');
  // A batch, a lease renewal and the question whether it is done.
  const { db, close } = createDatabase({ connectionString, applicationName: 'bench-ingest', poolSizeMax: 3, logger });
  const ledger = createLedgerClient({ url });
  const controller = new AbortController();
  const startedAt = performance.now();
  let endedAt = startedAt;
  const failpoint: Failpoint = async (name) => {
    if (name !== 'ingestion.afterCommit') return noFailpoints(name);
    const committedAt = performance.now();
    if (await isDone(db)) {
      endedAt = committedAt;
      controller.abort();
    }
  };
  onStarted?.();
  try {
    await runStreamWorker({
      db,
      leases: createLeases({ db, clock: systemClock }),
      ledger,
      treasury,
      sinks: [
        createDepositSink({ clock: systemClock }),
        createTreasurySink(),
        createWithdrawalSink({ clock: systemClock, logger }),
        ...sinks,
      ],
      holder: systemRandom.uuid(),
      clock: systemClock,
      random: systemRandom,
      logger,
      failpoint,
      signal: controller.signal,
    });
  } finally {
    ledger.close();
    await close();
  }
  return (endedAt - startedAt) / 1_000;
}

/** For `isDone`: whether `count` updates of the treasury are stored. */
export function hasStored(treasury: Treasury, count: number): (db: Database) => Promise<boolean> {
  return async (db) => {
    const row = await db
      .selectFrom('ingestion_stream')
      .select('updates_count')
      .where('treasury_id', '=', treasury.id)
      .executeTakeFirst();
    return row !== undefined && row.updates_count >= BigInt(count);
  };
}
