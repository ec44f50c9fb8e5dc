/**
 * Killed with SIGKILL again and again, fifty times for a release, while updates flow. Two blows in three fall at a named point of the work (the process strikes itself there), the others at a
 * random moment. Afterwards the derived tables equal a rebuild from the stored updates, row for row, the books their causes, and every deposit was credited once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { rounds } from '../support/tier.ts';

const KILLS = rounds(8, 50);
const UPDATES = 40 * KILLS;
const POINTS = FAILPOINTS.filter((name) => name.startsWith('ingestion.'));
const BATCH_MAX = 20; // Small batches: many transactions to be killed in.

let database: TestDatabase;
let simnet: TestNetwork;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('kill');
  await registerMemos(database.db, NETWORK, { 'memo-0': 'alice', 'memo-1': 'bob' });
});

afterAll(async () => {
  await simnet.stop();
  await database.close();
});

/** Deposits, offers that are accepted or withdrawn, and merges of the treasury: `count` updates that the treasury sees. */
function makeTraffic(random: () => number, count: number): void {
  const { network } = simnet;
  const generation = () => (random() < 0.5 ? ('old' as const) : ('new' as const));
  for (let made = 0; made < count; made += 1) {
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
    const kind = random();
    const payment = {
      instrument: 'amulet',
      sender: 'alice',
      receiver: 'treasury',
      amount: `${1 + Math.floor(random() * 90)}.${String(Math.floor(random() * 1e10)).padStart(10, '0')}`,
      memo: `memo-${Math.floor(random() * 3)}`,
      generation: generation(),
    };
    if (kind < 0.75 || made + 2 > count) network.transfer(payment);
    else if (kind < 0.8) network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
    else {
      const { instructionCid = '' } = network.transfer({ ...payment, kind: 'offer' });
      if (kind < 0.95) network.accept({ instructionCid, generation: generation() });
      else network.withdraw({ instructionCid, generation: generation() });
      made += 1;
    }
  }
}

type Life = { readonly phases: string[]; readonly signal: NodeJS.Signals | null; readonly errors: string };

/** One process, until it is killed: by itself at `killAt`, or by us after `killAfterMs`. */
async function live(options: { killAt?: string; killAfterMs?: number }): Promise<Life> {
  const ingestion = {
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { batchCountMax: BATCH_MAX, leaseTtlMs: 300 },
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/ingestion-child.ts`], {
    env: { ...process.env, INGESTION: JSON.stringify(ingestion), KILL_AT: options.killAt ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const phases: string[] = [];
  let errors = '';
  let isWorking = () => {
    // Replaced below.
  };
  const working = new Promise<void>((resolve) => {
    isWorking = resolve;
  });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    phases.push(...chunk.trim().split('\n'));
    isWorking();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const deadline = new AbortController();
  void systemClock.sleep(20_000, deadline.signal).then(() => child.kill('SIGKILL'));
  if (options.killAfterMs !== undefined) {
    // Counted from the first sign of work, so that the blow falls inside work and not into the start of the process.
    await Promise.race([working, exited]);
    await systemClock.sleep(options.killAfterMs);
    child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  deadline.abort();
  return { phases, signal, errors };
}

test(`${KILLS} kills while ${UPDATES} updates flow leave the tables as a rebuild has them, and the books in order`, {
  timeout: 300_000,
}, async () => {
  const random = createSeededRandom(42);
  const struck = new Map<string, number>();

  for (let kill = 0; kill < KILLS; kill += 1) {
    makeTraffic(random.next, UPDATES / KILLS);
    const point = POINTS[kill % (POINTS.length + 2)];
    const life = await live(
      point === undefined
        ? { killAfterMs: random.next() * 60 }
        : { killAt: `${point}:${1 + Math.floor(random.next() * 2)}` },
    );
    expect(life.signal, life.errors).toBe('SIGKILL');
    const phase = point === undefined ? `random, after ${life.phases.at(-1) ?? 'start'}` : `at ${point}`;
    struck.set(phase, (struck.get(phase) ?? 0) + 1);
  }
  console.log(
    `Where ${KILLS} SIGKILLs fell:\n${[...struck].map(([phase, count]) => `  ${count} ${phase}`).join('\n')}`,
  );

  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 3_000 }, // Long enough for a batch on a machine that has other work.
  });
  try {
    const end = simnet.network.participant('participant1').ledgerEnd();
    await eventually(
      async () => {
        ingestion.throwIfFailed();
        const stream = await database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
        expect(stream.ledger_offset).toBeGreaterThanOrEqual(end);
      },
      { deadlineMs: 60_000 },
    );

    const [treasury] = ingestion.treasuries;
    const rebuilt = treasury && (await compareWithRebuild(database.db, treasury));
    expect(rebuilt?.differences).toEqual([]);
    expect(rebuilt?.updatesRead).toBeGreaterThanOrEqual(UPDATES);
    expect(await checkBooks(database.db)).toEqual([]);
    expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
    for (const point of POINTS) expect(struck.get(`at ${point}`), point).toBeGreaterThan(0);
  } finally {
    await ingestion.stop();
  }

  // The network's own truth: what the treasury holds there is what we hold here, and every deposit has one event.
  const { rows } = await sql<{ held: string; credits: bigint; events: bigint }>`
    SELECT (SELECT sum(amount::numeric)::text FROM holding WHERE archived_update_id IS NULL) AS held,
           (SELECT count(*) FROM transfer WHERE direction = 'IN' AND kind IN ('DIRECT', 'OFFER') AND status = 'COMPLETED') AS credits,
           (SELECT count(*) FROM event_outbox WHERE type IN ('deposit.credited', 'deposit.unattributed')) AS events`.execute(
    database.db,
  );
  expect(rows[0]?.held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
  expect(rows[0]?.events).toBe(rows[0]?.credits);
});
