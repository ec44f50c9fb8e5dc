/**
 * Goal: two API replicas and a worker behind a plain TCP balancer deliver the whole log to everybody, whatever is killed. Method: real processes on a real server, deposits that keep coming, subscribers over WebSocket and
 * SSE that resume after their last cursor, and dice that cut connections, kill -9 replicas and worker, crash and restart the database; at the end every subscriber's deliveries are compared with the log.
 *
 * `npm test` runs it small; REPLICAS_SOCKETS=300 REPLICAS_STOPPED=50 REPLICAS_SECONDS=60 is the full measure.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { type Answer, post } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { type PersistentSubscriber, startSubscriber, type Transport } from '../support/persistent-subscriber.ts';
import { startTcpBalancer, type TcpBalancer } from '../support/tcp-balancer.ts';

const SOCKETS = Number(process.env['REPLICAS_SOCKETS'] ?? '60');
const STOPPED = Number(process.env['REPLICAS_STOPPED'] ?? '10');
const SECONDS = Number(process.env['REPLICAS_SECONDS'] ?? '10');
const SEED = Number(process.env['REPLICAS_SEED'] ?? '1');
/** Between two deposits. */
const PAY_MS = Number(process.env['REPLICAS_PAY_MS'] ?? '50');
/** On each socket that is not read: together far more than the kernel holds back for it. */
const STOPPED_SUBSCRIPTIONS = 10;
/** Bytes that a replica may hold more, its garbage collected, while readers stand still: what it keeps for all together, and a fraction of what waits for them. */
const HELD_MAX = 64 * 1024 * 1024;
/** Bytes that its memory may grow by meanwhile: the same, and the garbage of whatever is sent before the next collection, to those who read as well. */
const GROWTH_MAX = 200 * 1024 * 1024;
/** A start that is waited for no longer would be a replica that serves and is asked by nobody. */
const STARTED_MS_MAX = 600_000;
const PATIENT = { deadlineMs: 120_000, intervalMs: 200 };

vi.setConfig({ testTimeout: 240_000 + SECONDS * 6_000, hookTimeout: 60_000 });

const logger = createSystemLogger('silent');
/** Of this process, which is every subscriber and the balancer: what it is late for is nobody else's fault. */
const ownDelay = monitorEventLoopDelay({ resolution: 10 });
const cleanUps: (() => Promise<unknown>)[] = [];
let server: EmbeddedPostgres;
let serverFolder: string;
let own: DatabaseConnection;
let simnet: TestNetwork;
let balancer: TcpBalancer;

