/**
 * A deposit's way from a participant into the books: simulated network, real gRPC, real PostgreSQL. Each test asserts what the treasury was credited and that rebuild
 * and books agree.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('deposits');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
  });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

type TransferRow = {
  kind: string;
  direction: string;
  status: string;
  amount: string;
  memo: string | null;
  account: string | null;
};

async function transfers(): Promise<TransferRow[]> {
  const { rows } = await sql<TransferRow>`
    SELECT t.kind, t.direction, t.status, t.amount::text, t.memo, a.owner AS account
    FROM transfer t LEFT JOIN attribution b ON b.transfer_id = t.id LEFT JOIN account a ON a.id = b.account_id
    ORDER BY t.record_time, t.rank`.execute(database.db);
  return rows;
}

async function balances(): Promise<Record<string, string>> {
  const { rows } = await sql<{ account: string; balance: string }>`
    SELECT a.kind || CASE a.owner WHEN '' THEN '' ELSE ':' || split_part(a.owner, '::', 1) END AS account, sum(b.balance)::text AS balance
    FROM account_balance b JOIN account a ON a.id = b.account_id
    GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
}

/** Waits until everything on the ledger so far is stored, then checks what must hold at any time. */
async function settled(): Promise<void> {
  const treasury = simnet.catalog.treasuries[0]?.party ?? '';
  const end = simnet.network.participant('participant1').ledgerEnd();
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { ledger_offset } = await database.db
      .selectFrom('ingestion_stream')
      .select('ledger_offset')
      .executeTakeFirstOrThrow();
    expect(ledger_offset).toBeGreaterThanOrEqual(end);
  });
  const own = ingestion.treasuries.find(({ party }) => party === treasury);
  expect(own && (await compareWithRebuild(database.db, own)).differences).toEqual([]);
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}

describe.each(['old', 'new'] as const)('Canton Coin, %s package generation', (generation) => {
  const give = (owner: string, amount: string) =>
    simnet.network.tap({ instrument: 'amulet', owner, amount, generation });
  const pay = (options: { amount: string; memo?: string; kind?: 'offer' }) =>
    simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', generation, ...options });

  test('a direct deposit is credited once, to the account of its memo, exact to the last decimal', async () => {
    give('alice', '1000');
    pay({ amount: '200.0000000001', memo: 'alice-memo' });
    await settled();

    expect(await transfers()).toEqual([
      {
        kind: 'DIRECT',
        direction: 'IN',
        status: 'COMPLETED',
        amount: '200.0000000001',
        memo: 'alice-memo',
        account: 'alice',
      },
    ]);
    expect(await balances()).toEqual({ 'CUSTOMER:alice': '200.0000000001', 'TREASURY:treasury': '-200.0000000001' });
  });

  test.each([undefined, '', 'ALICE-MEMO', ' alice-memo', 'nul\0', '__proto__', '\u202Ememo', 'x'.repeat(100_000)])(
    'a deposit with memo %j belongs to nobody, and is kept',
    async (memo) => {
      give('alice', '10');
      pay({ amount: '7', ...(memo !== undefined && { memo }) });
      await settled();

      expect(await transfers()).toMatchObject([
        { kind: 'DIRECT', status: 'COMPLETED', amount: '7.0000000000', account: null },
      ]);
      expect(await balances()).toEqual({ UNATTRIBUTED: '7.0000000000', 'TREASURY:treasury': '-7.0000000000' });
    },
  );

  test.each([
    ['accept', 'COMPLETED', 'alice', { 'CUSTOMER:alice': '50.0000000000', 'TREASURY:treasury': '-50.0000000000' }],
    ['reject', 'REJECTED', null, {}],
    ['withdraw', 'WITHDRAWN', null, {}],
  ] as const)('an offer is pending and uncredited until it ends by %s', async (end, status, account, booked) => {
    give('alice', '100');
    const { instructionCid } = pay({ amount: '50', memo: 'alice-memo', kind: 'offer' });
    await settled();
    expect(await transfers()).toMatchObject([
      { kind: 'OFFER', direction: 'IN', status: 'PENDING', amount: '50.0000000000', account: null },
    ]);
    expect(await balances()).toEqual({});

    simnet.network[end]({ instructionCid: instructionCid ?? '', generation });
    await settled();
    expect(await transfers()).toMatchObject([{ kind: 'OFFER', status, amount: '50.0000000000', account }]);
    expect(await balances()).toEqual(booked);
  });

  test('several deposits in one transaction, one of them an acceptance, are credited each by its own memo', async () => {
    for (const amount of ['10', '11', '12', '13']) give('alice', amount);
    const { instructionCid } = pay({ amount: '5', memo: 'bob-memo', kind: 'offer' });
    const deposit = { operation: 'transfer', instrument: 'amulet', sender: 'alice', receiver: 'treasury' } as const;
    simnet.network.batch({
      generation,
      operations: [
        { ...deposit, amount: '1', memo: 'alice-memo' },
        { operation: 'accept', instructionCid: instructionCid ?? '' },
        { ...deposit, amount: '2', memo: 'bob-memo' },
        { ...deposit, amount: '4' },
      ],
    });
    await settled();

    expect(await balances()).toEqual({
      'CUSTOMER:alice': '1.0000000000',
      'CUSTOMER:bob': '7.0000000000',
      UNATTRIBUTED: '4.0000000000',
      'TREASURY:treasury': '-12.0000000000',
    });
  });

  test('mints, merges and splits of the treasury change no customer’s balance', async () => {
    give('treasury', '10');
    give('treasury', '20');
    simnet.network.merge({ instrument: 'amulet', owner: 'treasury', generation });
    simnet.network.split({ instrument: 'amulet', owner: 'treasury', amount: '3', generation });
    await settled();

    expect(await balances()).toEqual({ HOUSE: '30.0000000000', 'TREASURY:treasury': '-30.0000000000' });
    expect((await transfers()).map(({ kind, direction }) => `${kind} ${direction}`)).toEqual([
      'MINT IN',
      'MINT IN',
      'MERGE SELF',
      'MERGE SELF',
    ]);
  });

  test('what leaves the treasury without a withdrawal is booked as unexplained', async () => {
    give('treasury', '10');
    simnet.network.transfer({
      instrument: 'amulet',
      sender: 'treasury',
      receiver: 'bob',
      amount: '4',
      memo: 'x',
      generation,
      kind: 'offer',
    });
    await settled();
    expect(await balances()).toEqual({ HOUSE: '10.0000000000', 'TREASURY:treasury': '-10.0000000000' });

    simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
    simnet.network.transfer({
      instrument: 'amulet',
      sender: 'treasury',
      receiver: 'bob',
      amount: '6',
      memo: 'x',
      generation,
    });
    await settled();
    expect(await balances()).toEqual({
      HOUSE: '10.0000000000',
      UNEXPLAINED: '-6.0000000000',
      'TREASURY:treasury': '-4.0000000000',
    });
  });
});
