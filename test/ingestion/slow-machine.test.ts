/** A machine so slow that the database ends a batch in the middle: it gets through all the same, and what stood still for longer than that commits nothing that is not its own. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import type { EffectSink } from '../../src/ingestion/effect-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const PAUSE_MS = 300;
let database: TestDatabase;
let simnet: TestNetwork;
const running: RunningIngestion[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('slow');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  await simnet.stop();
  await database.close();
});

async function follow(sink: EffectSink): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    idleInTransactionTimeoutMs: PAUSE_MS,
    sinks: [sink],
    settings: { leaseTtlMs: 2_000, reconnect: { attemptsMax: 40, delayMsMin: 20, delayMsMax: 100 } },
  });
  running.push(ingestion);
  return ingestion;
}

function payIn(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
}

const credited = async (): Promise<string | undefined> =>
  (
    await sql<{ balance: string }>`
      SELECT b.balance::text FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
      database.db,
    )
  ).rows[0]?.balance;

test('C8: a batch that pauses for longer than the database lets transactions stand idle is written all the same, once', async () => {
  for (let count = 0; count < 5; count += 1) payIn();
  let tries = 0;
  const ingestion = await follow({
    name: 'slow',
    apply: async (_tx, _treasury, changes) => {
      tries += changes.length > 0 ? 1 : 0;
      await systemClock.sleep(3 * PAUSE_MS);
    },
  });

  await eventually(
    async () => {
      ingestion.throwIfFailed();
      expect(await credited()).toBe('5.0000000000');
    },
    { deadlineMs: 30_000 },
  );
  expect(tries).toBeGreaterThan(1);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}, 60_000);
