/**
 * Real transactions, captured from the JSON Ledger API of a real node, travel over gRPC through ingestion into PostgreSQL. They are of the older package generation and of a
 * node that did not yet mark active-set changes. Each capture is a network of its own; it names parties and a DSO that the simulated network does not know.
 */
import { readFile } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { transactionOfJson } from '../../src/simnet/recorded/json-transaction.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos, startIngestion } from '../support/ingestion.ts';
import { startTestNetwork } from '../support/network.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function capture(name: string): Promise<Transaction> {
  return transactionOfJson(
    JSON.parse(await readFile(`${import.meta.dirname}/../fixtures/ledger/${name}.json`, 'utf8')),
  );
}

/** A participant that has seen nothing but captures, and a Sluice that serves their treasury. */
async function serve(treasury: string, admin: string) {
  const database = await createTestDatabase();
  closing.push(database.close);
  const simnet = await startTestNetwork('captures');
  closing.push(simnet.stop);
  const participant = simnet.network.participant('participant1');
  await registerMemos(database.db, 'capture', { 'deposit-account-id': 'customer-1' });
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: {
      network: 'capture',
      treasuries: [{ name: 'treasury', party: treasury }],
      instruments: [{ admin, id: 'Amulet', name: 'CC' }],
    },
  });
  closing.push(ingestion.stop);
  const { db } = database;
  return {
    db,
    play: async (transaction: Transaction) => {
      participant.appendRecorded(transaction);
      await eventually(async () => {
        ingestion.throwIfFailed();
        await db
          .selectFrom('ledger_update')
          .where('update_id', '=', transaction.updateId)
          .select('kind')
          .executeTakeFirstOrThrow();
      });
    },
    credits: () =>
      db
        .selectFrom('attribution as a')
        .innerJoin('transfer as t', 't.id', 'a.transfer_id')
        .innerJoin('account as c', 'c.id', 'a.account_id')
        .select(['c.owner', 't.memo', 't.amount', 't.holdings_delta', 't.counterparty', 't.kind', 't.status'])
        .execute(),
    balances: async () => {
      const rows = await db
        .selectFrom('account_balance as b')
        .innerJoin('account as a', 'a.id', 'b.account_id')
        .select(['a.kind', 'b.balance'])
        .orderBy('a.kind')
        .execute();
      return Object.fromEntries(rows.map(({ kind, balance }) => [kind, balance]));
    },
    holdings: () => db.selectFrom('holding').select(['contract_id', 'amount', 'archived_update_id']).execute(),
    events: async () =>
      (await db.selectFrom('event_outbox').select('type').orderBy('seq').execute()).map(({ type }) => type),
    check: async () => {
      for (const own of ingestion.treasuries) expect((await compareWithRebuild(db, own)).differences).toEqual([]);
      expect(await checkBooks(db)).toEqual([]);
      expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
    },
  };
}

test('200 Canton Coin are credited to deposit-account-id once, the nested transfer not counted', async () => {
  const transaction = await capture('1-step-transfer');
  const sluice = await serve(
    'treasury-party::1220278a4a0eb2c244b425dff62853ef1cd04ca1095bffcea465c0de766faf9ab8cd',
    adminOf(transaction),
  );

  await sluice.play(transaction);

  expect(await sluice.credits()).toEqual([
    {
      owner: 'customer-1',
      memo: 'deposit-account-id',
      amount: '200.0000000000',
      holdings_delta: '200.0000000000',
      counterparty: 'sender::1220278a4a0eb2c244b425dff62853ef1cd04ca1095bffcea465c0de766faf9ab8cd',
      kind: 'DIRECT',
      status: 'COMPLETED',
    },
  ]);
  expect(await sluice.balances()).toEqual({ CUSTOMER: '200.0000000000', TREASURY: '-200.0000000000' });
  expect(await sluice.holdings()).toMatchObject([{ amount: '200.0000000000', archived_update_id: null }]);
  expect(await sluice.events()).toEqual(['deposit.credited']);
  await sluice.check();
});

test('1000 Canton Coin are pending and uncredited while offered, and credited once when accepted', async () => {
  const offered = await capture('transfer-instruction-create');
  const sluice = await serve(
    'treasury-party::12207bd11907b9b3c11ade702d30b556bfe635314d3d0f708f9677e09a4ff096ef87',
    adminOf(offered),
  );

  await sluice.play(offered);
  expect(await sluice.credits()).toEqual([]);
  expect(await sluice.balances()).toEqual({});
  expect(await sluice.db.selectFrom('transfer').select(['status', 'amount', 'memo']).execute()).toEqual([
    { status: 'PENDING', amount: '1000.0000000000', memo: 'deposit-account-id' },
  ]);

  await sluice.play(await capture('transfer-instruction-accept'));
  expect(await sluice.credits()).toMatchObject([
    { owner: 'customer-1', memo: 'deposit-account-id', amount: '1000.0000000000', kind: 'OFFER', status: 'COMPLETED' },
  ]);
  expect(await sluice.balances()).toEqual({ CUSTOMER: '1000.0000000000', TREASURY: '-1000.0000000000' });
  expect(await sluice.events()).toEqual(['offer.received', 'deposit.credited']);
  await sluice.check();
});

/** The DSO of the captured network: a signatory of what it shows. */
function adminOf({ events }: Transaction): string {
  const created = events.flatMap(({ event }) => (event?.$case === 'created' ? event.value.signatories : []));
  return created.find((party) => party.startsWith('DSO::')) ?? '';
}
