/**
 * A quiet treasury on a participant that has forgotten all of its updates: its contracts prove where we are. What waits in quarantine explains the contracts that it touched, and no others.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const DEADLINE = { deadlineMs: 15_000 };

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('contract-proof', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  // Stand for a version that cannot handle such updates.
  await sql`ALTER TABLE holding ADD CONSTRAINT broken CHECK (amount <> 3)`.execute(database.db);
  await sql`ALTER TABLE transfer_instruction ADD CONSTRAINT broken CHECK (memo <> 'junk')`.execute(database.db);
  await start();
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

async function start(): Promise<void> {
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 50 } },
  });
}

const node = () => simnet.network.participant('participant1');
const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const quarantined = () => database.db.selectFrom('quarantine').select('update_id').execute();

function payIn(amount: string): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount,
    memo: 'alice-memo',
  });
}

function offerJunk(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'bob', amount: '1' });
  const offer = { instrument: 'amulet', sender: 'bob', receiver: 'treasury', amount: '1', memo: 'junk' };
  simnet.network.transfer({ ...offer, kind: 'offer' });
}

/** Until the stream has passed all there is, and some quiet after it. */
async function quiet(): Promise<void> {
  node().skipOffsets(50n);
  await eventually(async () => {
    ingestion.throwIfFailed();
    expect(await stream()).toMatchObject({ ledger_offset: node().ledgerEnd() });
  }, DEADLINE);
}

test('A16: what a stranger brought into quarantine, or what was read since, hides no holding that appeared', async () => {
  payIn('1');
  offerJunk();
  await quiet();
  expect(await quarantined()).toHaveLength(1);
  await sql`
    INSERT INTO quarantine (treasury_id, update_id, reason, detail, quarantined_at, closed_at, closed_by)
    SELECT treasury_id, created_update_id, 'OLD', 'Read since.', 1, 2, 'test' FROM holding`.execute(database.db);
  await ingestion.stop();
  await sql`UPDATE ingestion_stream SET ledger_offset = ledger_offset + 1000`.execute(database.db);
  payIn('2');
  node().prune(node().ledgerEnd());
  await start();

  await eventually(async () => {
    expect(await stream()).toMatchObject({
      status: 'HALTED',
      status_reason: expect.stringContaining('HISTORY_CHANGED'),
    });
  }, DEADLINE);
});

test('A16: what an update in quarantine brought and took is explained by it, and the stream goes on', async () => {
  payIn('1');
  payIn('2');
  simnet.network.merge({ instrument: 'amulet', owner: 'treasury' });
  await quiet();
  expect(await quarantined()).toHaveLength(1);
  expect(await database.db.selectFrom('holding').selectAll().execute()).toHaveLength(2);
  await ingestion.stop();
  node().prune(node().ledgerEnd());
  await start();

  await quiet();
  expect(await stream()).toMatchObject({ epoch: 1, status: 'RUNNING' });
});
