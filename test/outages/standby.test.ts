/**
 * An API whose database is a standby that lags. Sluice reads from one database, the primary, so this is somebody's mistake or a DNS name that has not followed a failover: the answers say how old
 * they are, nothing can be changed there, and those at the primary are unaffected. Two real servers with streaming replication, two real processes.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, expect, test, vi } from 'vitest';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { subscribeSse } from '../support/sse-client.ts';

vi.setConfig({ testTimeout: 150_000 });

const PATIENCE = { deadlineMs: 60_000, intervalMs: 100 };
const HEADERS = { 'content-type': 'application/json', authorization: 'Bearer dev-operator' };
const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function open(connectionString: string): Database {
  const own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 1, logger: env.logger });
  cleanUps.push(own.close);
  return own.db;
}

/** @returns the connection strings of a primary and of a standby that follows it. */
async function startPair(): Promise<{ readonly primary: string; readonly standby: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-standby-'));
  cleanUps.push(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755); // The servers may run as another user.
  const place = { baseDirectory: folder, ...env };
  const first = await startEmbeddedPostgres({ ...place, name: 'primary', port: 0 });
  await migrate({ connectionString: first.connectionString, logger: env.logger });
  await first.stop();
  await promisify(execFile)('cp', ['-a', join(folder, 'primary'), join(folder, 'standby')]);
  await writeFile(join(folder, 'standby', 'data', 'standby.signal'), '');
  const primary = await startEmbeddedPostgres({ ...place, name: 'primary', port: first.port });
  cleanUps.push(primary.stop);
  const settings = { primary_conninfo: primary.connectionString };
  const standby = await startEmbeddedPostgres({ ...place, name: 'standby', port: 0, settings });
  cleanUps.push(standby.stop);
  return { primary: primary.connectionString, standby: standby.connectionString };
}

async function serve(simnet: TestNetwork, connectionString: string, role: 'all' | 'api'): Promise<string> {
  const service = startSluice(['serve'], {
    DATABASE_URL: connectionString,
    SLUICE_ROLE: role,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_PORT: '0',
    SLUICE_LOG_LEVEL: 'silent',
  });
  cleanUps.push(async () => {
    service.child.kill('SIGKILL');
    await service.exited;
  });
  const [, url = ''] = await service.waitFor(/Sluice serves (http:\S+)\/graphql/);
  return url;
}

async function ask(url: string, query: string) {
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers: HEADERS, body: JSON.stringify({ query }) });
  const { data, errors } = await response.json();
  return { status: response.status, data, errors };
}

/** How far an API says that it is. */
async function standing(url: string) {
  const { data } = await ask(url, '{ ingestionStreams { updatesCount freshness { position recordTime ageMs } } }');
  const [stream] = data.ingestionStreams;
  return { updates: Number(stream.updatesCount), ...stream.freshness };
}

const REGISTER = `mutation { createDepositAccount(input: { account: "alice", memo: "alice-memo" }) {
  __typename ... on CreateDepositAccountPayload { replayed } } }`;

test('C11: an API over a standby that lags says how old its answers are and changes nothing; at the primary all goes on', async () => {
  const { primary, standby } = await startPair();
  const simnet = await startTestNetwork('standby', { checkpoints: { busyMs: 100, idleMs: 200 } });
  cleanUps.push(simnet.stop);
  const deposit = () => {
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    const payment = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1', memo: 'alice-memo' };
    simnet.network.transfer(payment);
  };
  const leading = await serve(simnet, primary, 'all');
  deposit();
  await eventually(async () => expect((await standing(leading)).updates).toBeGreaterThan(0), PATIENCE);
  const lagging = await serve(simnet, standby, 'api');
  await eventually(
    async () => expect((await standing(lagging)).position).toBe((await standing(leading)).position),
    PATIENCE,
  );

  await sql`SELECT pg_wal_replay_pause()`.execute(open(standby));
  await eventually(async () => {
    const { rows } = await sql<{ state: string }>`SELECT pg_get_wal_replay_pause_state() AS state`.execute(
      open(standby),
    );
    expect(rows[0]?.state).toBe('paused');
  }, PATIENCE);
  const before = await standing(lagging);
  for (let count = 0; count < 3; count += 1) deposit();
  await eventually(async () => expect((await standing(leading)).updates).toBeGreaterThan(before.updates + 2), PATIENCE);
  await eventually(async () => expect((await standing(leading)).position).not.toBe(before.position), PATIENCE);

  // The same answers as before, with the same position, and of a greater age.
  const later = await standing(lagging);
  expect({ ...later, ageMs: 0 }).toEqual({ ...before, ageMs: 0 });
  expect(later.ageMs).toBeGreaterThan(before.ageMs);
  // Nothing is changed from there, neither here nor there; what decides is read and written at the primary.
  const refused = await ask(lagging, REGISTER);
  expect(refused).toMatchObject({ status: 503, errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
  expect(await open(primary).selectFrom('deposit_account').selectAll().execute()).toEqual([]);
  expect(await ask(leading, REGISTER)).toMatchObject({
    status: 200,
    data: { createDepositAccount: { __typename: 'CreateDepositAccountPayload', replayed: false } },
  });

  // What comes from the primary's API with a newer cursor is not told that it never was: it waits, and goes on there.
  const after = (await standing(leading)).position;
  const resume = async () =>
    await subscribeSse(lagging, {
      query: 'subscription ($after: Cursor) { events(after: $after) { eventId cursor } }',
      variables: { after },
    });
  const early = await resume();
  expect((await early.stream.next())?.data).toContain('"UNAVAILABLE"');
  early.stream.cut();

  await sql`SELECT pg_wal_replay_resume()`.execute(open(standby));
  await eventually(
    async () => expect((await standing(lagging)).position).toBe((await standing(leading)).position),
    PATIENCE,
  );
  const { stream } = await resume();
  deposit();
  expect(JSON.parse((await stream.next())?.data ?? '{}').data.events.cursor).not.toBe(after);
  stream.cut();
});
