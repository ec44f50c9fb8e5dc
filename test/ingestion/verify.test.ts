/**
 * Books, holdings and the participant's active contracts at one offset, over gRPC. What a participant withholds, drops or forgets leaves no gap in its offsets (they are sparse anyway), so this
 * comparison is what finds it. Row ids of the failure catalogue stand in the names.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { type VerificationOutcome, verifyTreasury } from '../../src/books/verification.ts';
import { runVerificationLoop } from '../../src/books/verification-loop.ts';
import { createLeases } from '../../src/db/lease.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { ActiveSetSource } from '../../src/ingestion/active-set.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { updateFormatFor } from '../../src/ingestion/update-format.ts';
import { createLedgerClient, type Ledger, type StreamMessage } from '../../src/ledger/ledger-client.ts';
import { readVerifications } from '../../src/read/verifications.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ledger: Ledger;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('verify');
  ledger = createLedgerClient({ url: simnet.ledgerUrl() });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await ingestion.stop();
  ledger.close();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<void> {
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    ...options,
  });
}

function treasury(): Treasury {
  const [only] = ingestion.treasuries;
  if (only === undefined) throw new Error('No treasury.');
  return only;
}

const quiet = { ...{ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined } };
const logger = { ...quiet, child: () => logger };

function verify(source: ActiveSetSource = ledger): Promise<VerificationOutcome> {
  const signal = new AbortController().signal;
  return verifyTreasury({ db: database.db, ledger: source, treasury: treasury(), clock: systemClock, logger, signal });
}

async function compared() {
  const outcome = await verify();
  if (outcome.kind !== 'COMPARED') throw new Error(`Not compared: ${outcome.code} ${outcome.why}`);
  return outcome;
}

const openFreezes = () =>
  database.db
    .selectFrom('money_freeze')
    .leftJoin('instrument', 'instrument.id', 'money_freeze.instrument_id')
    .select(['treasury_id', 'instrument.instrument_id as instrument', 'reason', 'detail', 'opened_by'])
    .where('lifted_at', 'is', null)
    .execute();

function payIn(amount: string, instrument = 'amulet', memo = 'alice-memo'): void {
  simnet.network.tap({ instrument, owner: 'alice', amount });
  simnet.network.transfer({ instrument, sender: 'alice', receiver: 'treasury', amount, memo });
}

/** Until the stream has stored every update the participant shows the treasury. */
async function caughtUp(): Promise<void> {
  const { offset: end } = await ledger.ledgerEnd();
  await eventually(
    async () => {
      ingestion.throwIfFailed();
      const { ledger_offset } = await database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
      expect(ledger_offset).toBeGreaterThanOrEqual(end);
    },
    { deadlineMs: 15_000 },
  );
}

/** A participant that does not show the stream its transactions while `isWithheld`. */
function withholding(isWithheld: () => boolean): (client: Ledger) => Ledger {
  return (client) => {
    async function* rest(messages: AsyncIterable<StreamMessage>): AsyncGenerator<StreamMessage, void, undefined> {
      for await (const message of messages) {
        if (message.message.update?.$case !== 'transaction' || !isWithheld()) yield message;
      }
    }
    return { ...client, updates: (request) => rest(client.updates(request)) };
  };
}

test('beside a running stream, holdings of many shapes, offers and books agree with the ledger, and it is shown', async () => {
  await start();
  const { tokens } = simnet.network;
  for (const { name } of tokens) {
    payIn('3', name);
    payIn('2', name);
  }
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '7' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '7',
    memo: 'alice-memo',
    kind: 'offer',
  });
  await caughtUp();

  const found = await compared();

  expect(found).toMatchObject({ isEqual: true, isInDoubt: false, others: [], offersCount: expect.any(BigInt) });
  expect(found.offersCount).toBeGreaterThan(0n);
  expect(found.instruments.find(({ id }) => id === 'Amulet')).toMatchObject({
    onLedger: '5.0000000000',
    inHoldings: '5.0000000000',
    inBooks: '5.0000000000',
    contractsCount: 2n,
    differences: [],
  });
  expect(await openFreezes()).toEqual([]);
  const [shown] = await readVerifications(database.db);
  expect(shown).toMatchObject({
    trouble: null,
    result: { isEqual: true, isInDoubt: false, ledgerOffset: found.offset, holdingsCount: found.holdingsCount },
  });
  expect(shown?.result?.instruments).toHaveLength(found.instruments.length);
});

test('while deposits pour in, no round ever sees a difference', async () => {
  await start();
  let compared = 0;
  // A round that finds the stream between two places has nothing to compare; a slow machine has more of them.
  for (let index = 0; compared < 9; index += 1) {
    expect(index, 'rounds without a comparison').toBeLessThan(200);
    for (let count = 0; count < 5; count += 1) payIn('1');
    const round: VerificationOutcome = await verify();
    if (round.kind === 'COMPARED') {
      expect(round.isEqual).toBe(true);
      compared += 1;
    } else expect(round.code).toBe('NOTHING_TO_COMPARE');
  }
});

