/**
 * At the head of the ledger: from the record time of an update, which simnet assigns in the moment in which it becomes visible there, to the commit of everything
 * that follows from it. Simnet runs in another process of the same machine and takes its times from the same clock, in microseconds.
 */
import { join } from 'node:path';
import type { Micros } from '../src/env/clock.ts';
import type { CatalogConfig } from '../src/ingestion/catalog.ts';
import type { EffectSink } from '../src/ingestion/effect-sink.ts';
import { startChild } from './child.ts';
import { prepareTreasury } from './server.ts';
import { quantile, wallMicros } from './statistics.ts';
import { runWorker } from './worker.ts';

export type LiveOptions = { readonly activities: number; readonly intervalMs: number };
export type LiveReady = {
  readonly url: string;
  readonly catalog: CatalogConfig;
  readonly memos: Readonly<Record<string, string>>;
};

/** A busy exchange: some twenty a second, at random distances. */
const LIVE: LiveOptions = { activities: 600, intervalMs: 50 };
/** The first ones meet code that was never run. */
const WARM_UP = 100;

export async function measureHeadLatency(connectionString: string): Promise<void> {
  const simnet = await startChild<LiveReady>(join(import.meta.dirname, 'simnet-process.ts'), LIVE);
  try {
    const treasury = await prepareTreasury(connectionString, simnet.ready);
    const latencies: number[] = [];
    let written: Micros[] = [];
    const watch: EffectSink = {
      name: 'watch',
      apply: async (_tx, _treasury, changes) => {
        written.push(...changes.map(({ recordTime }) => recordTime));
      },
    };
    await runWorker({
      connectionString,
      url: simnet.ready.url,
      treasury,
      sinks: [watch],
      onStarted: () => simnet.send('start'),
      isDone: async () => {
        const committedAt = wallMicros();
        latencies.push(...written.map((recordTime) => Number(committedAt - recordTime) / 1_000));
        written = [];
        return latencies.length >= LIVE.activities;
      },
    });
    const steady = latencies.slice(WARM_UP);
    console.log(
      `head: ${steady.length} updates, about ${1_000 / LIVE.intervalMs} a second, from visible on simnet to committed: ` +
        `p50 ${quantile(steady, 0.5).toFixed(1)} ms, p99 ${quantile(steady, 0.99).toFixed(1)} ms, worst ${Math.max(...steady).toFixed(1)} ms`,
    );
  } finally {
    await simnet.stop();
  }
}