async function startServer(port: number): Promise<EmbeddedPostgres> {
  return await startEmbeddedPostgres({
    baseDirectory: serverFolder,
    name: 'server',
    port,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
}

beforeEach(async () => {
  serverFolder = await mkdtemp(join(tmpdir(), 'sluice-replicas-'));
  cleanUps.push(() => rm(serverFolder, { recursive: true }));
  await chmod(serverFolder, 0o755); // The server may run as another user.
  server = await startServer(0);
  cleanUps.push(() => server.stop());
  const { connectionString } = server;
  await migrate({ connectionString, logger });
  own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 2, logger });
  cleanUps.push(own.close);
  await registerMemos(own.db, NETWORK, { 'alice-memo': 'alice' });
  simnet = await startTestNetwork('replicas', { checkpoints: { busyMs: 100, idleMs: 300 } });
  cleanUps.push(simnet.stop);
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000000' });
  balancer = await startTcpBalancer();
  cleanUps.push(balancer.close);
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A process that is started anew whenever it ends, as a service manager does it. */
type Kept = {
  current(): SluiceProcess | null;
  port(): number | null;
  /** How its processes ended that were not killed, for messages. */
  ends(): readonly string[];
  kill(): void;
  stop(): Promise<void>;
};

function keep(role: 'api' | 'worker'): Kept {
  let current: SluiceProcess | null = null;
  let port: number | null = null;
  let isOver = false;
  const ends: string[] = [];
  async function run(): Promise<void> {
    while (!isOver) {
      current = startProcess(process.execPath, ['test/support/service-child.ts'], environmentOf(role));
      const ready = current.waitFor(/^ready (?:http:\S+:(\d+)|null)/m, STARTED_MS_MAX).then(
        ([, text]) => {
          port = text === undefined ? 0 : Number(text);
        },
        () => undefined, // It ended before, and is started again.
      );
      const { code, signal } = await current.exited;
      if (signal !== 'SIGKILL') ends.push(`${code ?? signal} ${current.stderr().slice(0, 500)}`);
      await ready;
      port = null;
      current = null;
      await systemClock.sleep(200);
    }
  }
  const running = run();
  const kept: Kept = {
    current: () => current,
    port: () => port,
    ends: () => ends,
    kill: () => current?.child.kill('SIGKILL'),
    stop: async () => {
      isOver = true;
      kept.kill();
      await running;
    },
  };
  cleanUps.push(kept.stop);
  return kept;
}

const environmentOf = (role: 'api' | 'worker'): Record<string, string> => ({
  DATABASE_URL: server.connectionString,
  SLUICE_ROLE: role,
  SLUICE_LEDGER_URL: simnet.ledgerUrl(),
  SLUICE_RECONNECT_DELAY_MS: '500',
  SLUICE_LEASE_SECONDS: '2',
  SLUICE_NETWORK: NETWORK,
  SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
  SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
  SLUICE_PORT: '0',
  SLUICE_ADMIN_PORT: '0',
  SLUICE_LOG_LEVEL: 'silent',
  SLUICE_SERVICE_SOCKETS: '1000',
  SLUICE_SERVICE_SUBSCRIPTIONS: '1000',
  SLUICE_SERVICE_OPERATIONS: '10000',
  SLUICE_SERVICE_REQUESTS_PER_SECOND: '10000',
});

const QUERY = 'subscription ($after: Cursor) { deposits(after: $after) { cursor eventId } }';

/** Asks for much of each event and reads nothing of it. @returns the end of all of them. */
function stoppedReaders(count: number, after: string): () => void {
  const fields = Array.from({ length: 14 }, (_, line) => `p${line}: treasuryParty u${line}: updateId`); // 2 KB of each event.
  const query = `subscription ($after: Cursor) { deposits(after: $after) { cursor eventId ${fields.join(' ')} } }`;
  const sockets = Array.from({ length: count }, () => {
    const socket = new WebSocket(`${balancer.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    socket.on('error', () => undefined);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init' })));
    socket.once('message', () => {
      for (let id = 0; id < STOPPED_SUBSCRIPTIONS; id += 1) {
        socket.send(JSON.stringify({ id: String(id), type: 'subscribe', payload: { query, variables: { after } } }));
      }
      socket.pause();
    });
    return socket;
  });
  return () => {
    for (const socket of sockets) socket.terminate();
  };
}

const memoryOf = async (kept: Kept): Promise<number> => {
  const status = await readFile(`/proc/${kept.current()?.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024;
};

/** Without its garbage. */
async function heldBy(kept: Kept): Promise<number> {
  const running = kept.current();
  if (running === null) return 0;
  const asked = (running.stdout().match(/^held /gm)?.length ?? 0) + 1;
  running.child.kill('SIGUSR2');
  const [, bytes] = await running.waitFor(new RegExp(`^held ${asked} (\\d+)$`, 'm'));
  return Number(bytes);
}

async function logOf(): Promise<readonly { readonly position: bigint; readonly eventId: string }[]> {
  const { rows } = await sql<{ position: bigint; eventId: string }>`
    SELECT position, event_id AS "eventId" FROM event WHERE type LIKE 'deposit.%' ORDER BY position`.execute(own.db);
  return rows;
}

async function headOf(): Promise<{ epoch: string; position: bigint }> {
  const { rows } = await sql<{
    epoch: string;
    position: bigint;
  }>`SELECT epoch, last_position AS position FROM event_log`.execute(own.db);
  return rows[0] ?? { epoch: '', position: 0n };
}

test(`H1, H4, C1: every subscriber gets the whole log in order from two replicas, over cuts, kills and a database that restarts (seed ${SEED})`, async () => {
  const random = createSeededRandom(SEED);
  const phases: [string, number][] = [];
  ownDelay.enable();
  cleanUps.push(async () => void ownDelay.disable());
  const phase = (name: string) => phases.push([name, Math.round(performance.now() - beganAt)]);
  const beganAt = performance.now();
  const worker = keep('worker');
  const replicas = [keep('api'), keep('api')] as const;
  const kinds = [...replicas, worker];
  const serving = async () =>
    await eventually(() => {
      const states = kinds.map((kept) => (kept.port() === null ? { ends: kept.ends() } : 'SERVING'));
      expect(states).toEqual(['SERVING', 'SERVING', 'SERVING']);
    }, PATIENT);
  await serving();
  const targets = setInterval(() => balancer.setTargets(replicas.flatMap((replica) => replica.port() ?? [])), 20);
  cleanUps.push(async () => clearInterval(targets));
  await eventually(
    async () => expect((await post(balancer.url, { query: '{ viewer { name } }' })).status).toBe(200),
    PATIENT,
  );

  const { epoch } = await headOf();
  const start = formatEventCursor({ epoch, position: 0n });
  const subscribers = Array.from({ length: SOCKETS }, (_, line) => {
    const transport: Transport = line % 2 === 0 ? 'WS' : 'SSE';
    return startSubscriber({ url: balancer.url, transport, query: QUERY, after: start, random: systemRandom });
  });
  cleanUps.push(async () => await Promise.all(subscribers.map((subscriber) => subscriber.stop())));
  const ending = new AbortController();
  const written: Written = { read: 0, unread: 0, withoutCursor: 0, refused: 0 };
  const working = [keepPaying(ending.signal), keepWriting(ending.signal, replicas, written)];
  await untilPast(0n, subscribers);

  phase('begun');
  await chaos(random, { replicas, worker });
  await serving();
  phase('chaos over');
  const resumedMs = await killUnderLoad(replicas[0], subscribers);
  await serving();
  phase('resumed');
  const { growth, held } = await standStill(replicas, subscribers);

  phase('stood still');
  await eventually(() => expect(written.read).toBeGreaterThan(10), PATIENT);
  ending.abort();
  await Promise.all(working);
  await eventually(async () => expect((await logOf()).length).toBe(paid), PATIENT);
  const log = await logOf();
  const last = log.at(-1)?.position ?? 0n;
  await untilPast(last - 1n, subscribers);

  phase('all read');
  const connects = subscribers.map((subscriber) => subscriber.connects());
  report({
    phases,
    events: log.length,
    sockets: SOCKETS,
    stopped: STOPPED,
    resumedMs,
    growth,
    held,
    written,
    ownDelayMs: { p50: Math.round(ownDelay.percentile(50) / 1e6), max: Math.round(ownDelay.max / 1e6) },
    connects: connects.reduce((sum, count) => sum + count, 0),
  });

  for (const { deliveries, faults } of subscribers) {
    expect(faults).toEqual([]);
    expect(deliveries).toEqual(log);
  }
  expect(Math.max(...held)).toBeLessThan(HELD_MAX);
  expect(Math.max(...growth)).toBeLessThan(GROWTH_MAX);
});

function report(facts: Readonly<Record<string, unknown>>): void {
  if (process.env['REPLICAS_REPORT'] !== undefined) process.stdout.write(`${JSON.stringify(facts)}\n`);
}

let paid = 0;

async function keepPaying(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    simnet.network.transfer({
      instrument: 'amulet',
      sender: 'alice',
      receiver: 'treasury',
      amount: '1',
      memo: 'alice-memo',
    });
    paid += 1;
    await systemClock.sleep(PAY_MS, signal);
  }
}

type Written = { read: number; unread: number; withoutCursor: number; refused: number };

/** Writes at one replica and reads at the other, not before its cursor. @param count how often what was written was read. */
async function keepWriting(signal: AbortSignal, replicas: readonly [Kept, Kept], count: Written): Promise<void> {
  for (let line = 0; !signal.aborted; line += 1) {
    await systemClock.sleep(100, signal);
    const [at, from] = line % 2 === 0 ? replicas : [replicas[1], replicas[0]];
    const memo = `memo-${line}`;
    const written = await askAt(
      at,
      `mutation ($memo: String!) { createDepositAccount(input: { account: "bob", memo: $memo }) {
      ... on CreateDepositAccountPayload { cursor } } }`,
      { memo },
    );
    const cursor = written?.data?.createDepositAccount?.cursor;
    if (cursor == null) {
      count[cursor === null ? 'withoutCursor' : 'refused'] += 1;
      continue;
    }
    const found = await askAt(
      from,
      'query ($cursor: Cursor!, $memo: String!) @atLeast(cursor: $cursor) { depositAccounts(memo: $memo) { nodes { memo } } }',
      { cursor, memo },
    );
    const code = found?.errors?.[0]?.extensions?.code;
    // A database that is away, and a replica that is, answer nothing; what is answered has it.
    if (found === null || code === 'UNAVAILABLE' || code === 'NOT_CAUGHT_UP') {
      count.unread += 1;
      continue;
    }
    expect(found).toMatchObject({ status: 200, data: { depositAccounts: { nodes: [{ memo }] } } });
    count.read += 1;
  }
}

async function askAt(replica: Kept, query: string, variables: Record<string, unknown>): Promise<Answer | null> {
  const port = replica.port();
  if (port === null) return null;
  return await post(`http://127.0.0.1:${port}`, { query, variables }).catch(() => null);
}

/** Cuts all the time, and one kill after the other, each with time to come back from it. */
async function chaos(
  random: ReturnType<typeof createSeededRandom>,
  { replicas, worker }: { readonly replicas: readonly [Kept, Kept]; readonly worker: Kept },
): Promise<void> {
  const blows = [
    () => replicas[0].kill(),
    () => worker.kill(),
    crashDatabase,
    () => replicas[1].kill(),
    restartDatabase,
    () => replicas[0].kill(),
  ];
  const until = systemClock.nowMicros() + BigInt(SECONDS) * 1_000_000n;
  const pauseMs = (SECONDS * 1_000) / blows.length;
  for (let line = 0; line < blows.length || systemClock.nowMicros() < until; line += 1) {
    await blows[line % blows.length]?.();
    const next = systemClock.nowMicros() + BigInt(Math.trunc(pauseMs)) * 1_000n;
    while (systemClock.nowMicros() < next) {
      balancer.cut(random.next() * 0.3, random);
      await systemClock.sleep(100 + 500 * random.next());
    }
  }
}

/** A killed backend makes the server end all others and recover from its log, as after a loss of power. */
async function crashDatabase(): Promise<void> {
  const { rows } = await sql<{ pid: number }>`
    SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sluice-%' ORDER BY random() LIMIT 1`
    .execute(own.db)
    .catch(() => ({ rows: [] }));
  for (const { pid } of rows) process.kill(pid, 'SIGKILL');
}

async function restartDatabase(): Promise<void> {
  const { connectionString, port } = server;
  await server.stop();
  await systemClock.sleep(500);
  server = await startServer(port);
  expect(server.connectionString).toBe(connectionString);
}

async function untilPast(position: bigint, subscribers: readonly PersistentSubscriber[]): Promise<void> {
  await eventually(
    () => {
      const behind = subscribers.filter((subscriber) => subscriber.last() <= position);
      const each = behind.map(
        (subscriber) =>
          `${subscriber.transport} at ${subscriber.last()} after ${subscriber.connects()} ${subscriber.lastEnd()}`,
      );
      const ownDelayMs = Math.round(ownDelay.max / 1e6);
      const found = { position, count: behind.length, some: each.slice(0, 5), ownDelayMs };
      expect(found).toEqual({ position, count: 0, some: [], ownDelayMs });
    },
    { ...PATIENT, intervalMs: 100 },
  );
}

/** @returns milliseconds until everybody has an event of after the kill. */
async function killUnderLoad(replica: Kept, subscribers: readonly PersistentSubscriber[]): Promise<number> {
  await eventually(async () => expect((await headOf()).position).toBeGreaterThan(0n), PATIENT);
  const startedAt = performance.now();
  replica.kill();
  await systemClock.sleep(200);
  const { position } = await headOf();
  await untilPast(position, subscribers);
  return Math.round(performance.now() - startedAt);
}

/** @returns by how many bytes each replica grew while readers stood still, and the others read on; and how many it held more, at the end of it. */
async function standStill(
  replicas: readonly [Kept, Kept],
  subscribers: readonly PersistentSubscriber[],
): Promise<{ readonly growth: readonly number[]; readonly held: readonly number[] }> {
  const heldBefore = await Promise.all(replicas.map(heldBy));
  const before = await Promise.all(replicas.map(memoryOf));
  const { epoch, position } = await headOf();
  const end = stoppedReaders(STOPPED, formatEventCursor({ epoch, position: 0n }));
  cleanUps.push(async () => end());
  let highest = before;
  for (let round = 0; round < 20; round += 1) {
    await systemClock.sleep(Math.max(150, SECONDS * 10));
    const now = await Promise.all(replicas.map(memoryOf));
    highest = highest.map((bytes, index) => Math.max(bytes, now[index] ?? 0));
  }
  const held = await Promise.all(replicas.map(heldBy));
  await untilPast(position, subscribers);
  end();
  return {
    growth: highest.map((bytes, index) => bytes - (before[index] ?? 0)),
    held: held.map((bytes, index) => bytes - (heldBefore[index] ?? 0)),
  };
}
