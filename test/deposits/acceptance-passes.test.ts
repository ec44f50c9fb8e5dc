/** One pass over offers: what is wrong with one of them, or decided about it meanwhile, is its own affair. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { findOffers } from '../../src/deposits/acceptance/offer-finding.ts';
import { openOfferAttempts } from '../../src/deposits/acceptance/offer-opening.ts';
import { offerPurpose } from '../../src/deposits/acceptance/offer-purpose.ts';
import { createOfferRequests } from '../../src/deposits/acceptance/offer-requests.ts';
import type { OfferRules } from '../../src/deposits/acceptance/offer-rules.ts';
import { createOfferSink } from '../../src/deposits/acceptance/offer-sink.ts';
import { systemClock } from '../../src/env/system.ts';
import type { TransferChange, Treasury } from '../../src/ingestion/effect-sink.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { giveUpUnsigned, lapseAttempts, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { OFFER_RULES } from '../support/acceptance.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let treasury: Treasury;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('acceptance-passes');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createOfferSink({ clock: systemClock })],
  });
  const [first] = ingestion.treasuries;
  if (first === undefined) throw new Error('No treasury.');
  treasury = first;
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const now = () => systemClock.nowMicros();
const purpose = offerPurpose(OFFER_RULES);
const find = async () => await findOffers(database.db, treasury.id, now());
const open = async (rules: Partial<OfferRules> = {}, onRefused?: (id: string) => void) =>
  await openOfferAttempts(database.db, treasury.id, { ...OFFER_RULES, ...rules }, now(), onRefused);

/** By amount. */
const actions = async () => {
  const { rows } = await sql<{ amount: string; id: string; state: string; reason: string | null; tries: number }>`
    SELECT trim_scale(t.amount::numeric)::text AS amount, a.id, a.state, a.reason, a.tries FROM offer_action a
    JOIN transfer t ON t.id = a.transfer_id ORDER BY t.amount::numeric`.execute(database.db);
  return rows;
};

/** Offers of these amounts, ingested. @returns their transfers, in the same order. */
async function offers(amounts: readonly string[], sender = 'alice', memo = 'alice-memo'): Promise<readonly string[]> {
  for (const amount of amounts) {
    simnet.network.tap({ instrument: 'amulet', owner: sender, amount: '100' });
    simnet.network.transfer({ instrument: 'amulet', sender, receiver: 'treasury', amount, memo, kind: 'offer' });
  }
  return await eventually(async () => {
    ingestion.throwIfFailed();
    const { rows } = await sql<{ amount: string; id: string }>`
      SELECT trim_scale(amount::numeric)::text AS amount, transfer_id AS id FROM transfer_instruction`.execute(
      database.db,
    );
    return amounts.map((amount) => {
      const row = rows.find((each) => each.amount === amount);
      if (row === undefined) throw new Error('Not ingested yet.');
      return row.id;
    });
  });
}

test('two open contracts that stand for one offer get one attempt', async () => {
  await offers(['5']);
  await sql`
    INSERT INTO transfer_instruction
    SELECT treasury_id, '00' || contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount, sender, receiver, memo, requested_at,
      execute_before, created_update_id, created_record_time, ended_update_id, ended_record_time FROM transfer_instruction`.execute(
    database.db,
  );
  expect(await find()).toBe(1);

  expect(await open()).toBe(1);
  expect(await actions()).toMatchObject([{ state: 'IN_FLIGHT' }]);
});

test('G1: what screening has not let pass is given no attempt', async () => {
  await offers(['5']);
  expect(await find()).toBe(1);

  expect(await open({ isCleared: () => sql<boolean>`false` })).toBe(0);
  expect(await actions()).toMatchObject([{ state: 'QUEUED' }]);
  await sql`UPDATE offer_action SET next_try_at = 0`.execute(database.db);
  expect(await open()).toBe(1);
});

test('an open attempt on an offer agrees with the books, and one that has lost its reservation does not', async () => {
  await offers(['5']);
  await find();
  await open();
  expect(await checkBooks(database.db)).toEqual([]);

  await sql`UPDATE reservation SET is_open = false`.execute(database.db);
  expect(await checkBooks(database.db)).toMatchObject([{ kind: 'RESERVATION_OFF' }]);
  await sql`UPDATE reservation SET is_open = true, contract_id = 'not-the-offer'`.execute(database.db);
  expect(await checkBooks(database.db)).toMatchObject([{ kind: 'RESERVATION_OFF' }]);
});

test('an offer that cannot be written is put off, and the others go on', async () => {
  await offers(['5', '6', '7']);
  await find();
  await sql`ALTER TABLE attempt ADD CONSTRAINT refused CHECK ((transfer_object->>'amount')::numeric <> 6)`.execute(
    database.db,
  );
  const refused: string[] = [];

  expect(await open({ backoffMsMax: 60_000 }, (id) => refused.push(id))).toBe(2);
  const rows = await actions();
  expect(rows.map(({ state, reason }) => [state, reason])).toEqual([
    ['IN_FLIGHT', null],
    ['QUEUED', 'DB_CONSTRAINT'],
    ['IN_FLIGHT', null],
  ]);
  expect(refused).toEqual([rows[1]?.id]);
  expect(await open()).toBe(0);
});

