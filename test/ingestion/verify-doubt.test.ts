/** What the comparison with the ledger takes for doubt about money, and what not: our place in another numbering, and what strangers do with contracts of their own. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { verifyTreasury } from '../../src/books/verification.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { createLedgerClient, type Ledger } from '../../src/ledger/ledger-client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const logger = createSystemLogger('silent');

const DEADLINE = { deadlineMs: 15_000 };

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('verify-doubt', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<void> {
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 50 } },
    ...options,
  });
}

async function verify(participant = 0) {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const ledger = createLedgerClient({ url: simnet.ledgerUrl(participant) });
  try {
    const signal = new AbortController().signal;
    return await verifyTreasury({ db: database.db, ledger, treasury, clock: systemClock, logger, signal });
  } finally {
    ledger.close();
  }
}

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

/** Until the stream has passed all that a participant has. */
async function caughtUp(participant = 'participant1'): Promise<void> {
  const end = simnet.network.participant(participant).ledgerEnd();
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { ledger_offset } = await database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
    expect(ledger_offset).toBeGreaterThanOrEqual(end);
  }, DEADLINE);
}

const freezes = () =>
  database.db
    .selectFrom('money_freeze')
    .leftJoin('instrument', 'instrument.id', 'money_freeze.instrument_id')
    .select(['reason', 'instrument.instrument_id as instrument'])
    .where('lifted_at', 'is', null)
    .execute();

/** A participant that accepts the stream and shows nothing. */
const silent = (ledger: Ledger): Ledger => ({
  ...ledger,
  updates: async function* ({ signal }) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  },
});

test('A17: after a move to another participant nothing is compared until our newest update was read again, and nothing freezes', async () => {
  await start();
  payIn('1');
  payIn('2');
  await caughtUp();
  await ingestion.stop();
  await start({ ledgerUrl: simnet.ledgerUrl(1), wrapLedger: silent });
  await eventually(
    async () => expect(await database.db.selectFrom('stream_epoch').select('epoch').execute()).toHaveLength(2),
    DEADLINE,
  );

  expect(await verify(1)).toMatchObject({ kind: 'NOT_COMPARED', code: 'NOTHING_TO_COMPARE' });

  await ingestion.stop();
  await start({ ledgerUrl: simnet.ledgerUrl(1) });
  payIn('4');
  await caughtUp('participant2');
  expect(await verify(1)).toMatchObject({ kind: 'COMPARED', isEqual: true });
  expect(await freezes()).toEqual([]);
});

test('A21: a stranger who moves his own offer to another synchronizer freezes nothing', async () => {
  simnet.network.addSynchronizer('private');
  payIn('3');
  simnet.network.tap({ instrument: 'amulet', owner: 'bob', amount: '1' });
  const { instructionCid = '' } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'bob',
    receiver: 'treasury',
    amount: '0.0000000001',
    memo: 'x',
    kind: 'offer',
  });
  await start();
  await caughtUp();
  const left = simnet.network.unassign({ contractId: instructionCid, target: 'private', submitter: 'bob' });
  await caughtUp();

  expect(await verify()).toMatchObject({ kind: 'COMPARED', isEqual: true, isInDoubt: false });

  simnet.network.assign(left);
  await caughtUp();
  expect(await verify()).toMatchObject({ kind: 'COMPARED', isEqual: true, isInDoubt: false });
  expect(await freezes()).toEqual([]);
});