test('A12: an update that the node drops is found within one round; the contract is named and its instrument frozen', async () => {
  let isDropping = false;
  await start({ wrapLedger: withholding(() => isDropping) });
  payIn('1');
  await caughtUp();
  isDropping = true;
  payIn('2');
  await caughtUp();
  isDropping = false;
  payIn('3');
  await caughtUp();
  expect(await checkBooks(database.db)).toEqual([]); // What was never seen is missing nowhere inside.
  expect((await compareWithRebuild(database.db, treasury())).differences).toEqual([]);
  const ending = new AbortController();
  const loop = runVerificationLoop({
    db: database.db,
    ledger,
    treasury: treasury(),
    leases: createLeases({ db: database.db }),
    holder: 'test',
    everyMs: 60_000,
    clock: systemClock,
    random: systemRandom,
    logger,
    signal: ending.signal,
  });

  await eventually(async () => {
    const [freeze] = await openFreezes();
    expect(freeze).toMatchObject({
      treasury_id: treasury().id,
      instrument: 'Amulet',
      reason: 'LEDGER_DIFFERS',
      opened_by: 'verification',
    });
    expect(freeze?.detail).toMatch(
      /6\.0000000000 on the ledger, 4\.0000000000 in holdings, 4\.0000000000 in the books; 1 contracts differ \(MISSING 00/,
    );
  });
  ending.abort();
  await loop;
});

test('A20: a filter that was narrowed for a while looks like silence; the comparison finds all that is missing', async () => {
  let isNarrow = false;
  await start({ wrapLedger: withholding(() => isNarrow) });
  payIn('1');
  await caughtUp();
  expect((await compared()).isEqual).toBe(true);
  isNarrow = true;
  payIn('2');
  payIn('3');
  await caughtUp();
  isNarrow = false;
  payIn('4');
  await caughtUp();

  const found = await compared();

  expect(found.isInDoubt).toBe(true);
  const amulet = found.instruments.find(({ id }) => id === 'Amulet');
  expect(amulet).toMatchObject({ onLedger: '10.0000000000', inHoldings: '5.0000000000', differingCount: 2n });
  expect(amulet?.differences.map(({ kind }) => kind)).toEqual(['MISSING', 'MISSING']);
  expect(await openFreezes()).toHaveLength(1);
});

describe('each kind of difference is named', () => {
  beforeEach(async () => {
    await start();
    payIn('1');
    payIn('2');
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '9' });
    const offer = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '9', memo: 'alice-memo' };
    simnet.network.transfer({ ...offer, kind: 'offer' });
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '5' });
    simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '5', kind: 'offer' });
    await caughtUp();
    expect((await compared()).isEqual).toBe(true);
    await ingestion.stop();
  });

  const AMULET = ['Amulet'];
  test.each([
    ['EXTRA', sql`UPDATE holding SET contract_id = '00ff' || contract_id WHERE amount = 2`, 2n, AMULET],
    [
      'MISSING',
      sql`UPDATE holding SET archived_update_id = 'x', archived_record_time = 1 WHERE amount = 2`,
      1n,
      AMULET,
    ],
    ['OTHER', sql`UPDATE holding SET amount = 2.0000000001 WHERE amount = 2`, 1n, AMULET],
    [
      'OTHER',
      sql`UPDATE holding SET instrument_id = (SELECT min(id) FROM instrument WHERE id <> holding.instrument_id) WHERE amount = 2`,
      1n,
      // The books of the other one do not say so.
      ['Amulet', expect.any(String)],
    ],
    [
      'OFFER_MISSING',
      sql`UPDATE transfer_instruction SET status = 'ACCEPTED', ended_update_id = 'x', ended_record_time = 1 WHERE direction = 'OUT'`,
      1n,
      AMULET,
    ],
    ['OFFER_OTHER', sql`UPDATE transfer_instruction SET amount = 4 WHERE direction = 'OUT'`, 1n, AMULET],
    // Offers of strangers.
    [
      'OFFER_MISSING',
      sql`UPDATE transfer_instruction SET status = 'ACCEPTED', ended_update_id = 'x', ended_record_time = 1 WHERE direction = 'IN'`,
      1n,
      [],
    ],
    [
      'OFFER_EXTRA',
      sql`UPDATE transfer_instruction SET contract_id = '00ff' || contract_id WHERE direction = 'IN'`,
      2n,
      [],
    ],
    ['OFFER_OTHER', sql`UPDATE transfer_instruction SET amount = 8 WHERE direction = 'IN'`, 1n, []],
  ] as const)('C13: %s (case %#)', async (kind, edit, count, frozen) => {
    await edit.execute(database.db);

    const found = await compared();

    expect(found).toMatchObject({ isEqual: false, isInDoubt: frozen.length > 0 });
    const differences = found.instruments.flatMap((instrument) => instrument.differences);
    expect(differences.map((difference) => difference.kind)).toContain(kind);
    expect(found.instruments.reduce((sum, { differingCount }) => sum + differingCount, 0n)).toBe(count);
    const freezes = await openFreezes();
    expect(freezes.map(({ instrument }) => instrument).sort()).toEqual(frozen);
    // A second round finds the same and opens no second freeze.
    await compared();
    expect(await openFreezes()).toHaveLength(freezes.length);
  });

  test('C13: books that say another amount than the holdings, though no contract differs', async () => {
    await sql`UPDATE posting SET amount = 2.5 WHERE amount = 2`.execute(database.db);

    const found = await compared();

    expect(found.instruments.find(({ isEqual }) => !isEqual)).toMatchObject({
      inBooks: '8.5000000000',
      differingCount: 0n,
    });
    expect(await openFreezes()).toHaveLength(1);
  });
});

