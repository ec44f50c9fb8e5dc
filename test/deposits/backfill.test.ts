/** An installation that ran before there was a desk: its migration makes the very cases that the deposit sink would have made. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { startDepositScene } from './harness.ts';

const migration = readFileSync(resolve(import.meta.dirname, '../../migrations/0008_deposit_decisions.sql'), 'utf8');

test('what waited before the desk was there is at the desk', async () => {
  const scene = await startDepositScene();
  const { db } = scene.database;
  const { network } = scene.simnet;
  scene.pay({ amount: '1', memo: 'alice-memo' });
  scene.pay({ amount: '2', memo: 'nobody' });
  scene.pay({ amount: '3' });
  scene.pay({ amount: '4', memo: 'nobody', kind: 'offer' });
  scene.pay({ amount: '5', memo: 'alice-memo', kind: 'offer' });
  const accepted = scene.pay({ amount: '6', kind: 'offer' });
  network.accept({ instructionCid: accepted ?? '' });
  await scene.settled();
  const cases = async () =>
    await db.selectFrom('desk_case').selectAll().where('state', '<>', 'ENDED').orderBy('transfer_id').execute();
  const made = await cases();
  expect(made).toHaveLength(4);

  await db.deleteFrom('desk_case').execute();
  const statements = migration.slice(migration.indexOf('-- What waits already')).split(';\n');
  expect(statements.filter((text) => text.includes('INSERT INTO desk_case'))).toHaveLength(2);
  for (const statement of statements) if (statement.includes('INSERT')) await sql.raw(statement).execute(db);

  expect(await cases()).toEqual(made);
  await scene.settled();
  await scene.close();
});
