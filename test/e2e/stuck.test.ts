/** The commands an operator has when something hangs: `status`, `stuck`, `halt` and `lift`, on the database alone. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { systemClock } from '../../src/env/system.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';
import { startSluice } from './sluice-process.ts';

let api: WithdrawalApi;

beforeAll(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING', observed_at: systemClock.nowMicros() }, systemClock.nowMicros());
});

afterAll(async () => await api.close());

async function run(...args: readonly string[]) {
  const sluice = startSluice(args, { DATABASE_URL: api.database.connectionString });
  const { code } = await sluice.exited;
  return { code, stdout: sluice.stdout(), stderr: sluice.stderr() };
}

test('says how fresh it is, what is where, what is halted and what is stuck; and halts and lifts', {
  timeout: 240_000,
}, async () => {
  const id = await api.idOf('one');
  const calm = await run('status');
  expect(calm).toMatchObject({ code: 0, stderr: '' });
  expect(calm.stdout).toMatch(/^treasury: IDLE, \d+\.\d s old, up to /m);
  expect(calm.stdout).toMatch(/^QUEUED +1, the oldest from /m);
  expect(calm.stdout).toMatch(/^nothing is halted$/m);
  expect(await run('stuck')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^nothing is stuck$/m) });

  const halted = await run('halt', '--instrument', 'Amulet', '--by', 'mia', '--why', 'A key\u001b[2J may be gone.');
  expect(halted).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^ht_[0-9a-f]{40} stands: nothing is signed$/m),
  });
  const haltId = /ht_[0-9a-f]{40}/.exec(halted.stdout)?.[0] ?? '';
  expect(await run('halt', '--treasury', 'nobody', '--by', 'mia', '--why', 'x')).toMatchObject({
    code: EXIT_CODES.refused.code,
    stderr: expect.stringContaining('SCOPE_UNKNOWN'),
  });
  await api.database.db.updateTable('withdrawal').set({ changed_at: 1n }).execute();

  const status = await run('status');
  expect(status.code).toBe(EXIT_CODES.no.code);
  expect(status.stdout).toMatch(/^HALTED Amulet of every treasury since .* by mia: A key\ufffd\[2J may be gone\.$/m);
  expect(status.stdout).toMatch(/^1 are stuck: sluice stuck$/m);
  const stuck = await run('stuck');
  expect(stuck.code).toBe(EXIT_CODES.no.code);
  expect(stuck.stdout).toContain(`${id}  QUEUED since 1970-01-01T00:00:00.000001Z: HALT`);
  expect(stuck.stdout).toMatch(/two people lift it with `sluice lift`/);

  expect(await run('lift', haltId, '--by', 'mia', '--why', 'It is not.')).toMatchObject({ code: EXIT_CODES.no.code });
  expect(await run('lift', haltId, '--by', 'noah', '--why', 'It is not.')).toMatchObject({
    code: 0,
    stdout: 'lifted\n',
  });
  expect((await run('stuck')).stdout).toContain('QUEUED since 1970-01-01T00:00:00.000001Z: FUNDS');
});

test('halts, and says how things are, while a newer version is rolled out; and lets nothing go on', {
  timeout: 240_000,
}, async () => {
  const { db } = api.database;
  await sql`INSERT INTO migration_hash (name, sha256) VALUES ('9999_of_the_next_release', repeat('0', 64))`.execute(db);
  const halted = await run('halt', '--by', 'mia', '--why', 'Payouts look wrong.');
  expect(halted).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^ht_[0-9a-f]{40} stands: nothing is signed$/m),
  });
  expect(await run('status')).toMatchObject({ stdout: expect.stringMatching(/^HALTED every instrument/m) });
  expect(await run('stuck')).toMatchObject({ stdout: expect.stringMatching(/: HALT$/m) });
  expect(await run('freezes')).toMatchObject({ code: 0, stdout: 'nothing is frozen\n' });
  const haltId = /ht_[0-9a-f]{40}/.exec(halted.stdout)?.[0] ?? '';
  expect(await run('lift', haltId, '--by', 'noah', '--why', 'It is not.')).toMatchObject({
    code: EXIT_CODES.refused.code,
    stderr: expect.stringContaining('MIGRATION_UNKNOWN'),
  });
});
