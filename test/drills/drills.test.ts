/** The drills as an operator runs them, each a process of its own; and the comparison they rest on, with differences planted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene } from '../../src/cli/drill-scene.ts';
import { createTeardown } from '../../src/cli/teardown.ts';
import { createTerminal } from '../../src/cli/terminal.ts';
import { createSecret } from '../../src/config/secret.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { COMPILE_CACHE } from '../support/compile-cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

async function drill(name: string): Promise<{ readonly code: number | null; readonly report: string }> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/../../src/main.ts`, 'drill', name], {
    env: { PATH: process.env['PATH'], ...COMPILE_CACHE, DATABASE_URL: database.connectionString },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let report = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      report += chunk;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, report };
}

test.each([
  [
    'A13, A14: the drill validator-restore loses and doubles nothing, also below a position that checkpoints moved on',
    'validator-restore',
    [/60 updates behind/, /found our place by its id: epoch 2/, /a new deposit gets an offset below ours/],
  ],
  [
    'A17: the drill participant-switch loses and doubles nothing, there and back',
    'participant-switch',
    [/participant2 goes on: .* epoch 2/, /participant1 goes on: .* epoch 3/],
  ],
  [
    'B8: the drill upgrade loses and doubles nothing, and stays in one epoch',
    'upgrade',
    [/prepared before is void/, /still epoch 1/],
  ],
  [
    'C12, I3: the drill database-restore pays nothing twice, finds every payout by its old key, and moves nothing that stood still',
    'database-restore',
    [
      /It is noticed/,
      /[1-9]\d* payouts were made anew/,
      /Every old key is sent again: [1-9]/,
      /What was frozen is frozen, what was halted is halted, and the key that was taken away opens nothing/,
    ],
  ],
])('%s', { timeout: 180_000 }, async (_, name, expected) => {
  const { code, report } = await drill(name);

  expect(code, report).toBe(0);
  for (const line of expected) expect(report).toMatch(line);
  expect(report).toMatch(/payouts completed: [1-9]/);
  expect(report).toMatch(/offers that the treasury accepted itself: [1-9]/);
  expect(report).not.toMatch(/DIFFERS|FAULT/);
});

test('a drill says what differs, and does not go well', { timeout: 180_000 }, async () => {
  const lines: string[] = [];
  const logger = createSystemLogger('error');
  const teardown = createTeardown(logger);
  const stopping = new AbortController();
  const terminal = createTerminal({ write: (text) => lines.push(text) > 0 }, { isPlain: true });
  try {
    const scene = await openScene({
      context: {
        environment: {},
        terminal,
        createLogger: () => logger,
        clock: systemClock,
        random: systemRandom,
        end: () => undefined,
      },
      config: { databaseUrl: createSecret(database.connectionString), dataDir: null },
      logger,
      shutdown: { requested: stopping.signal, request: () => stopping.abort(), teardown },
    });
    scene.startLoad();
    await scene.moreLoad(20);
    await scene.stopLoad();
    expect(await scene.compare('As it is')).toBe(true);

    const { rows } = await sql<{ id: string }>`
      DELETE FROM attribution WHERE transfer_id = (SELECT transfer_id FROM attribution ORDER BY record_time DESC LIMIT 1) RETURNING transfer_id AS id`.execute(
      database.db,
    );
    expect(rows).toHaveLength(1);
    expect(await scene.compare('With a deposit taken away')).toBe(false);
    expect(lines.join('')).toMatch(/DIFFERS {2}deposits credited/);
    await sql`UPDATE holding SET amount = amount + 1 WHERE contract_id = (
        SELECT contract_id FROM holding WHERE archived_update_id IS NULL ORDER BY treasury_id DESC LIMIT 1)`.execute(
      database.db,
    );
    expect(await scene.compare('With a holding forged')).toBe(false);
    expect(lines.join('')).toMatch(/FAULT {4}holding: 1 rows do not follow/);
  } finally {
    stopping.abort();
    await teardown.run();
  }
});
