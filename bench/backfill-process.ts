/** The process whose memory is measured: the stream worker and nothing else. Argument: JSON of BackfillOptions. Ends by itself when all updates are stored. */

import type { BackfillOptions, BackfillSample } from './backfill.ts';
import { prepareTreasury } from './server.ts';
import { runWorker } from './worker.ts';

const { connectionString, url, catalog, memos, updates }: BackfillOptions = JSON.parse(process.argv[2] ?? '{}');
const treasury = await prepareTreasury(connectionString, { catalog, memos });
const SAMPLE_MS = 1_000;
const startedAt = performance.now();
let sampledAt = 0;
process.send?.('ready');
await runWorker({
  connectionString,
  url,
  treasury,
  isDone: async (db) => {
    if (performance.now() - sampledAt < SAMPLE_MS) return false;
    sampledAt = performance.now();
    const row = await db
      .selectFrom('ingestion_stream')
      .select('updates_count')
      .where('treasury_id', '=', treasury.id)
      .executeTakeFirstOrThrow();
    const sample: BackfillSample = {
      seconds: (sampledAt - startedAt) / 1_000,
      stored: Number(row.updates_count),
      residentBytes: process.memoryUsage.rss(),
    };
    process.send?.(sample);
    return sample.stored >= updates;
  },
});
process.disconnect();
