/**
 * A database that went back in time under a running exchange: a failover to a standby that lacked the last commits, and files that were put back. Real servers, real processes. What the ledger did
 * comes again; a cursor of what is gone is refused with the place to resume from; payouts freeze until somebody has looked.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { subscribeSse } from '../support/sse-client.ts';

vi.setConfig({ testTimeout: 150_000, hookTimeout: 60_000 }); // Three starts of a database and of a process each.

const PATIENCE = { deadlineMs: 60_000, intervalMs: 100 };
const HEADERS = { authorization: 'Bearer dev-service' };
const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };

let folder: string;
let port: number;
let server: EmbeddedPostgres | null;
let simnet: TestNetwork;
let paid: number;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-rewind-'));
  cleanUps.push(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755); // The server may run as another user.
  port = 0;
  server = null;
  cleanUps.push(async () => await server?.stop());
  paid = 0;
  await startServer('live');
  port = running().port;
  await migrate({ connectionString: running().connectionString, logger: env.logger });
  simnet = await startTestNetwork('rewind', { checkpoints: { busyMs: 100, idleMs: 200 } });
  cleanUps.push(simnet.stop);
  await withDatabase((db) => registerMemos(db, NETWORK, { 'alice-memo': 'alice' }));
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** On the same port each time, with the same password: those who were connected find it again. */
async function startServer(name: string, settings: Readonly<Record<string, string>> = {}): Promise<void> {
  server = await startEmbeddedPostgres({ baseDirectory: folder, name, port, settings, ...env });
}

function running(): EmbeddedPostgres {
  if (server === null) throw new Error('No server runs.');
  return server;
}

async function withDatabase<T>(work: (db: Database) => Promise<T>): Promise<T> {
  const { connectionString } = running();
  const own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 1, logger: env.logger });
  try {
    return await work(own.db);
  } finally {
    await own.close();
  }
}

/** The files of the server, as a backup or a standby has them. */
async function copyTo(name: string): Promise<void> {
  await running().stop();
  await promisify(execFile)('cp', ['-a', join(folder, 'live'), join(folder, name)]);
  await startServer('live');
}

async function serve(environment: Readonly<Record<string, string>> = {}) {
  const service: SluiceProcess = startSluice(['serve'], {
    DATABASE_URL: running().connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_LEASE_SECONDS: '2',
    SLUICE_PORT: '0',
    SLUICE_LOG_LEVEL: 'error',
    ...environment,
  });
  cleanUps.push(async () => {
    service.child.kill('SIGKILL');
    await service.exited;
  });
  const [, url = ''] = await service.waitFor(/Sluice serves (http:\S+)\/graphql/);
  return { service, url };
}

/** As a service manager starts it again when it ends with the code that asks for it. */
async function serveAgain(ended: SluiceProcess) {
  expect(await ended.exited, ended.stderr()).toMatchObject({ code: 75 });
  return serve();
}

function payIn(count: number): void {
  for (let each = 0; each < count; each += 1) {
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    const payment = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1', memo: 'alice-memo' };
    simnet.network.transfer(payment);
    paid += 1;
  }
}

type Deposit = { readonly cursor: string; readonly eventId: string };

/** Follows the deposits until `count` of them came. @returns the facts of the error instead, where there is one. */
async function follow(url: string, after: string, count: number): Promise<readonly Deposit[] | Record<string, string>> {
  const body = {
    query: 'subscription ($after: Cursor) { deposits(after: $after) { cursor eventId } }',
    variables: { after },
  };
  const { stream } = await subscribeSse(url, body, HEADERS);
  const deposits: Deposit[] = [];
  try {
    while (deposits.length < count) {
      const message = await stream.next();
      if (message === null) throw new Error(`The stream ended after ${deposits.length} deposits.`);
      const { data, errors } = JSON.parse(message.data);
      const refusal = errors?.[0].extensions;
      // While its connections come back, that is.
      if (refusal?.code === 'UNAVAILABLE') throw new Error('The API is not available.');
      if (refusal !== undefined) return refusal;
      deposits.push(data.deposits);
    }
  } finally {
    stream.cut();
  }
  return deposits;
}

