/** What was in quarantine is screened as well when it is read again, whatever the terminal of the operator knows of the screening service. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK } from '../support/network.ts';
import { SCREENING_SECRET } from '../support/screening-server.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;

beforeEach(async () => {
  scene = await startDepositScene({ isScreening: true });
});

afterEach(async () => await scene.close());

async function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const sluice = startSluice(args, {
    DATABASE_URL: scene.database.connectionString,
    SLUICE_NETWORK: NETWORK,
    ...variables,
  });
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

test('a command books as the network has decided, whatever its terminal knows of the screening service', {
  timeout: 240_000,
}, async () => {
  await quarantined('7');
  expect(await run(['reparse', '--all'])).toMatchObject({ code: 0 });
  expect(await scene.balances()).toEqual({ 'HELD:alice': '7.0000000000' });
  await quarantined('8');
  expect(await run(['rebuild', '--switch'])).toMatchObject({ code: 0 });
  expect(await scene.balances()).toEqual({ 'HELD:alice': '15.0000000000' });

  const off = ['screening', 'switch', 'off', '--by', 'compliance', '--why', 'the contract has ended'];
  expect(await run(off)).toMatchObject({
    code: 0,
    said: expect.stringMatching(/^2 deposits and offers wait.*Nothing was changed/s),
  });
  expect(await run(['screening'])).toMatchObject({ said: expect.stringMatching(/^screening of deposits is on since/) });
  expect(await run([...off, '--yes'])).toMatchObject({
    code: 0,
    said: expect.stringMatching(/^screening of deposits was on and is off\n2 deposits and offers wait/),
  });
  expect(await run(['screening'])).toMatchObject({
    said: expect.stringMatching(/is off since .* by compliance: the contract has ended\n2 deposits/),
  });

  // What the service would have had to allow stays held; what is new is not shown to it, though this terminal could.
  await quarantined('9');
  const screened = {
    SLUICE_SCREENING_URL: 'http://127.0.0.1:9',
    SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
  };
  expect(await run(['reparse', '--all'], screened)).toMatchObject({ code: 0 });
  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '9.0000000000', 'HELD:alice': '15.0000000000' });

  expect(await run(['screening', 'switch', 'on', '--by', 'compliance', '--why', 'a new contract'])).toMatchObject({
    code: 0,
    said: expect.stringMatching(/was off and is on/),
  });
  expect(await run(['screening', 'switch', 'on', '--by', 'compliance'])).toMatchObject({
    code: EXIT_CODES.usage.code,
    said: expect.stringContaining('--why'),
  });
});
