/**
 * Killed with SIGKILL in every phase of a stream's life: backfill, the head of the ledger, finding the place again after a restore or on another participant, taking an opening balance, and
 * rebuilding. After every single blow what is in the database must be a whole: derived tables equal a rebuild from the stored updates, row for row, and the books their causes. In the end
 * it must be the network's own truth, with every deposit credited and announced once.
 *
 *     KILLS=200 npx vitest run test/ingestion/kill-phases.test.ts
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import type { KillChildTask } from '../support/kill-child.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { rounds } from '../support/tier.ts';

const SECONDS_PER_KILL_MAX = 60; // Most take two; a busy machine is no failure.
const LIFE_MS_MAX = 60_000;
const RESTORED_UPDATES_MAX = 20;
const KEPT_UPDATES = 60; // Of those that are stored already, when the participants forget; no restore goes back so far.
const PHASES = ['backfill', 'head', 're-anchoring', 'opening', 'rebuild'] as const;
type Phase = (typeof PHASES)[number];

/** Where a blow falls: at a named point, or (null) at a random moment of work. */
const POINTS: Readonly<Record<Phase, readonly (FailpointName | null)[]>> = {
  backfill: [
    'ingestion.beforeBatch',
    'ingestion.afterUpdatesStored',
    'ingestion.afterEffectsBeforeCommit',
    'ingestion.afterCommit',
    null,
  ],
  head: ['ingestion.afterUpdatesStored', 'ingestion.afterEffectsBeforeCommit', 'ingestion.afterCommit', null, null],
  're-anchoring': [
    'continuity.beforeAnchorSearch',
    'continuity.beforeNewEpoch',
    'continuity.afterNewEpoch',
    'ingestion.afterEffectsBeforeCommit',
    null,
  ],
  opening: [
    'continuity.beforeOpening',
    'ingestion.afterUpdatesStored',
    'ingestion.afterEffectsBeforeCommit',
    'continuity.afterOpening',
    null,
  ],
  rebuild: ['rebuild.afterPage', 'rebuild.beforeSwitch', 'rebuild.beforeSwitchCommit', 'rebuild.afterSwitch', null],
};

/** The points that lie in one phase alone: each is struck once before anything is struck again. */
const OWN = PHASES.flatMap((phase) =>
  POINTS[phase].flatMap((point) => (point === null || point.startsWith('ingestion.') ? [] : [{ phase, point }])),
);
const KILLS = Number(process.env['KILLS'] ?? rounds(OWN.length, 200));

const SETTINGS = {
  batchCountMax: 20, // Small batches: many transactions to be killed in.
  leaseTtlMs: 300,
  silenceMsMax: 3_000,
  reconnect: { attemptsMax: 40, delayMsMin: 10, delayMsMax: 100 },
};

const random = createSeededRandom(7);
let database: TestDatabase;
let simnet: TestNetwork;
let participant = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('kill-phases', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'memo-0': 'alice', 'memo-1': 'bob' });
});

afterAll(async () => {
  await simnet.stop();
  await database.close();
});

/** Deposits, offers that are accepted or withdrawn, and mints: updates that the treasury sees. */
function makeTraffic(count: number): void {
  const { network } = simnet;
  for (let made = 0; made < count; made += 1) {
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
    if (random.next() < 0.05) network.merge({ instrument: 'amulet', owner: 'treasury' });
    const kind = random.next();
    const payment = {
      instrument: 'amulet',
      sender: 'alice',
      receiver: 'treasury',
      amount: `${1 + Math.floor(random.next() * 90)}.${String(Math.floor(random.next() * 1e10)).padStart(10, '0')}`,
      memo: `memo-${Math.floor(random.next() * 3)}`,
    };
    if (kind < 0.75) network.transfer(payment);
    else if (kind < 0.8) network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
    else {
      const { instructionCid = '' } = network.transfer({ ...payment, kind: 'offer' });
      if (kind < 0.95) network.accept({ instructionCid });
      else network.withdraw({ instructionCid });
    }
  }
}

type Life = { readonly last: string; readonly signal: NodeJS.Signals | null; readonly errors: string };

