/**
 * A long history read in one go: how fast, and in how much memory. Three processes: a participant that replays simnet's traffic over gRPC (participant-process.ts), PostgreSQL, and the stream worker,
 * whose resident memory is sampled every second. `npm run bench -- backfill --updates N`.
 */
import { join } from 'node:path';
import type { CatalogConfig } from '../src/ingestion/catalog.ts';
import { type Child, startChild } from './child.ts';
import { startParticipant } from './participant.ts';
import { withServer } from './server.ts';
import { quantile, slopeOf } from './statistics.ts';

export type BackfillOptions = {
  readonly connectionString: string;
  readonly url: string;
  readonly catalog: CatalogConfig;
  readonly memos: Readonly<Record<string, string>>;
  readonly updates: number;
};

export type BackfillSample = {
  readonly seconds: number;
  readonly stored: number;
  readonly residentBytes: number;
};

const RECORDED = 2_000;
const UPDATES_DEFAULT = 50_000;
/** The goal for any length of history. */
const RESIDENT_MB_MAX = 512;
/** A heap that was just started grows to its working size: the trend is taken after that. */
const WARM_UP_SHARE = 0.2;
const PROGRESS_EVERY = 30;
const PARTS = 10;
const MEGABYTE = 1_048_576;

export async function benchBackfill(options: { readonly updates?: number }): Promise<void> {
  const updates = options.updates ?? UPDATES_DEFAULT;
  const participant = await startParticipant({ recordedMin: RECORDED, updates });
  try {
    await withServer(
      async (connectionString) => {
        const { url, catalog, memos } = participant.ready;
        const worker = await startChild(join(import.meta.dirname, 'backfill-process.ts'), {
          connectionString,
          url,
          catalog,
          memos,
          updates,
        } satisfies BackfillOptions);
        try {
          report(await follow(worker, updates), participant.ready.messageBytesMean);
        } finally {
          await worker.stop();
        }
      },
      // A history of a million updates passes any checkpoint that only a benchmark of seconds would avoid.
      { max_wal_size: '2GB', checkpoint_timeout: '5min' },
    );
  } finally {
    await participant.stop();
  }
}

async function follow(worker: Child<unknown>, updates: number): Promise<readonly BackfillSample[]> {
  const samples: BackfillSample[] = [];
  worker.onMessage((message) => {
    const sample = message as BackfillSample;
    samples.push(sample);
    if (samples.length % PROGRESS_EVERY === 0) {
      console.log(
        `  ${sample.stored} of ${updates} after ${sample.seconds.toFixed(0)} s, ${megabytes(sample.residentBytes)} MB resident`,
      );
    }
  });
  await worker.exited;
  if ((samples.at(-1)?.stored ?? 0) < updates) throw new Error('The worker ended before all updates were stored.');
  return samples;
}

function report(samples: readonly BackfillSample[], messageBytes: number): void {
  const last = samples.at(-1);
  if (last === undefined) return;
  const resident = samples.map(({ residentBytes }) => residentBytes);
  const steady = samples.filter(({ stored }) => stored >= last.stored * WARM_UP_SHARE);
  const perUpdate = slopeOf(steady.map(({ stored, residentBytes }) => [stored, residentBytes]));
  const perMillion = (perUpdate * 1_000_000) / MEGABYTE;
  const peak = Math.max(...resident) / MEGABYTE;
  console.log(
    `backfill: ${last.stored} updates of ${(messageBytes / 1_000).toFixed(1)} kB in ${last.seconds.toFixed(0)} s, ${(last.stored / last.seconds).toFixed(0)} updates/s`,
  );
  console.log(
    `  resident memory: median ${megabytes(quantile(resident, 0.5))} MB, p99 ${megabytes(quantile(resident, 0.99))} MB, ` +
      `highest ${peak.toFixed(0)} MB (goal: below ${RESIDENT_MB_MAX}); trend ${perMillion.toFixed(0)} MB per million updates`,
  );
  console.log(`  highest in each tenth of the way, MB: ${highestPerPart(samples, PARTS).map(megabytes).join(' ')}`);
  if (peak >= RESIDENT_MB_MAX) process.exitCode = 1;
}

/** Of resident memory, in bytes, per equal part of the updates. Flat means that they do not grow. */
function highestPerPart(samples: readonly BackfillSample[], parts: number): readonly number[] {
  const total = samples.at(-1)?.stored ?? 0;
  return Array.from({ length: parts }, (_, part) =>
    Math.max(
      ...samples
        .filter(({ stored }) => Math.min(parts - 1, Math.floor((stored * parts) / total)) === part)
        .map(({ residentBytes }) => residentBytes),
    ),
  ).filter(Number.isFinite);
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}
