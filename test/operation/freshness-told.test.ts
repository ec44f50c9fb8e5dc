/** What commands say of how fresh they are. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { printFreshness } from '../../src/cli/ledger-freshness.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows, DAY } from '../support/rows.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => await database.close());

test('a stream that is halted says why, where nobody can ask the API', async () => {
  await createRows(database.db).stream({
    status: 'HALTED',
    status_reason: 'UPDATE_MISSING: it\u001b[2J is not there.',
  });
  const said: string[] = [];
  const terminal: Terminal = {
    isInteractive: false,
    styled: (_style, text) => text,
    print: (line = '') => said.push(line),
    redraw: () => undefined,
    release: () => undefined,
  };
  const context = {
    terminal,
    clock: { ...systemClock, nowMicros: () => DAY },
    random: systemRandom,
    environment: {},
    createLogger: () => database.logger,
    end: () => undefined,
  };
  expect(await printFreshness(context, database.db)).toBe(false);
  expect(said).toEqual([
    expect.stringMatching(/^treasury: HALTED, /),
    '  UPDATE_MISSING: it\ufffd[2J is not there.; docs/runbooks/halted-stream.md',
  ]);
});