test('an attempt that cannot be ended keeps no other from its end', async () => {
  await offers(['5', '6', '7']);
  await find();
  await open();
  await sql`UPDATE attempt SET target_record_time = 1`.execute(database.db);
  const [, second] = await actions();
  await sql`ALTER TABLE offer_action ADD CONSTRAINT refused CHECK (id <> ${sql.lit(second?.id)} OR state = 'IN_FLIGHT')`.execute(
    database.db,
  );
  const refused: string[] = [];
  const lapse = async () =>
    await lapseAttempts(database.db, purpose, treasury.id, OFFER_RULES.limits, now(), (id) => {
      refused.push(id);
    });

  expect(await lapse()).toBe(2);
  expect((await actions()).map(({ state }) => state)).toEqual(['QUEUED', 'IN_FLIGHT', 'QUEUED']);
  expect(refused).toEqual([second?.id]);
});

test('an attempt is not given up while ingestion works on its offer', async () => {
  await offers(['5']);
  await find();
  await open();
  const [attempt] = await takeDueAttempts(database.db, purpose, treasury.id, OFFER_RULES.limits, {
    nowMicros: now(),
    countMax: 1,
  });
  if (attempt === undefined) throw new Error('No attempt.');
  const failure = { code: 'REGISTRY_TIMEOUT', detail: 'No answer in time.', isPassing: true };
  const giveUp = async () => await giveUpUnsigned(database.db, purpose, attempt, failure, now());

  await database.db.transaction().execute(async (tx) => {
    await sql`SELECT FROM offer_action WHERE id = ${attempt.subjectId} FOR UPDATE`.execute(tx);
    expect(await giveUp()).toBe(false);
    // Nothing of it is locked: ingestion may end the attempt.
    await sql`SELECT FROM attempt WHERE submission_id = ${attempt.submissionId} FOR UPDATE NOWAIT`.execute(tx);
  });
  expect(await giveUp()).toBe(true);
});

/** What ingestion tells of an offer whose contract its registry has replaced by another one. */
const evolved = (transferId: string): TransferChange => ({
  transferId,
  kind: 'OFFER',
  direction: 'IN',
  instrument: { ...simnet.network.instrument('amulet'), key: 1, isAccepted: true },
  amount: parseAmount('5'),
  counterparty: null,
  memo: 'alice-memo',
  isNew: false,
  status: 'PENDING',
  holdingsDelta: parseAmount('0'),
  earlierHoldingsDelta: parseAmount('0'),
  updateId: 'evolved',
  recordTime: now(),
  signedHash: null,
  inputs: [],
});

test('what a person parked stays parked when another contract stands for the offer', async () => {
  const [parked = '', busy = ''] = await offers(['5', '6']);
  const requests = createOfferRequests({ db: database.db, clock: systemClock });
  await find();
  await requests.park({ transferId: parked, by: 'compliance', why: 'Sanctions?' });
  expect(await open()).toBe(1);
  await requests.park({ transferId: busy, by: 'compliance', why: 'Sanctions?' });
  const sink = createOfferSink({ clock: systemClock });

  await database.db.transaction().execute(async (tx) => {
    await sink.apply(tx, treasury, [parked, busy].map(evolved));
  });
  expect((await actions()).map(({ state, reason }) => [state, reason])).toEqual([
    ['PARKED', 'PARKED_BY_PERSON'],
    ['PARKED', 'PARKED_BY_PERSON'],
  ]);
  expect(await open()).toBe(0);
});

test('an offer that a person parks while it is under way gets no signature that was not asked for before, and is parked', async () => {
  const [transferId] = await offers(['5']);
  await find();
  expect(await open()).toBe(1);
  const [attempt] = await takeDueAttempts(database.db, purpose, treasury.id, OFFER_RULES.limits, {
    nowMicros: now(),
    countMax: 1,
  });
  if (transferId === undefined || attempt === undefined) throw new Error('Nothing is under way.');
  const requests = createOfferRequests({ db: database.db, clock: systemClock });

  // The registry has answered, the participant has prepared, and now somebody has learnt whose money it is.
  await requests.park({ transferId, by: 'ann', why: 'A court wants it left alone.' });

  const signing = { hash: new Uint8Array(32).fill(1), scheme: 'V3', nowMicros: now() } as const;
  expect(await recordSignatureRequest(database.db, purpose, attempt, signing)).toBe(false);
  await sql`UPDATE attempt SET next_try_at = 0`.execute(database.db);
  const due = { nowMicros: now(), countMax: 1 };
  expect(await takeDueAttempts(database.db, purpose, treasury.id, OFFER_RULES.limits, due)).toEqual([]);
  await sql`UPDATE attempt SET target_record_time = 1`.execute(database.db);
  expect(await lapseAttempts(database.db, purpose, treasury.id, OFFER_RULES.limits, now())).toBe(1);
  expect(await actions()).toMatchObject([{ state: 'PARKED', reason: 'PARKED_BY_PERSON' }]);
});

