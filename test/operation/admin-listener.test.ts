/** Health and metrics of a running Sluice, and that its API's port shows nothing of them. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminPortOf } from '../../src/cli/watching.ts';
import { METRICS } from '../../src/metrics/metric-list.ts';
import { USUAL_PORT } from '../../src/server/admin-server.ts';
import { eventually } from '../support/eventually.ts';
import { startWithdrawalScene, type WithdrawalScene } from '../support/withdrawal-scene.ts';

const CANARY = 'canary-0f4d7c';
let scene: WithdrawalScene;

beforeAll(async () => {
  scene = await startWithdrawalScene({ SLUICE_ADMIN_PORT: '0', SLUICE_LEDGER_TOKEN: CANARY });
}, 60_000);
afterAll(async () => await scene.close());

const get = async (path: string, base = scene.service.adminUrl, headers: Record<string, string> = {}) => {
  const response = await fetch(`${base}${path}`, { headers });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};
const scrape = async (base = scene.service.adminUrl): Promise<string> => (await get('/metrics', base)).text;
/** The value of a series, by everything before it. */
const sampleOf = (text: string, series: string): number | undefined => {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

test('health says that it lives, readiness what it looked at, and metrics what happened', {
  timeout: 90_000,
}, async () => {
  expect(await get('/healthz')).toMatchObject({ status: 200, text: '{"status":"ok"}\n' });
  const ready = await eventually(
    async () => {
      const answer = await get('/readyz');
      expect(answer.status).toBe(200);
      return JSON.parse(answer.text);
    },
    { deadlineMs: 20_000 },
  );
  expect(ready.checks.map(({ name }: { name: string }) => name)).toEqual([
    'running',
    'database',
    'schema',
    'log',
    'ingestion',
  ]);

  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await scene.fund('amulet', ['100']);
  await scene.create({ key: 'one', instrument: 'amulet', receiver: 'bob', amount: '3' });
  await eventually(
    async () => {
      const text = await scrape();
      expect(sampleOf(text, 'sluice_database_up')).toBe(1);
      expect(sampleOf(text, 'sluice_ready')).toBe(1);
      expect(sampleOf(text, 'sluice_ingestion_batch_updates_count{treasury="treasury"}')).toBeGreaterThan(0);
      expect(sampleOf(text, 'sluice_ingestion_lag_offsets{treasury="treasury"}')).toBeGreaterThanOrEqual(0);
      expect(sampleOf(text, 'sluice_ingestion_lag_seconds{treasury="treasury"}')).toBeLessThan(60);
      expect(sampleOf(text, 'sluice_ingestion_halted{treasury="treasury"}')).toBe(0);
      expect(sampleOf(text, 'sluice_withdrawals_open{state="QUEUED"}')).toBeGreaterThanOrEqual(0);
      expect(sampleOf(text, 'sluice_database_connections{lane="api",state="idle"}')).toBeGreaterThanOrEqual(0);
      expect(text).toContain('sluice_build_info{version="0.1.0"');
    },
    { deadlineMs: 40_000, intervalMs: 500 },
  );
  // Nothing is shown that the list does not describe, and nobody's name or secret.
  const text = await scrape();
  const shown = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind]) => [name, kind]);
  for (const [name = '', kind] of shown) expect([name, Reflect.get(METRICS, name)?.kind]).toEqual([name, kind]);
  expect(text).not.toMatch(/alice|NaN/);
});

test('Z40: the port of the API shows no metrics and no detail of its health, and the other no API', {
  timeout: 60_000,
}, async () => {
  for (const path of [
    '/metrics',
    '/metrics/',
    '//metrics',
    '/%6detrics',
    '/graphql/../metrics',
    '/admin',
    '/debug',
    '/status',
    '/readyz/detail',
    '/healthz/x',
  ]) {
    const { status, text } = await get(path, scene.url);
    // `//metrics` is the page of `/`, at a host that is called so.
    if (path !== '//metrics') expect([path, status]).toEqual([path, 404]);
    expect(text).not.toContain('sluice_');
  }
  for (const path of ['/healthz', '/readyz']) {
    const { text } = await get(path, scene.url);
    expect(Object.keys(JSON.parse(text))).toEqual(['status']);
  }
  for (const path of ['/graphql', '/graphiql', '/schema.graphql', '/']) expect((await get(path)).status).toBe(404);
  expect(new URL(scene.service.adminUrl).hostname).toBe('127.0.0.1');
  const posted = await fetch(`${scene.service.adminUrl}/metrics`, { method: 'POST', body: 'x' });
  expect(posted.status).toBe(405);
});

