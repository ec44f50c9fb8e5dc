/** Goal: what a process shows is what there is now, and what people are woken by is there before it happens first. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { ACCESS_CONFIG, openAccess } from '../../src/cli/access.ts';
import { loadConfig } from '../../src/config/config.ts';
import type { Clock } from '../../src/env/clock.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { METRICS } from '../../src/metrics/metric-list.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { type OperationFact, readOperationFacts } from '../../src/read/operation-facts.ts';
import { PROJECT } from '../e2e/sluice-process.ts';
import { createTestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { newKey, startIssuer } from '../support/issuer.ts';

function metricsOf(clock: Clock, readFacts: () => Promise<readonly OperationFact[]> = async () => []) {
  return createMetrics({
    ...{ clock, readFacts, logger: createSystemLogger('silent'), pools: () => [] },
    build: { version: '0.1.0', node: '24', role: 'all' },
    process: {
      read: () => ({
        ...{ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startSeconds: 1 },
        loopLagSeconds: { p50: 0, p99: 0, max: 0 },
      }),
      close: () => undefined,
    },
  });
}

test('what a signer may refuse is shown before it has refused: a series that begins at 1 has not increased to whoever watches', async () => {
  const folders = ['src/custody', 'src/signer', 'src/submissions'];
  const files = await Promise.all(
    folders.map(async (folder) => (await readdir(join(PROJECT, folder))).map((file) => join(PROJECT, folder, file))),
  );
  const sources = await Promise.all(
    files.flat().map(async (file) => (file.endsWith('.ts') ? await readFile(file, 'utf8') : '')),
  );
  const codes = new Set(
    [...sources.join('\n').matchAll(/'(SIGNING_[A-Z_]+|SIGNATURE_INVALID)'/g)].map(([, code]) => code),
  );
  const { shown } = METRICS.sluice_signer_answers_total;

  expect([...codes].sort()).toEqual(shown.filter((code) => code !== 'SIGNED').sort());
  const metrics = metricsOf(systemClock);
  for (const code of shown)
    expect(await metrics.scrape()).toContain(`sluice_signer_answers_total{result="${code}"} 0\n`);
  metrics.measures.signerAnswered({ result: 'SIGNING_LIMIT', durationMs: 1 });
  expect(await metrics.scrape()).toContain('sluice_signer_answers_total{result="SIGNING_LIMIT"} 1\n');
});

test('a wall clock that is set back has nobody shown what was read before for as long', async () => {
  const hands = { wall: 10_000_000_000n, elapsedMs: 0 };
  const clock: Clock = { ...systemClock, nowMicros: () => hands.wall, elapsedMs: () => hands.elapsedMs };
  let position = 1;
  const metrics = metricsOf(clock, async () => [{ name: 'log_position', labels: {}, value: position++ }]);
  expect(await metrics.scrape()).toContain('sluice_log_position 1\n');

  hands.wall -= 3_600_000_000n;
  hands.elapsedMs += 5_000;
  expect(await metrics.scrape()).toContain('sluice_log_position 1\n');
  hands.elapsedMs += 6_000;

  expect(await metrics.scrape()).toContain('sluice_log_position 2\n');
});

test('a session that listens and does not read is seen before the room for notifications is full', async () => {
  const database = await createTestDatabase();
  const ratio = async (): Promise<number> => {
    const facts = await readOperationFacts(database.db, {
      nowMicros: systemClock.nowMicros(),
      recordTimeAheadMsMax: 60_000,
    });
    return facts.find(({ name }) => name === 'notification_queue_ratio')?.value ?? Number.NaN;
  };
  const listener = new pg.Client({ connectionString: database.connectionString });
  await listener.connect();
  await listener.query('LISTEN sluice_log');
  await listener.query('BEGIN');
  await listener.query('SELECT 1');

  const before = await ratio();
  // The room is that of the whole server: whoever else did not read at first may have caught up since.
  let line = 0;
  await eventually(
    async () => {
      for (const until = line + 200; line < until; line += 1)
        await append(database, draftOf(`${'long '.repeat(20)}${line}`));
      expect(await ratio()).toBeGreaterThan(before);
    },
    { deadlineMs: 30_000 },
  );
  await listener.end();
  await database.close();
});

test('H7: an identity provider that was never reached counts from the start, also beside one that is', async () => {
  const database = await createTestDatabase();
  const key = newKey('first');
  const issuer = await startIssuer([key]);
  const ending = new AbortController();
  let aheadMicros = 0n;
  const clock: Clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + aheadMicros };
  const config = loadConfig(
    {
      SLUICE_NETWORK: 'testnet',
      SLUICE_OIDC_ISSUERS: `here=${issuer.url},away=http://127.0.0.1:1/realm`,
      SLUICE_OIDC_AUDIENCE: 'sluice',
      SLUICE_OIDC_PRIVATE: 'allow',
    },
    ACCESS_CONFIG,
  );
  const access = openAccess(config, {
    ...{ clock, db: database.db, notifications: null, logger: createSystemLogger('silent'), signal: ending.signal },
  });
  aheadMicros = 7_200_000_000n;
  const running = access.loops.map(async ({ run }) => await run());
  await eventually(() => expect(issuer.fetches()).toBeGreaterThan(0));

  expect(access.keysAgeSeconds()).toBeGreaterThanOrEqual(7_200);
  ending.abort();
  await Promise.all(running);
  await issuer.close();
  await database.close();
});
