/**
 * Stopping while the database is silent, which is when an orderly shutdown cannot finish; and an API replica that lives through that silence.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { migrate } from '../../src/db/migrate.ts';
import { systemClock } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { type SluiceProcess, startSluice } from './sluice-process.ts';

let database: TestDatabase;
let proxy: TcpProxy;
const started: SluiceProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ isMigrated: false });
  await migrate({ connectionString: database.connectionString, logger: database.logger });
  const { hostname: host, port } = new URL(database.connectionString);
  proxy = await createTcpProxy({ host, port: Number(port) });
});

afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await proxy.close();
  await database.close();
});

async function serve(role: 'all' | 'api'): Promise<{ readonly process: SluiceProcess; readonly url: string }> {
  const throughProxy = new URL(database.connectionString);
  throughProxy.host = `127.0.0.1:${proxy.port}`;
  const running = startSluice(['serve'], {
    DATABASE_URL: throughProxy.href,
    SLUICE_ROLE: role,
    SLUICE_PORT: '0',
    SLUICE_LEDGER_URL: 'http://127.0.0.1:1',
    SLUICE_NETWORK: 'n',
    SLUICE_TREASURY_PARTIES: 'a::12',
    SLUICE_INSTRUMENTS: 'CC=b::12/Amulet',
    SLUICE_LOG_LEVEL: 'error',
  });
  started.push(running);
  const [, url = ''] = await running.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
  return { process: running, url };
}

test('an API replica is not ready while the database is silent, stays up, and is ready again', async () => {
  const { process: replica, url } = await serve('api');
  const statusOf = async (path: string): Promise<number> => (await fetch(`${url}${path}`)).status;
  expect(await statusOf('/readyz')).toBe(200);

  proxy.silence();
  expect(await statusOf('/readyz')).toBe(503);
  expect(await statusOf('/healthz')).toBe(200);
  proxy.speak();

  await eventually(async () => expect(await statusOf('/readyz')).toBe(200), { deadlineMs: 10_000 });
  expect(await replica.stop()).toEqual({ code: EXIT_CODES.done.code, signal: null });
});

test('a shutdown that cannot finish ends at a second signal, or by itself after 10 s, and says what it waited for', async () => {
  const [impatient, patient] = await Promise.all([serve('all'), serve('all')]);
  proxy.silence();
  await systemClock.sleep(500); // Polls are on their way to a database that no longer answers.
  const startedAt = systemClock.nowMicros();
  impatient.process.child.kill('SIGTERM');
  patient.process.child.kill('SIGTERM');

  await systemClock.sleep(1_500);
  impatient.process.child.kill('SIGTERM');
  expect(await impatient.process.exited).toEqual({ code: EXIT_CODES.interrupted.code, signal: null });
  expect(await patient.process.exited).toEqual({ code: EXIT_CODES.interrupted.code, signal: null });
  const tookMs = Number((systemClock.nowMicros() - startedAt) / 1_000n);

  expect(tookMs).toBeGreaterThan(9_500);
  expect(tookMs).toBeLessThan(13_000);
  expect(impatient.process.stderr()).toMatch(/"why":"Another SIGTERM came","waitingFor":"[a-z ]+"/);
  expect(patient.process.stderr()).toMatch(/"why":"10 seconds passed","waitingFor":"[a-z ]+"/);
});
