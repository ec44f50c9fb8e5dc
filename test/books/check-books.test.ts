/**
 * What a wrong migration, a person with a database client or a flipped bit does to a row that counts, the checks find: every column of the received updates and of what is derived from them, and what
 * of the books says whose money it is.
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import type { Database } from '../../src/db/connection.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { describeBooksFault } from '../../src/invariants/books-fault-text.ts';
import { checkInvariants } from '../../src/invariants/live-invariants.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { type AttemptLimits, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 5,
  tryHoldMs: 0,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let treasury: Treasury;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('check-books');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  const [only] = ingestion.treasuries;
  if (only === undefined) throw new Error('No treasury.');
  treasury = only;
  await makeHistory();
  await ingestion.stop();
  expect(await faults()).toBe(0);
});

afterAll(async () => {
  await simnet.stop();
  await database.close();
});

/** Deposits, an offer taken and one open, a withdrawal that was paid, one that is open and one that was cancelled. */
async function makeHistory(): Promise<void> {
  const { network } = simnet;
  network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  for (const amount of ['10', '20', '5', '6']) network.tap({ instrument: 'amulet', owner: 'alice', amount });
  const toTreasury = { instrument: 'amulet', sender: 'alice', receiver: 'treasury' };
  network.transfer({ ...toTreasury, amount: '10', memo: 'alice-memo' });
  network.transfer({ ...toTreasury, amount: '20', memo: 'bob-memo' });
  const { instructionCid = '' } = network.transfer({ ...toTreasury, amount: '5', memo: 'bob-memo', kind: 'offer' });
  network.accept({ instructionCid });
  network.transfer({ ...toTreasury, amount: '6', memo: 'alice-memo', kind: 'offer' });
  await settled(3);

  const withdrawals = createWithdrawals({
    db: database.db,
    clock: systemClock,
    network: NETWORK,
    idKey: new Uint8Array(32),
  });
  const ask = (key: string, account: string) =>
    withdrawals.create({
      client: 'exchange',
      idempotencyKey: key,
      account,
      treasuryParty: network.party('treasury'),
      instrument: network.instrument('amulet'),
      receiver: network.party('bob'),
      amount: parseAmount('4'),
      memo: null,
    });
  await ask('paid', 'alice');
  await openAttempts(database.db, treasury.id, LIMITS, systemClock.nowMicros());
  const [attempt] = await takeDueAttempts(database.db, WITHDRAWALS, treasury.id, LIMITS, {
    nowMicros: systemClock.nowMicros(),
    countMax: 1,
  });
  if (attempt === undefined) throw new Error('No attempt.');
  const hash = new Uint8Array(32).fill(9);
  await recordSignatureRequest(database.db, WITHDRAWALS, attempt, {
    hash,
    scheme: 'V3',
    nowMicros: systemClock.nowMicros(),
  });
  network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: attempt.transfer.amount,
    inputHoldingCids: attempt.transfer.inputHoldingCids,
    externalTransactionHash: hash,
  });
  await eventually(async () => {
    const row = await database.db.selectFrom('withdrawal').select('state').executeTakeFirstOrThrow();
    expect(row.state).toBe('COMPLETED');
  });
  const { id } = await ask('cancelled', 'bob');
  await withdrawals.cancel('exchange', id);
  await ask('open', 'bob');
  await openAttempts(database.db, treasury.id, LIMITS, systemClock.nowMicros());
}

async function settled(attributions: number): Promise<void> {
  await eventually(async () => {
    ingestion.throwIfFailed();
    const rows = await database.db.selectFrom('attribution').select('transfer_id').execute();
    expect(rows).toHaveLength(attributions);
  });
}

async function faults(): Promise<number> {
  const { differences } = await compareWithRebuild(database.db, treasury);
  return differences.length + (await checkBooks(database.db)).length;
}

type Column = { readonly column: string; readonly type: string };

/** How an edit of a value looks that a person would not notice. */
function edited({ column, type }: Column) {
  const value = sql.ref(column);
  switch (type) {
    case 'text':
      return sql`coalesce(${value}, '') || 'x'`;
    case 'ARRAY':
      return sql`array_append(${value}, 'x')`;
    case 'bytea':
      return sql`set_byte(${value}, length(${value}) / 2, 255 - get_byte(${value}, length(${value}) / 2))`;
    case 'boolean':
      return sql`NOT ${value}`;
    case 'jsonb':
      return sql`coalesce(${value}, '{}'::jsonb) || '{"x": 1}'::jsonb`;
    case 'numeric':
      return sql`${value} + 0.0000000001`;
    default:
      return sql`coalesce(${value}, 0) + 1`;
  }
}

async function columnsOf(table: string): Promise<readonly Column[]> {
  const { rows } = await sql<Column>`
    SELECT column_name AS column, data_type AS type FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = ${table} ORDER BY ordinal_position`.execute(database.db);
  return rows;
}

