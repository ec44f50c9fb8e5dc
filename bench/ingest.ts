/**
 * A backlog of customers' traffic from gRPC into PostgreSQL: what simnet's participant shows of a treasury (deposits through a preapproval, offers and their
 * ends, payouts, some memos that nobody registered), read over the wire, decoded, parsed, derived, booked, announced, and committed with the position.
 *
 *   limit   a raw one-transaction COPY of the very rows that we wrote, into the same tables, empty, with all their indexes and constraints
 *   naive   a transaction per update, a prepared statement per row (naive.ts); end to end as well
 *
 * All three take turns on one database, several rounds, since neighbours make any single number worthless.
 */
import pg from 'pg';
import type { Treasury } from '../src/ingestion/effect-sink.ts';
import { receive } from '../src/ingestion/received-update.ts';
import { updateFormatFor } from '../src/ingestion/update-format.ts';
import { createLedgerClient } from '../src/ledger/ledger-client.ts';
import { copyRows, readRows, WRITTEN_TABLES } from './copy.ts';
import { measureHeadLatency } from './head-latency.ts';
import { createNaiveWriter } from './naive.ts';
import { type ParticipantReady, startParticipant } from './participant.ts';
import { fingerprint } from './same-rows.ts';
import { prepareTreasury, withServer } from './server.ts';
import { median, spread } from './statistics.ts';
import { hasStored, runWorker } from './worker.ts';

const ROUNDS_DEFAULT = 5;
const UPDATES_DEFAULT = 10_000;
const NAIVE_UPDATES = 500;
const RECORDED = 2_000;

type Options = {
  readonly updates?: number;
  readonly rounds?: number;
};

export async function benchIngest({ updates = UPDATES_DEFAULT, rounds = ROUNDS_DEFAULT }: Options): Promise<void> {
  const participant = await startParticipant({ recordedMin: RECORDED, updates });
  try {
    await withServer(async (connectionString) => {
      await compare(connectionString, participant.ready, { updates, rounds });
      await measureHeadLatency(connectionString);
    });
  } finally {
    await participant.stop();
  }
}

async function compare(
  connectionString: string,
  participant: ParticipantReady,
  { updates, rounds }: Required<Options>,
): Promise<void> {
  const treasury = await prepareTreasury(connectionString, participant);
  const client = new pg.Client({ connectionString });
  await client.connect();
  const naively = async (count: number): Promise<number> => {
    await empty(client);
    return ingestNaively(client, participant, treasury, count);
  };
  const batched = async (count: number): Promise<number> => {
    await empty(client);
    return runWorker({ connectionString, url: participant.url, treasury, isDone: hasStored(treasury, count) });
  };
  const limit: number[] = [];
  const ours: number[] = [];
  const naive: number[] = [];
  try {
    await naively(NAIVE_UPDATES);
    const expected = await fingerprint(client, NAIVE_UPDATES);
    for (let round = 0; round < rounds; round += 1) {
      naive.push(NAIVE_UPDATES / (await naively(NAIVE_UPDATES)));
      ours.push(updates / (await batched(updates)));
      requireEqual(await fingerprint(client, NAIVE_UPDATES), expected);
      const rows = await readRows(client, WRITTEN_TABLES);
      await empty(client);
      limit.push(updates / (await copyRows(client, rows)));
    }
  } finally {
    await client.end();
  }

  console.log(
    `ingest: ${updates} updates of ${(participant.messageBytesMean / 1_000).toFixed(1)} kB on average, ${rounds} rounds, updates/s`,
  );
  const row = (name: string, rates: readonly number[], ratios: string) =>
    console.log(`  ${name.padEnd(36)} ${median(rates).toFixed(0).padStart(7)}  ${spread(rates).padEnd(7)} ${ratios}`);
  const ratio = (base: readonly number[]): string => {
    const ratios = ours.map((rate, round) => rate / (base[round] ?? Number.NaN));
    return `ours / this = ${median(ratios).toFixed(2)}  ${spread(ratios)}`;
  };
  row('limit: COPY of the same rows', limit, ratio(limit));
  row('ours: gRPC to committed', ours, '');
  row('naive: prepared, one by one', naive, ratio(naive));
}

/** A rate means nothing if the slower one wrote more. */
function requireEqual(ours: string, naive: string): void {
  if (ours !== naive) throw new Error(`Other rows than the naive loop wrote.\n  ours  ${ours}\n  naive ${naive}`);
}

/** As before the first update; accounts stay. */
async function empty(client: pg.Client): Promise<void> {
  await client.query(`TRUNCATE ${WRITTEN_TABLES.join(', ')} CASCADE`);
  await client.query('DELETE FROM synchronizer_time');
  await client.query('DELETE FROM lease');
  await client.query(
    'UPDATE ingestion_stream SET ledger_offset = 0, verified_update_id = NULL, verified_offset = NULL, updates_count = 0, fencing_token = 0',
  );
  await client.query('CHECKPOINT');
}

async function ingestNaively(
  client: pg.Client,
  { url }: ParticipantReady,
  treasury: Treasury,
  count: number,
): Promise<number> {
  const writer = await createNaiveWriter(client, treasury);
  const ledger = createLedgerClient({ url });
  const leaving = new AbortController();
  const startedAt = performance.now();
  let written = 0;
  const format = updateFormatFor(treasury.party);
  for await (const message of ledger.updates({ beginExclusive: 0n, format, signal: leaving.signal })) {
    const update = receive(message);
    if (update.kind === 'CHECKPOINT') continue;
    await writer.write(update);
    written += 1;
    if (written === count) break;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  leaving.abort();
  ledger.close();
  return seconds;
}
