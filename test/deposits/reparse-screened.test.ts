/** What was in quarantine is screened as well when it is read again, whatever the terminal of the operator knows of the screening service. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { SCREENING_SECRET } from '../support/screening-server.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;

beforeEach(async () => {
  scene = await startDepositScene({ isScreening: true });
});

afterEach(async () => await scene.close());

async function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const sluice = startSluice(args, { DATABASE_URL: scene.database.connectionString, ...variables });
  const { code } = await sluice.exited;
  return { code, said: `${sluice.stdout()}${sluice.stderr()}` };
}

/** A deposit that this version could not store, and now can. */
async function quarantined(amount: string): Promise<void> {
  const { db } = scene.database;
  await sql`ALTER TABLE transfer ADD CONSTRAINT broken CHECK (amount <> ${sql.lit(Number(amount))}) NOT VALID`.execute(
    db,
  );
  scene.pay({ amount, memo: 'alice-memo' });
  await eventually(
    async () =>
      expect(await db.selectFrom('quarantine').selectAll().where('closed_at', 'is', null).execute()).toHaveLength(1),
    { deadlineMs: 30_000 },
  );
  await sql`ALTER TABLE transfer DROP CONSTRAINT broken`.execute(db);
}

test('a command that does not know the screening service books no deposit unscreened where deposits are screened', {
  timeout: 240_000,
}, async () => {
  scene.pay({ amount: '5', memo: 'alice-memo' });
  await scene.settled();
  expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });
  await quarantined('7');

  for (const args of [
    ['reparse', '--all'],
    ['rebuild', '--switch'],
  ]) {
    expect(await run(args)).toMatchObject({
      code: EXIT_CODES.refused.code,
      said: expect.stringMatching(/SCREENING_UNKNOWN: .*SLUICE_SCREENING_URL/),
    });
    expect((await scene.balances())['CUSTOMER:alice']).toBeUndefined();
  }

  const screened = {
    SLUICE_SCREENING_URL: 'http://127.0.0.1:9',
    SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
  };
  expect(await run(['reparse', '--all'], screened)).toMatchObject({ code: 0 });
  expect(await scene.balances()).toEqual({ 'HELD:alice': '12.0000000000' });

  // Who has given screening up says so.
  await quarantined('9');
  expect(await run(['reparse', '--all', '--unscreened'])).toMatchObject({ code: 0 });
  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '9.0000000000', 'HELD:alice': '12.0000000000' });
});
