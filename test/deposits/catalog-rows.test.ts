/** Rows of the failure catalog that are about whom a deposit is credited to: spam, many in one transaction, look-alikes, and amounts at their limits. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { switchOver } from '../../src/books/switch-over.ts';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { createDesk } from '../../src/deposits/desk.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import { createSecondSchema, derivePage, startHistory } from '../../src/ingestion/second-schema.ts';
import { type DeskCaseFilter, listDeskCases } from '../../src/read/desk-cases.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;

beforeEach(async () => {
  scene = await startDepositScene();
});

afterEach(async () => {
  await scene.close();
});

const owners = async () =>
  (
    await sql<{ amount: string; owner: string | null; why: string | null }>`
      SELECT t.amount::text, a.owner, c.why FROM transfer t LEFT JOIN attribution b ON b.transfer_id = t.id
      LEFT JOIN account a ON a.id = b.account_id LEFT JOIN desk_case c ON c.transfer_id = t.id
      WHERE t.direction = 'IN' ORDER BY t.amount::numeric`.execute(scene.database.db)
  ).rows.map(({ amount, owner, why }) => `${amount} ${owner ?? why}`);

test('G5: several deposits and an acceptance in one transaction are credited each once, each by its own memo', async () => {
  const { network } = scene.simnet;
  for (const amount of ['10', '11', '12', '13']) network.tap({ instrument: 'amulet', owner: 'alice', amount });
  const offered = network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '5',
    memo: 'bob-memo',
    kind: 'offer',
  });
  const deposit = { operation: 'transfer', instrument: 'amulet', sender: 'alice', receiver: 'treasury' } as const;
  network.batch({
    operations: [
      { ...deposit, amount: '1', memo: 'alice-memo' },
      { ...deposit, amount: '2', memo: 'bob-memo' },
      { operation: 'accept', instructionCid: offered.instructionCid ?? '' },
      { ...deposit, amount: '3', memo: 'nobody' },
    ],
  });
  await scene.settled();

  expect(await owners()).toEqual([
    '1.0000000000 alice',
    '2.0000000000 bob',
    '3.0000000000 UNKNOWN_MEMO',
    '5.0000000000 bob',
  ]);
  expect(await scene.balances()).toEqual({
    'CUSTOMER:alice': '1.0000000000',
    'CUSTOMER:bob': '7.0000000000',
    UNATTRIBUTED: '3.0000000000',
  });
});

test('G6: an instrument of the same name by another admin credits nobody, stays visible, and cannot be assigned', async () => {
  await scene.database.db
    .updateTable('instrument')
    .set({ is_accepted: false })
    .where('admin', '=', scene.simnet.network.instrument('usd').admin)
    .execute();
  scene.pay({ amount: '9', memo: 'alice-memo', instrument: 'usd', kind: 'offer' });
  await scene.settled();
  await scene.ingestion.stop();

  expect(await owners()).toEqual(['9.0000000000 INSTRUMENT_NOT_ACCEPTED']);
  const [transferId = ''] = await scene.transferIds();
  const desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map(),
    withdrawals: scene.withdrawals,
  });
  await expect(desk.assign({ transferId, account: 'alice', reason: 'please', by: 'support' })).rejects.toMatchObject({
    code: 'INSTRUMENT_NOT_ACCEPTED',
  });
});

test('G8: the smallest and the largest amounts are credited, assigned and summed to the last decimal', async () => {
  const largest = '9999999999999999999999999999.9999999999';
  scene.pay({ amount: '0.0000000001', memo: 'alice-memo' });
  scene.pay({ amount: '0.0000000002', memo: 'nobody' });
  await scene.settled();
  const { admin, id } = scene.simnet.network.instrument('amulet');
  const desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('1')]]),
    withdrawals: null,
  });
  const transferId = (await scene.transferIds()).at(-1) ?? '';

  await desk.assign({ transferId, account: 'alice', reason: 'dust', by: 'support' });
  await scene.settled();

  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '0.0000000003' });
  const insert = (amount: string) =>
    sql`UPDATE desk_case SET amount = ${amount}::numeric WHERE transfer_id = ${transferId}`.execute(scene.database.db);
  await expect(insert(largest)).resolves.toBeDefined();
  for (const refused of ['10000000000000000000000000000', '0.00000000001', '0', '-1', 'NaN', 'Infinity']) {
    await expect(insert(refused), refused).rejects.toThrow();
  }
  await insert('0.0000000002');
});

test('G4: among many cases of spam the desk finds its own by index', {
  timeout: 90_000,
}, async () => {
  scene.pay({ amount: '1', memo: 'Needle-1' });
  await scene.settled();
  await scene.ingestion.stop();
  const { db } = scene.database;
  await sql`
    INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, funds_account_id)
    SELECT 'tr_' || n, treasury_id, instrument_id, CASE WHEN n % 100 = 0 THEN 'OPEN' ELSE 'OFFERED' END, 'UNKNOWN_MEMO', amount,
      'spam ' || n, 'spammer-' || n % 50, 'u', n, CASE WHEN n % 100 = 0 THEN funds_account_id END
    FROM desk_case, generate_series(1, 50000) AS n`.execute(db);
  await sql`ANALYZE desk_case`.execute(db);

  const visited = async (
    filter: Partial<DeskCaseFilter>,
  ): Promise<{ readonly found: number; readonly rows: bigint }> => {
    const scanned = async () => {
      await sql`SELECT pg_stat_force_next_flush()`.execute(db);
      const { rows } = await sql<{ rows: bigint }>`
        SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint AS rows FROM pg_stat_user_tables WHERE relname = 'desk_case'`.execute(
        db,
      );
      return rows[0]?.rows ?? 0n;
    };
    return await db.connection().execute(async (connection) => {
      await sql`SELECT pg_stat_force_next_flush()`.execute(connection);
      const before = await scanned();
      const page = { limit: 20, after: null, before: null, isFromEnd: false };
      const wanted = { states: null, treasury: null, sender: null, memoStart: null, ...filter };
      const { rows } = await listDeskCases(connection, wanted, page);
      await sql`SELECT pg_stat_force_next_flush()`.execute(connection);
      await sql`SELECT 1`.execute(connection);
      return { found: rows.length, rows: (await scanned()) - before };
    });
  };

  for (const filter of [
    { memoStart: 'needle' },
    { sender: scene.simnet.network.party('alice') },
    { states: ['OPEN'] },
    { states: ['OPEN', 'ASSIGNED', 'REFUNDED'] },
    { states: ['OPEN'], memoStart: ' NEEDLE-1 ' },
    {},
  ] as const) {
    const { found, rows } = await visited(filter);
    expect(found, JSON.stringify(filter)).toBeGreaterThan(0);
    expect(rows, JSON.stringify(filter)).toBeLessThan(500n);
  }
});

test('what people decided survives that all tables are derived anew and switched', { timeout: 60_000 }, async () => {
  const { admin, id } = scene.simnet.network.instrument('amulet');
  const desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('100')]]),
    withdrawals: scene.withdrawals,
  });
  for (const amount of ['7', '8', '9']) scene.pay({ amount, memo: 'nobody' });
  const offer = scene.pay({ amount: '4', memo: 'nobody', kind: 'offer' });
  await scene.settled();
  const [first = '', second = '', , offered = ''] = await scene.transferIds();
  await desk.assign({ transferId: first, account: 'alice', reason: 'x', by: 'support' });
  await desk.refund({ transferId: second, reason: 'x', by: 'support' });
  await desk.assign({ transferId: offered, account: 'bob', reason: 'x', by: 'support' });
  const owned = async () => ({
    cases: await scene.database.db.selectFrom('desk_case').selectAll().orderBy('transfer_id').execute(),
    credits: await scene.database.db.selectFrom('attribution').selectAll().orderBy('transfer_id').execute(),
    balances: await scene.balances(),
  });
  const before = await owned();

  const [treasury] = scene.ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  await createSecondSchema(scene.database.db, 'run');
  const history = startHistory('run', treasury);
  while (await scene.database.db.transaction().execute(async (tx) => await derivePage(tx, history)));
  await switchOver({
    db: scene.database.db,
    histories: [history],
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    by: 'test',
    clock: systemClock,
    failpoint: noFailpoints,
  });

  expect(await owned()).toEqual(before);
  scene.simnet.network.accept({ instructionCid: offer ?? '' });
  await scene.settled();
  expect((await scene.balances())['CUSTOMER:bob']).toBe('4.0000000000');
});