test('what differs only in an instrument that nobody accepts is shown and freezes nothing: anybody can make such', async () => {
  await start();
  payIn('1');
  await caughtUp();
  await ingestion.stop();
  await sql`UPDATE instrument SET is_accepted = false`.execute(database.db);
  await sql`DELETE FROM holding`.execute(database.db);

  const found = await compared();

  expect(found).toMatchObject({ isEqual: false, isInDoubt: false });
  expect(await openFreezes()).toEqual([]);
});

test('a participant that cannot be compared with is trouble, and no difference', async () => {
  await start();
  payIn('1');
  await caughtUp();
  const other: ActiveSetSource = { ...ledger, participantId: async () => 'another::1220' };
  expect(await verify(other)).toMatchObject({ kind: 'NOT_COMPARED', code: 'OTHER_PARTICIPANT' });
  const restored: ActiveSetSource = { ...ledger, updateById: async () => null };
  expect(await verify(restored)).toMatchObject({ kind: 'NOT_COMPARED', code: 'OTHER_HISTORY' });
  const { faults } = simnet.network.participant('participant1');
  const cutBy = (end: () => void): ActiveSetSource => ({
    ...ledger,
    activeContracts: (request) => {
      const contracts = ledger.activeContracts(request);
      faults.stall();
      void systemClock.sleep(50).then(() => {
        end();
        faults.resume();
      });
      return contracts;
    },
  });
  const shutDown = { code: 'SERVER_IS_SHUTTING_DOWN', category: 'transientServerFailure', text: 'ended' } as const;
  expect(await verify(cutBy(() => faults.abortStreams(shutDown)))).toMatchObject({ kind: 'NOT_COMPARED' });
  expect(await verify(cutBy(() => faults.endStreams()))).toMatchObject({ kind: 'NOT_COMPARED' });

  expect(await openFreezes()).toEqual([]);
  const [shown] = await readVerifications(database.db);
  expect(shown).toMatchObject({ trouble: expect.any(String), result: null });
  expect((await compared()).isEqual).toBe(true);
});

test('A13: a participant that is put back between the proof and the reading, both times, is trouble and no difference', async () => {
  await start();
  for (let paid = 0; paid < 6; paid += 1) payIn('1');
  await caughtUp();
  const node = simnet.network.participant('participant1');
  let restores = 0;
  const putBack: ActiveSetSource = {
    ...ledger,
    activeContracts: async function* (request) {
      restores += 1;
      node.restore({ updatesBack: 5, numbering: 'fresh', offsetSteps: { min: 1, max: 1 } });
      // What comes since stands at offsets that others had before.
      for (let paid = 0; paid < 20; paid += 1) payIn('1');
      yield* ledger.activeContracts(request);
      await inPlace(); // The second look begins when the stream has found its place again.
    },
  };

  expect(await verify(putBack)).toMatchObject({ kind: 'NOT_COMPARED', code: 'OTHER_HISTORY' });
  expect(restores).toBeGreaterThan(0);
  expect(await openFreezes()).toEqual([]);
  await inPlace();
  expect((await compared()).isEqual).toBe(true);
});

/** Until our newest update is where it is stored, with all that came after it. */
async function inPlace(): Promise<void> {
  await caughtUp();
  await eventually(
    async () => {
      ingestion.throwIfFailed();
      const row = await database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
      const found = await ledger.updateById(row.verified_update_id ?? '', updateFormatFor(treasury().party));
      expect(found?.update?.value.offset).toBe(row.verified_offset);
      expect(row.ledger_offset).toBeGreaterThanOrEqual((await ledger.ledgerEnd()).offset);
    },
    { deadlineMs: 15_000 },
  );
}

test('two processes share the rounds: one in each interval', async () => {
  await start();
  payIn('1');
  await caughtUp();
  let rounds = 0;
  const counted: ActiveSetSource = {
    ...ledger,
    activeContracts: (request) => {
      rounds += 1;
      return ledger.activeContracts(request);
    },
  };
  const ending = new AbortController();
  const common = {
    db: database.db,
    ledger: counted,
    treasury: treasury(),
    leases: createLeases({ db: database.db }),
    everyMs: 400,
    clock: systemClock,
    random: systemRandom,
    logger,
    signal: ending.signal,
  };
  const loops = ['one', 'two'].map((holder) => runVerificationLoop({ ...common, holder }));
  await systemClock.sleep(2_200);
  ending.abort();
  await Promise.all(loops);

  expect(rounds).toBeGreaterThanOrEqual(3);
  expect(rounds).toBeLessThanOrEqual(7);
});