test('what a freeze keeps from its end, however much it is, holds up no offer of another instrument', async () => {
  await offers(Array.from({ length: 16 }, (_, index) => String(index + 1)));
  await find();
  expect([await open(), await open(), await open()]).toEqual([8, 8, 0]);
  simnet.network.tap({ instrument: 'usd', owner: 'bob', amount: '100' });
  const { db } = database;
  const wanted = { instrument: 'usd', sender: 'bob', receiver: 'treasury', amount: '20', memo: 'bob-memo' };
  simnet.network.transfer({ ...wanted, kind: 'offer' });
  await eventually(async () => expect(await find()).toBe(1), { deadlineMs: 20_000 });
  expect(await open()).toBe(0);

  await ingestion.stop();
  await sql`
    INSERT INTO money_freeze (treasury_id, instrument_id, reason, detail, cause, opened_at, opened_by)
    SELECT ${treasury.id}, id, 'QUARANTINE', 'An update that nobody can read.', 'test', 0, 'test' FROM instrument WHERE instrument_id = 'Amulet'`.execute(
    db,
  );
  await sql`UPDATE attempt SET target_record_time = 1`.execute(db);
  expect(await lapseAttempts(db, purpose, treasury.id, OFFER_RULES.limits, now())).toBe(0);

  expect(await open()).toBe(1);
  expect((await actions()).at(-1)).toMatchObject({ amount: '20', state: 'IN_FLIGHT' });
});

test('an offer that ends right now is not found, and nobody decides about it', async () => {
  const [transferId = ''] = await offers(['5']);
  const requests = createOfferRequests({ db: database.db, clock: systemClock });
  let decided: Promise<unknown> = Promise.resolve();
  await database.db.transaction().execute(async (tx) => {
    await sql`
      UPDATE transfer_instruction SET status = 'WITHDRAWN', ended_update_id = 'u', ended_record_time = 1
      WHERE transfer_id = ${transferId}`.execute(tx);
    expect(await find()).toBe(0);
    decided = requests.requestAcceptance({ transferId, by: 'support', why: 'A customer asks.' }).then(
      () => 'decided',
      (error) => error.code,
    );
    // Until it waits for the end of the offer, or has not waited for it.
    await eventually(async () => {
      const waiting = await sql`SELECT FROM pg_locks WHERE NOT granted`.execute(database.db);
      if (waiting.rows.length === 0 && (await actions()).length === 0) throw new Error('Not there yet.');
    });
  });
  expect(await decided).toBe('OFFER_NOT_OPEN');
  expect(await actions()).toEqual([]);
});

test('two people who decide at once are told by turns, and never what a table refuses', async () => {
  const amounts = ['1', '2', '3', '4', '5', '6', '7', '8'];
  const requests = createOfferRequests({ db: database.db, clock: systemClock });
  for (const transferId of await offers(amounts)) {
    const wish = { transferId, by: 'support', why: 'A customer asks.' };
    await Promise.all([requests.requestAcceptance(wish), requests.requestRejection(wish)]);
  }
  const { rows } = await sql<{ open: number }>`
    SELECT count(*)::int AS open FROM offer_action WHERE state = 'QUEUED' GROUP BY transfer_id`.execute(database.db);
  expect(rows).toEqual(amounts.map(() => ({ open: 1 })));
});

test('an offer is open as long as the synchronizer of its treasury says so, whatever others say', async () => {
  await offers(['5']);
  await sql`INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time) VALUES (${treasury.id}, 'other::1220', ${2n ** 62n})`.execute(
    database.db,
  );
  expect(await find()).toBe(1);
});

test('an offer to a divided account of the treasury is left alone', async () => {
  const [transferId] = await offers(['5', '6']);
  await sql`UPDATE transfer SET transfer_object = transfer_object || '{"isToPart": true}' WHERE id = ${transferId}`.execute(
    database.db,
  );
  expect(await find()).toBe(1);
  expect(await actions()).toMatchObject([{ amount: '6' }]);
});

test('G4: dust of a stranger neither uses up a customer’s budget nor goes before his deposit', async () => {
  const budget = { all: 100, perInstrument: 100, perAccount: 2, perSender: 2 };
  await offers(['0.0000000001', '0.0000000002', '0.0000000003'], 'bob');
  await find();
  expect(await open({ budget })).toBe(2);
  expect(await open({ budget })).toBe(0);

  await offers(['90', '80', '91']);
  await find();
  expect(await open({ budget })).toBe(2);
  const rows = await actions();
  expect(rows.filter(({ state }) => state === 'IN_FLIGHT').map(({ amount }) => amount)).toEqual([
    '0.0000000002',
    '0.0000000003',
    '90',
    '91',
  ]);
});