/** One process, until it is killed: by itself at `killAt`, or by us `killAfterMs` after its first sign of work. */
async function live(
  task: KillChildTask,
  blow: { readonly killAt: string } | { readonly killAfterMs: number },
  duringWork: (isOver: () => boolean) => Promise<void> = async () => undefined,
): Promise<Life> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/kill-child.ts`], {
    env: { ...process.env, KILL_CHILD: JSON.stringify(task), KILL_AT: 'killAt' in blow ? blow.killAt : '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let last = 'start';
  let errors = '';
  const { promise: working, resolve: isWorking } = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    last = chunk.trim().split('\n').at(-1) ?? last;
    isWorking();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const deadline = new AbortController();
  void systemClock.sleep(LIFE_MS_MAX, deadline.signal).then(() => child.kill('SIGKILL'));
  const during = duringWork(() => child.exitCode !== null || child.signalCode !== null);
  if ('killAfterMs' in blow) {
    await Promise.race([working, exited]);
    await systemClock.sleep(blow.killAfterMs);
    child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  deadline.abort();
  await during;
  return { last, signal, errors };
}

const ingestionOptions = (connectionString: string) => ({
  connectionString,
  ledgerUrl: simnet.ledgerUrl(participant),
  catalog: simnet.catalog,
  settings: SETTINGS,
});

const follow = (openingAt: string | null = null, at: TestDatabase = database): KillChildTask => ({
  kind: 'follow',
  ingestion: ingestionOptions(at.connectionString),
  openingAt,
});

async function treasuryOf({ db }: TestDatabase): Promise<Treasury | undefined> {
  return db
    .selectFrom('treasury_party')
    .innerJoin('network', 'network.id', 'treasury_party.network_id')
    .select(['treasury_party.id', 'party', 'treasury_party.name', 'network_id as networkId', 'network.name as network'])
    .executeTakeFirst();
}

/** What is in the database is a whole, whatever was cut off. */
async function expectWhole(at: TestDatabase): Promise<void> {
  const treasury = await treasuryOf(at);
  if (treasury === undefined) return;
  expect((await compareWithRebuild(at.db, treasury)).differences).toEqual([]);
  expect(await checkBooks(at.db)).toEqual([]);
}

/** Lets the stream run to the end of the ledger. */
async function catchUp(at: TestDatabase, openingAt: bigint | null = null): Promise<void> {
  const ingestion: RunningIngestion = await startIngestion({
    ...ingestionOptions(at.connectionString),
    opening: { at: openingAt },
  });
  try {
    const { updateId } = simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
    await eventually(
      async () => {
        ingestion.throwIfFailed();
        const stream = await at.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
        expect(stream.status, stream.status_reason ?? '').not.toBe('HALTED');
        const stored = await at.db
          .selectFrom('ledger_update')
          .select('update_id')
          .where('update_id', '=', updateId)
          .execute();
        expect(
          stored,
          JSON.stringify(stream, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
        ).toHaveLength(1);
      },
      { deadlineMs: 60_000 },
    );
  } finally {
    await ingestion.stop();
  }
}

async function expectTruth(at: TestDatabase): Promise<void> {
  const { rows } = await sql<{ held: string; credits: bigint; events: bigint }>`
    SELECT (SELECT sum(amount::numeric)::text FROM holding WHERE archived_update_id IS NULL) AS held,
           (SELECT count(*) FROM transfer WHERE direction = 'IN' AND kind IN ('DIRECT', 'OFFER') AND status = 'COMPLETED') AS credits,
           (SELECT count(*) FROM event_outbox WHERE type IN ('deposit.credited', 'deposit.unattributed')) AS events`.execute(
    at.db,
  );
  expect(rows[0]?.held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
  expect(rows[0]?.events).toBe(rows[0]?.credits);
  expect(await at.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}

/** As by a pruning schedule that heeds the stream: the participants forget what it has long stored. One that is still catching up may keep more. */
async function pruneBehindTheStream(): Promise<void> {
  const old = await database.db
    .selectFrom('ledger_update')
    .select('update_id')
    .orderBy('record_time', 'desc')
    .offset(KEPT_UPDATES)
    .limit(1)
    .executeTakeFirst();
  if (old === undefined) return;
  for (const { offsetOf, prune } of simnet.network.participants) {
    const offset = offsetOf(old.update_id);
    if (offset !== undefined) prune(offset);
  }
}

/**
 * An opening needs a database of its own: at a record time, or wherever the history of the participant begins by now. The blow falls, the next process does the
 * rest.
 */
async function killAnOpening(blow: Parameters<typeof live>[1]): Promise<Life> {
  await pruneBehindTheStream();
  const own = await createTestDatabase();
  try {
    await registerMemos(own.db, NETWORK, { 'memo-0': 'alice', 'memo-1': 'bob' });
    makeTraffic(5);
    const { recordTimeMicros } = simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '2' });
    makeTraffic(5);
    const openingAt = random.next() < 0.5 ? recordTimeMicros : null;
    const life = await live(follow(openingAt === null ? null : String(openingAt), own), blow);
    await expectWhole(own);
    await catchUp(own, openingAt);
    await expectWhole(own);
    await expectTruth(own);
    return life;
  } finally {
    await own.close();
  }
}

function strike(phase: Phase, blow: Parameters<typeof live>[1], treasury: Treasury): Promise<Life> {
  switch (phase) {
    case 'backfill':
      makeTraffic(25);
      return live(follow(), blow);
    case 'head':
      return live(follow(), blow, async (isOver) => {
        while (!isOver()) {
          makeTraffic(1);
          await systemClock.sleep(25);
        }
      });
    case 're-anchoring': {
      // In turn: the validator is restored, or the stream goes on at the other one.
      if (random.next() < 0.5) participant = 1 - participant;
      else {
        const name = simnet.participants[participant]?.name ?? '';
        const updatesBack = 2 + Math.floor(random.next() * (RESTORED_UPDATES_MAX - 1));
        simnet.network.participant(name).restore({ updatesBack, catchUp: { everyMs: 2 } });
      }
      makeTraffic(10);
      return live(follow(), blow);
    }
    case 'opening':
      return killAnOpening(blow);
    case 'rebuild':
      return live({ kind: 'rebuild', connectionString: database.connectionString, treasury }, blow);
  }
}

test(`D1: ${KILLS} kills, spread over ${PHASES.join(', ')}, leave a whole each time, and lose and double nothing`, {
  timeout: (KILLS + 10) * SECONDS_PER_KILL_MAX * 1_000,
}, async () => {
  makeTraffic(20);
  await catchUp(database);
  const treasury = await treasuryOf(database);
  if (treasury === undefined) throw new Error('The stream has a treasury.');
  const struck = new Map<string, number>();

  for (let kill = 0; kill < KILLS; kill += 1) {
    const own = OWN[kill];
    const phase = own?.phase ?? PHASES[kill % PHASES.length] ?? 'backfill';
    // Whoever never ran for long enough to reach the end would be far behind what a restore takes back, and what is pruned.
    await catchUp(database);
    const round = Math.floor(kill / PHASES.length);
    const point = own?.point ?? POINTS[phase][round % POINTS[phase].length] ?? null;
    const blow =
      point === null
        ? { killAfterMs: random.next() * (phase === 'rebuild' ? 400 : 150) }
        : {
            killAt: `${point}:${1 + Math.floor(random.next() * (point.startsWith('ingestion.') && phase !== 'opening' ? 2 : 1))}`,
          };
    const life = await strike(phase, blow, treasury);
    expect(life.signal, life.errors).toBe('SIGKILL');
    // One that never came by the point lived on until we lost patience.
    if (point !== null) expect(life.last).toBe(point);
    await expectWhole(database);
    const where = `${phase}: ${point ?? `any moment, after ${life.last}`}`;
    struck.set(where, (struck.get(where) ?? 0) + 1);
    if ((kill + 1) % 25 === 0) console.log(`${kill + 1} kills, a whole after each.`);
  }
  console.log(
    `Where ${KILLS} SIGKILLs fell:\n${[...struck]
      .sort()
      .map(([where, count]) => `  ${String(count).padStart(3)} ${where}`)
      .join('\n')}`,
  );

  makeTraffic(5);
  await catchUp(database);
  await expectWhole(database);
  await expectTruth(database);
});