/** Edits one row behind the back of all constraints but the row's own checks. @returns the undoing; null where a check of the table itself refused the edit. */
async function edit(db: Database, table: string, column: Column, where: string): Promise<(() => Promise<void>) | null> {
  const target = sql.table(table);
  const ref = sql.ref(column.column);
  const unguarded = async (statement: ReturnType<typeof sql>) =>
    await db.transaction().execute(async (tx) => {
      await sql`SET LOCAL session_replication_role = replica`.execute(tx);
      return await statement.execute(tx);
    });
  const { rows } = await sql<{ place: string; old: string | null }>`
    SELECT ctid::text AS place, ${ref}::text AS old FROM ${target} WHERE ${sql.raw(where)} ORDER BY ctid LIMIT 1`.execute(
    db,
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`No row of ${table}.`);
  try {
    const { rows: moved } = (await unguarded(
      sql`UPDATE ${target} SET ${ref} = ${edited(column)} WHERE ctid = ${row.place}::tid RETURNING ctid::text AS place`,
    )) as { rows: { place: string }[] };
    const place = moved[0]?.place ?? '';
    const type = column.type === 'ARRAY' ? 'text[]' : column.type;
    return async () => {
      await unguarded(sql`UPDATE ${target} SET ${ref} = ${row.old}::${sql.raw(type)} WHERE ctid = ${place}::tid`);
    };
  } catch (error) {
    if (error instanceof PermanentError && error.code === 'DB_CONSTRAINT') return null;
    throw error;
  }
}

const AUDITED: readonly { table: string; where?: string; only?: readonly string[]; not?: readonly string[] }[] = [
  // The order among epochs and who submitted it say nothing of the money.
  { table: 'ledger_update', not: ['epoch', 'trace_parent'] },
  { table: 'holding' },
  { table: 'transfer', where: `kind = 'DIRECT' AND direction = 'IN'` },
  { table: 'transfer', where: `kind = 'OFFER' AND status = 'PENDING'` },
  { table: 'transfer_instruction', where: `status = 'ACCEPTED'` },
  { table: 'transfer_instruction', where: `status = 'OPEN'` },
  {
    table: 'posting',
    where: `entry_id IN (SELECT id FROM journal_entry WHERE cause LIKE 'transfer:%') AND credit_account_id IN (SELECT id FROM account WHERE kind = 'CUSTOMER')`,
    not: ['line'],
  },
  {
    table: 'posting',
    where: `entry_id IN (SELECT id FROM journal_entry WHERE cause LIKE 'withdrawal:%:requested')`,
    not: ['line'],
  },
  {
    table: 'posting',
    where: `entry_id IN (SELECT id FROM journal_entry WHERE cause LIKE 'withdrawal:%:back')`,
    not: ['line'],
  },
  { table: 'journal_entry', where: `cause LIKE 'transfer:%'`, only: ['cause'] },
  { table: 'journal_entry', where: `cause LIKE 'withdrawal:%:requested'`, only: ['cause'] },
  { table: 'attribution', only: ['transfer_id', 'account_id'] },
  {
    table: 'withdrawal',
    where: `state = 'COMPLETED'`,
    only: ['id', 'account_id', 'treasury_id', 'instrument_id', 'receiver', 'amount', 'state', 'transfer_id'],
  },
  { table: 'withdrawal', where: `state = 'IN_FLIGHT'`, only: ['id', 'account_id', 'instrument_id', 'amount', 'state'] },
  { table: 'reservation', where: 'is_open', only: ['submission_id', 'number', 'contract_id', 'is_open'] },
];

test.each(AUDITED)(
  'C13: an edit of any audited column of $table is found ($where)',
  async ({ table, where, only, not }) => {
    const columns = (await columnsOf(table)).filter(
      ({ column }) => (only === undefined || only.includes(column)) && not?.includes(column) !== true,
    );
    expect(columns.length).toBeGreaterThan(0);
    const missed: string[] = [];

    for (const column of columns) {
      const undo = await edit(database.db, table, column, where ?? 'true');
      if (undo === null) continue; // The table itself refused it.
      if ((await faults()) === 0) missed.push(`${table}.${column.column}`);
      await undo();
    }

    expect(missed).toEqual([]);
    expect(await faults()).toBe(0);
  },
);

test('C13: of what is wrong a thousand times over, a hundred faults are told of, the same at every look, and how many more there are', async () => {
  await sql`
    INSERT INTO journal_entry (cause, description, record_time)
    SELECT 'post:nobody-' || lpad(n::text, 4, '0'), 'test', 0 FROM generate_series(1, 1000) AS n`.execute(database.db);
  try {
    const found = await checkBooks(database.db);

    expect(found).toHaveLength(101);
    expect(found[0]).toEqual({ kind: 'POST_TRANSFER_OFF', cause: 'post:nobody-0001', why: 'nobody posted it' });
    expect(found[100]).toEqual({ kind: 'MORE_FAULTS', like: found[99], count: 900, digest: expect.any(String) });
    expect(describeBooksFault(found[100] ?? { kind: 'CAUSE_UNKNOWN', cause: '' })).toBe(
      '900 more like the last one: the entry post:nobody-0100: nobody posted it',
    );
    expect(await checkBooks(database.db)).toEqual(found);
    const invariants = await checkInvariants(database.db);
    expect(invariants.reduce((sum, { count }) => sum + count, 0)).toBe(1_000);
  } finally {
    await database.db.transaction().execute(async (tx) => {
      await sql`SET LOCAL session_replication_role = replica`.execute(tx);
      await sql`DELETE FROM journal_entry WHERE cause LIKE 'post:nobody-%'`.execute(tx);
    });
  }
});