test('Z40: a name that was pointed at this machine gets nothing from the listener on loopback', async () => {
  const { request } = await import('node:http');
  const { port } = new URL(scene.service.adminUrl);
  const statusFor = async (host: string): Promise<number | undefined> =>
    await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/metrics', headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  expect(await statusFor('evil.example')).toBe(403);
  expect(await statusFor(`127.0.0.1.evil.example:${port}`)).toBe(403);
  expect(await statusFor(`localhost:${port}`)).toBe(200);
});

test('C7: a flood that takes all connections of the API does not have its process taken out of the balancer', {
  timeout: 60_000,
}, async () => {
  const { db, url, adminUrl } = scene.service;
  const flood = Array.from({ length: 30 }, async () => await sql`SELECT pg_sleep(6)`.execute(db));
  const drained = Promise.allSettled(flood);
  try {
    await eventually(async () => {
      const { rows } = await sql<{ count: number }>`
        SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'sluice-api' AND query LIKE '%pg_sleep(6)%' AND state = 'active'`.execute(
        scene.database.db,
      );
      expect(rows[0]?.count).toBeGreaterThanOrEqual(10);
    });
    for (const base of [adminUrl, url ?? '']) expect(await get('/readyz', base)).toMatchObject({ status: 200 });
  } finally {
    await drained;
  }
});

test('C7: a table that is locked, which the probe of the operator looks into, keeps the balancer of the API waiting for nothing', {
  timeout: 60_000,
}, async () => {
  const { url, adminUrl } = scene.service;
  const holder = await scene.database.db.startTransaction().execute();
  await sql`LOCK TABLE ingestion_stream IN ACCESS EXCLUSIVE MODE`.execute(holder);
  try {
    for (let count = 0; count < 3; count += 1) {
      const asked: { look: Promise<unknown> | null } = { look: null };
      await eventually(async () => {
        // Once more where it came too late for a look of its own, and was told what the one before had found.
        asked.look ??= get('/readyz', adminUrl).finally(() => {
          asked.look = null;
        });
        const { rows } =
          await sql`SELECT FROM pg_stat_activity WHERE application_name = 'sluice-probes' AND wait_event_type = 'Lock'`.execute(
            scene.database.db,
          );
        expect(rows).toHaveLength(1);
      });
      expect(await get('/readyz', url ?? '')).toMatchObject({ status: 200 });
      await asked.look;
    }
  } finally {
    await holder.rollback().execute();
  }
});

test('Z29: no secret is among the numbers or the words of the listener', async () => {
  const secrets = [
    CANARY,
    ...(new URL(scene.database.connectionString).password === ''
      ? []
      : [new URL(scene.database.connectionString).password]),
  ];
  for (const path of ['/healthz', '/readyz', '/metrics', '/nothing']) {
    const { text } = await get(path);
    for (const secret of secrets) expect(text).not.toContain(secret);
  }
});

test('the usual port is left to an API that was given it, as beside a program that has 4000', () => {
  const given = { adminPort: null, role: 'all', port: USUAL_PORT } as const;
  expect(adminPortOf(given)).toBe(0);
  expect(adminPortOf({ ...given, port: 4000 })).toBeNull();
  expect(adminPortOf({ ...given, role: 'worker' })).toBeNull();
  expect(adminPortOf({ ...given, adminPort: 9090 })).toBe(9090);
});

test('a worker is watched as well, has no API, and takes another port where the usual one is taken', {
  timeout: 60_000,
}, async () => {
  const worker = await scene.another({ SLUICE_ROLE: 'worker', SLUICE_ADMIN_PORT: '' });
  const second = await scene.another({ SLUICE_ROLE: 'worker', SLUICE_ADMIN_PORT: '' });
  expect(worker.url).toBeNull();
  expect(worker.adminUrl).not.toBe(second.adminUrl);
  await eventually(
    async () => {
      for (const { adminUrl } of [worker, second]) {
        expect((await get('/readyz', adminUrl)).status).toBe(200);
        expect(await scrape(adminUrl)).toContain('role="worker"');
      }
    },
    { deadlineMs: 20_000, intervalMs: 200 },
  );
  // Somebody has the port that was asked for by name.
  const taken = new URL(worker.adminUrl).port;
  await expect(scene.another({ SLUICE_ROLE: 'worker', SLUICE_ADMIN_PORT: taken })).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
  });
});
