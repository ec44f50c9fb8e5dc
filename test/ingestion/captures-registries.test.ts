/**
 * What no list of known templates would find, from a simulated network over gRPC into the books: deposits in a token that nobody has heard of, and transfers of
 * every registry between two treasuries of ours.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const OTHER = 'bob';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('registries');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  const { catalog, network } = simnet;
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: { ...catalog, treasuries: [...catalog.treasuries, { name: OTHER, party: network.party(OTHER) }] },
  });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

/** Waits until both streams have everything, and checks what must hold at any time. @returns the balances of all accounts but the treasuries'. */
async function settled(): Promise<Record<string, string>> {
  const { db } = database;
  const end = simnet.network.participant('participant1').ledgerEnd();
  await eventually(async () => {
    ingestion.throwIfFailed();
    const streams = await db.selectFrom('ingestion_stream').select('ledger_offset').execute();
    expect(streams).toHaveLength(2);
    for (const { ledger_offset } of streams) expect(ledger_offset).toBeGreaterThanOrEqual(end);
  });
  for (const own of ingestion.treasuries) expect((await compareWithRebuild(db, own)).differences).toEqual([]);
  expect(await checkBooks(db)).toEqual([]);
  expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  const { rows } = await sql<{ account: string; balance: string }>`
    SELECT a.kind || CASE a.owner WHEN '' THEN '' ELSE ':' || a.owner END AS account, sum(b.balance)::text AS balance
    FROM account_balance b JOIN account a ON a.id = b.account_id
    WHERE a.kind <> 'TREASURY' GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(db);
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
}

test('a direct deposit in a token that nobody has heard of is credited by its memo, and one with another waits at the desk', async () => {
  const { network } = simnet;
  const pay = { instrument: 'note', sender: 'alice', receiver: 'treasury' } as const;
  network.preapprove({ instrument: 'note', receiver: 'treasury' });
  network.tap({ instrument: 'note', owner: 'alice', amount: '100' });
  network.transfer({ ...pay, amount: '30', memo: 'alice-memo' });
  network.transfer({ ...pay, amount: '4', memo: 'nobody' });

  expect(await settled()).toEqual({ 'CUSTOMER:alice': '30.0000000000', UNATTRIBUTED: '4.0000000000' });
  const seen = await database.db.selectFrom('transfer').select(['kind', 'memo', 'counterparty']).execute();
  expect(seen).toEqual(
    ['alice-memo', 'nobody'].map((memo) => ({ kind: 'DIRECT', memo, counterparty: network.party('alice') })),
  );
});

test.each(['amulet', 'usd', 'note'])(
  'transfers of %s between two of our treasuries, direct and offered, are netted and nobody’s, whatever memo they carry',
  async (instrument) => {
    const { network } = simnet;
    const move = { instrument, sender: 'treasury', receiver: OTHER, memo: 'alice-memo' } as const;
    network.preapprove({ instrument, receiver: OTHER });
    network.tap({ instrument, owner: 'treasury', amount: '100' });
    network.transfer({ ...move, amount: '30' });
    const { instructionCid = '' } = network.transfer({ ...move, amount: '20', kind: 'offer' });
    network.accept({ instructionCid });

    expect(await settled()).toEqual({ HOUSE: '100.0000000000' });
    const { rows } = await sql<{ treasury: string; held: string }>`
      SELECT t.name AS treasury, sum(h.amount::numeric)::text AS held FROM holding h JOIN treasury_party t ON t.id = h.treasury_id
      WHERE h.archived_update_id IS NULL GROUP BY 1 ORDER BY 1`.execute(database.db);
    expect(rows).toEqual([
      { treasury: OTHER, held: '50.0000000000' },
      { treasury: 'treasury', held: '50.0000000000' },
    ]);
  },
);
