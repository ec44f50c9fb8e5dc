/**
 * A process that runs out of what the machine gives it: descriptors, memory. It waits and goes on, or ends fast; it never spins, and loses nothing. Real processes, as `sluice serve`.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

vi.setConfig({ testTimeout: 180_000 });

const PATIENCE = { deadlineMs: 90_000, intervalMs: 100 };
const DESCRIPTORS_MAX = 128;
const HEAP_MB_MAX = 256;
const MIB = 1024 * 1024;

let database: TestDatabase;
let simnet: TestNetwork;
let paid: number;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  paid = 0;
  database = await createTestDatabase();
  simnet = await startTestNetwork('exhaustion', { checkpoints: { busyMs: 100, idleMs: 200 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await simnet.stop();
  await database.close();
});

async function serve(command: string, args: readonly string[]): Promise<{ service: SluiceProcess; port: number }> {
  const service = startProcess(command, args, {
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_LEASE_SECONDS: '2',
    SLUICE_PORT: '0',
    SLUICE_LOG_LEVEL: 'warn',
  });
  cleanUps.push(async () => {
    service.child.kill('SIGKILL');
    await service.exited;
  });
  const [, port] = await service.waitFor(/Sluice serves http:\S+:(\d+)\/graphql/);
  return { service, port: Number(port) };
}

function payIn(count: number): void {
  for (let each = 0; each < count; each += 1) {
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    const payment = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1', memo: 'alice-memo' };
    simnet.network.transfer(payment);
    paid += 1;
  }
}

async function credited(): Promise<number> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return Number(rows[0]?.total ?? 0);
}

const allCredited = ({ child, stderr }: SluiceProcess) =>
  eventually(async () => {
    expect(child.exitCode ?? child.signalCode, stderr().slice(-2_000)).toBe(null);
    expect(await credited()).toBe(paid);
  }, PATIENCE);

/** Seconds of processor that it has used so far. */
async function processorSeconds({ pid }: SluiceProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime, in the hundredths that Linux counts everywhere.
}

const descriptors = async ({ pid }: SluiceProcess): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length;

/** MiB of resident memory at its highest. */
async function peakMiB({ pid }: SluiceProcess): Promise<number> {
  return Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Keeps so many connections to a port open, and opens each anew that is cut. */
function crowd(port: number, count: number): { leave(): Promise<void> } {
  const sockets = new Set<Socket>();
  let isOver = false;
  const open = (): void => {
    if (isOver) return;
    const socket = connect({ host: '127.0.0.1', port });
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      setTimeout(open, 50);
    });
  };
  for (let each = 0; each < count; each += 1) open();
  return {
    leave: async () => {
      isOver = true;
      for (const socket of sockets) socket.destroy();
      await eventually(() => expect(sockets.size).toBe(0));
    },
  };
}

const isLinux = existsSync('/proc/self/stat');

test.skipIf(!isLinux)(
  'D9: a process without a descriptor left waits with growing pauses, burns no processor, and goes on when there are some',
  async () => {
    const { service, port } = await serve('/bin/sh', [
      '-c',
      `ulimit -n ${DESCRIPTORS_MAX} && exec "$0" src/main.ts serve`,
      process.execPath,
    ]);
    payIn(3);
    await allCredited(service);

    const clients = crowd(port, 2 * DESCRIPTORS_MAX);
    cleanUps.push(clients.leave);
    await eventually(
      async () => expect(await descriptors(service)).toBeGreaterThanOrEqual(DESCRIPTORS_MAX - 2),
      PATIENCE,
    );
    // What it had open is cut as well, and cannot be opened again.
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice-%' AND application_name <> 'sluice-test'`.execute(
      database.db,
    );
    simnet.network.participant('participant1').faults.endStreams();
    payIn(3);
    const before = await processorSeconds(service);
    await systemClock.sleep(8_000);
    const used = (await processorSeconds(service)) - before;
    expect(service.child.exitCode, service.stderr().slice(-2_000)).toBe(null);
    expect(await descriptors(service)).toBeGreaterThanOrEqual(DESCRIPTORS_MAX / 2);
    console.log(
      `Without a descriptor for 8 s it used ${used.toFixed(2)} s of processor and wrote ${service.stderr().split('\n').length} lines.`,
    );
    expect(used).toBeLessThan(4);
    expect(service.stderr().split('\n').length).toBeLessThan(1_000);

    await clients.leave();
    payIn(3);
    await allCredited(service);
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    expect(await checkBooks(database.db)).toEqual([]);
  },
);

test.skipIf(!isLinux)(
  `D6: with a heap of ${HEAP_MB_MAX} MB a backlog of messages far larger than that, over a database that stands still, is read to its end`,
  async () => {
    // Half a gigabyte, and a thousand small ones behind it.
    for (let message = 0; message < 26; message += 1) {
      simnet.network.participant('participant1').faults.disturbNext({ kind: 'pad', messageBytes: 20 * MIB });
    }
    payIn(500);
    const { service } = await serve(process.execPath, [`--max-old-space-size=${HEAP_MB_MAX}`, 'src/main.ts', 'serve']);
    await eventually(async () => expect(await credited()).toBeGreaterThan(0), PATIENCE);
    await database.db.transaction().execute(async (tx) => {
      await sql`SELECT FROM ingestion_stream FOR UPDATE`.execute(tx);
      await systemClock.sleep(3_000);
    });

    await allCredited(service);
    console.log(`Resident memory at its highest: ${(await peakMiB(service)).toFixed(0)} MiB.`);
    // Measured: 740 to 780. The backlog alone, held as it comes and decoded, would be above a thousand.
    expect(await peakMiB(service)).toBeLessThan(3.5 * HEAP_MB_MAX);
    expect(await checkBooks(database.db)).toEqual([]);
  },
);