async function followed(url: string, after: string, count: number): Promise<readonly Deposit[]> {
  const deposits = await eventually(() => follow(url, after, count), PATIENCE);
  if (!Array.isArray(deposits)) throw new Error(`Refused: ${JSON.stringify(deposits)}`);
  return deposits;
}

async function startCursor(url: string): Promise<string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...HEADERS },
    body: JSON.stringify({ query: '{ eventLog { startCursor } }' }),
  });
  return (await response.json()).data.eventLog.startCursor;
}

/** Deposits, a copy of the files, and deposits that the copy does not have. @returns the cursors after each, and all that was announced. */
async function deposits(url: string) {
  payIn(5);
  const early = await followed(url, await startCursor(url), 5);
  const kept = early.at(-1)?.cursor ?? '';
  await copyTo('copy');
  payIn(5);
  const late = await followed(url, kept, 5);
  const gone = late.at(-1)?.cursor ?? '';
  return { kept, gone, announced: [...early, ...late].map(({ eventId }) => eventId) };
}

/** However it went back: nothing is lost or credited twice, nothing misread, nothing is paid out. */
async function expectNoticed(url: string, before: Awaited<ReturnType<typeof deposits>>): Promise<void> {
  payIn(3);
  // What the ledger did is read again; from before, what is common to both is good still.
  const again = await followed(url, before.kept, 8);
  expect(again.slice(0, 5).map(({ eventId }) => eventId)).toEqual(before.announced.slice(5));
  const refused = await eventually(() => follow(url, before.gone, 1), PATIENCE);
  expect(refused).toMatchObject({ code: 'CURSOR_FROM_ANOTHER_LOG', resumeCursor: expect.any(String) });
  const { resumeCursor = '' } = refused as Record<string, string>;
  expect(await followed(url, resumeCursor, 8)).toEqual(again);
  await withDatabase(async (db) => {
    const { rows } = await sql<{ credited: string; freezes: string[] }>`
      SELECT (SELECT sum(b.balance)::text FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER') AS credited,
        ARRAY(SELECT reason FROM money_freeze WHERE lifted_at IS NULL AND treasury_id IS NULL AND instrument_id IS NULL) AS freezes`.execute(
      db,
    );
    expect(Number(rows[0]?.credited)).toBe(paid);
    expect(rows[0]?.freezes).toEqual(['DATABASE_WENT_BACK']);
    expect(await checkBooks(db)).toEqual([]);
  });
}

test('C3: a failover to a standby that lacked acknowledged commits is noticed before anything is numbered there', async () => {
  const { service, url } = await serve();
  const before = await deposits(url);

  await running().stop();
  // It recovers what it has, and goes on as a primary: on a timeline of its own, as every standby that is promoted.
  await writeFile(join(folder, 'copy', 'data', 'recovery.signal'), '');
  await startServer('copy', { restore_command: 'false' });

  await expectNoticed((await serveAgain(service)).url, before);
});

test('C3: files of the database that were put back are noticed by the process that saw more', async () => {
  const { service, url } = await serve();
  const before = await deposits(url);

  await running().stop();
  await startServer('copy');

  await expectNoticed((await serveAgain(service)).url, before);
});

test('C3: files that were put back while nothing ran are noticed by what was written down outside the database', async () => {
  const anchor = { SLUICE_ANCHOR_FILE: join(folder, 'anchor') };
  const { service, url } = await serve(anchor);
  const before = await deposits(url);

  await service.stop();
  await running().stop();
  await startServer('copy');

  await expectNoticed((await serve(anchor)).url, before);
});

test('a restart of the database, and a cut of all connections, is nothing to it', async () => {
  const { service, url } = await serve({ SLUICE_ANCHOR_FILE: join(folder, 'anchor') });
  const before = await deposits(url);

  await running().stop();
  await startServer('live');
  payIn(2);

  await eventually(async () => expect(await followed(url, before.gone, 2)).toHaveLength(2), PATIENCE);
  expect(service.child.exitCode).toBe(null);
  await withDatabase(async (db) => {
    expect(await db.selectFrom('money_freeze').selectAll().execute()).toEqual([]);
    expect(await db.selectFrom('event_log_epoch').selectAll().execute()).toEqual([]);
  });
});
