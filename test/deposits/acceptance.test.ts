/** What the acceptance of offers does when something is wrong: with the offer, with the services it needs, or with whoever floods it. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { findOffers } from '../../src/deposits/acceptance/offer-finding.ts';
import type { OfferRegistry } from '../../src/deposits/acceptance/offer-plan.ts';
import { createOfferRequests, type OfferRequests } from '../../src/deposits/acceptance/offer-requests.ts';
import type { OfferRules } from '../../src/deposits/acceptance/offer-rules.ts';
import { createOfferSink } from '../../src/deposits/acceptance/offer-sink.ts';
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import { OFFER_RULES, registryAt, startAcceptance } from '../support/acceptance.ts';
import { post, startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let requests: OfferRequests;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('acceptance');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'spam-memo': 'mallory' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createOfferSink({ clock: systemClock })],
  });
  requests = createOfferRequests({ db: database.db, clock: systemClock });
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const treasury = () => {
  const [first] = ingestion.treasuries;
  if (first === undefined) throw new Error('No treasury.');
  return first;
};

const registry = (): OfferRegistry =>
  registryAt(
    simnet.registries.map(({ admin, url }) => ({ admin, urls: [url] })),
    database.logger,
  );

function acceptOffers(options: { readonly rules?: Partial<OfferRules>; readonly registry?: OfferRegistry } = {}): void {
  const acceptance = startAcceptance({
    db: database.db,
    treasury: treasury(),
    ledgerUrl: simnet.ledgerUrl(),
    registry: options.registry ?? registry(),
    logger: database.logger,
    rules: { ...OFFER_RULES, ...options.rules },
  });
  stopping.push(acceptance.stop);
}

function offer(amount = '7.5', memo = 'alice-memo'): string {
  const { instructionCid = '' } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount,
    memo,
    kind: 'offer',
  });
  return instructionCid;
}

/** Waits until the newest offer is stored. @returns its transfer. */
async function stored(count = 1): Promise<string> {
  return await eventually(async () => {
    const rows = await database.db
      .selectFrom('transfer_instruction')
      .select('transfer_id')
      .orderBy('created_record_time', 'desc')
      .execute();
    expect(rows).toHaveLength(count);
    return rows[0]?.transfer_id ?? '';
  });
}

const actionOf = async (transferId: string) =>
  await database.db.selectFrom('offer_action').selectAll().where('transfer_id', '=', transferId).executeTakeFirst();

const becomes = async (transferId: string, wanted: object, deadlineMs = 30_000) =>
  await eventually(async () => expect(await actionOf(transferId)).toMatchObject(wanted), { deadlineMs });

const held = () => simnet.network.balance({ instrument: 'amulet', owner: 'treasury' });

test('G3: an impossible offer is tried so often, then parked with its reason; a person brings it back, and is remembered', {
  timeout: 60_000,
}, async () => {
  offer();
  const transferId = await stored();
  let asked = 0;
  let isMended = false;
  const real = registry();
  acceptOffers({
    registry: {
      instructionContext: async (...args) => {
        asked += 1;
        if (!isMended) throw new PermanentError('REGISTRY_STATUS', 'The registry answered 404.', { status: 404 });
        return await real.instructionContext(...args);
      },
    },
  });
  await becomes(transferId, { state: 'PARKED', reason: 'REGISTRY_STATUS', tries: OFFER_RULES.triesMax });
  expect(asked).toBe(OFFER_RULES.triesMax);

  isMended = true;
  const why = 'the registry was mended';
  await requests.unpark({ transferId, by: 'support', why });
  await becomes(transferId, { state: 'DONE', reason: null });
  expect(held()).toBe('7.5000000000');
  expect(
    await database.db.selectFrom('offer_decision').select(['decision', 'decided_by', 'why', 'state_before']).execute(),
  ).toEqual([{ decision: 'UNPARK', decided_by: 'support', why, state_before: 'PARKED' }]);
  expect(await checkBooks(database.db)).toEqual([]);
});

test('F1: an offer whose registry is away waits for it, and is never parked for that', {
  timeout: 60_000,
}, async () => {
  offer();
  const transferId = await stored();
  let isAway = true;
  const real = registry();
  acceptOffers({
    registry: {
      instructionContext: async (...args) => {
        if (isAway) throw new RetryableError('REGISTRY_UNREACHABLE', 'Nobody answers.');
        return await real.instructionContext(...args);
      },
    },
  });
  await eventually(async () => expect((await actionOf(transferId))?.waits).toBeGreaterThan(OFFER_RULES.triesMax), {
    deadlineMs: 30_000,
  });
  expect(await actionOf(transferId)).toMatchObject({ tries: 0 });
  isAway = false;

  await becomes(transferId, { state: 'DONE' });
});

test('F1: one offer whose registry does not answer holds up none that comes after it', async () => {
  offer('1');
  const hanging = await stored();
  const answers = Promise.withResolvers<void>();
  stopping.push(async () => answers.resolve()); // Before the loop is stopped, which waits for what it has begun.
  const real = registry();
  let asked = 0;
  acceptOffers({
    registry: {
      instructionContext: async (...args) => {
        asked += 1;
        if (asked === 1) await answers.promise;
        return await real.instructionContext(...args);
      },
    },
  });
  await eventually(async () => expect(asked).toBe(1), { deadlineMs: 20_000 });

  offer('2');
  const next = await stored(2);
  expect(next).not.toBe(hanging);
  await becomes(next, { state: 'DONE' }, 20_000);
  // Somebody else may try the same attempt after a while; whoever began still waits.
  await becomes(hanging, { state: 'DONE' }, 20_000);
});

test('Z14: a participant that lies about an acceptance gets no signature, and the offer is parked', {
  timeout: 60_000,
}, async () => {
  simnet.network.participant('participant1').faults.submissions.set({
    lieInPrepare: { share: 1, lie: { kind: 'maxRecordTime', micros: undefined } },
  });
  offer();
  const transferId = await stored();
  acceptOffers();

  await becomes(transferId, { state: 'PARKED', tries: OFFER_RULES.triesMax });
  expect((await actionOf(transferId))?.reason).toMatch(/^(INTENT|TREE|HASH)_/);
  expect(await database.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
  expect(held()).toBe('0.0000000000');
});

test('G2: offers that end elsewhere while the loop is down are recognised', async () => {
  const accepted = offer('1');
  const acceptedId = await stored();
  const withdrawn = offer('2');
  const withdrawnId = await stored(2);
  const rejected = offer('3');
  const rejectedId = await stored(3);
  await findOffers(database.db, treasury().id, systemClock.nowMicros());
  simnet.network.accept({ instructionCid: accepted });
  simnet.network.withdraw({ instructionCid: withdrawn });
  simnet.network.reject({ instructionCid: rejected });

  await becomes(acceptedId, { state: 'DONE' });
  await becomes(withdrawnId, { state: 'ENDED', reason: 'WITHDRAWN' });
  await becomes(rejectedId, { state: 'ENDED', reason: 'REJECTED' });
  expect(held()).toBe('1.0000000000');
  expect(await checkBooks(database.db)).toEqual([]);
});

test('G4: an offer below the minimum of its instrument is parked, until a person wants it all the same', {
  timeout: 60_000,
}, async () => {
  const { id } = simnet.network.instrument('amulet');
  await sql`
    INSERT INTO token (instrument_id, implementation, packages, credits_deposits, accepts_offers, deposit_min, pays_direct, pays_offers,
      offer_validity_seconds, onboarded_at, onboarded_by)
    SELECT id, 'SPLICE_AMULET', '{}', true, true, 5, true, false, 3600, 0, 'test' FROM instrument WHERE instrument_id = ${id}
    ON CONFLICT (instrument_id) DO UPDATE SET deposit_min = 5`.execute(database.db);
  offer('4.9999999999');
  const transferId = await stored();
  acceptOffers();
  await becomes(transferId, { state: 'PARKED', reason: 'BELOW_MINIMUM' });

  await requests.retryNow({ transferId, by: 'support', why: 'the customer asked for it' });
  await becomes(transferId, { state: 'DONE' });
  expect(held()).toBe('4.9999999999');
});

test('G6: an offer of an instrument that is not accepted is left alone, whatever its memo', async () => {
  await sql`UPDATE instrument SET is_accepted = false WHERE instrument_id <> 'USDX'`.execute(database.db);
  offer();
  const transferId = await stored();
  simnet.network.tap({ instrument: 'usd', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'usd',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
    kind: 'offer',
  });
  const other = await stored(2);
  acceptOffers();
  await becomes(other, { state: 'DONE' });

  expect(await actionOf(transferId)).toBeUndefined();
});

test('a person rejects an offer through the API, and parks and retries others; each with his name and reason', {
  timeout: 60_000,
}, async () => {
  const api = await startApi(database, { network: NETWORK });
  stopping.push(api.stop);
  offer('1');
  const rejected = await stored();
  offer('2');
  const parked = await stored(2);
  const decide = async (mutation: string, transferId: string) =>
    (
      await post(api.url, {
        query: `mutation ($input: OfferDecisionInput!) { ${mutation}(input: $input) {
          __typename ... on OfferPayload { offer { transferId action { choice state reason } } } ... on OfferRefusal { code } } }`,
        variables: { input: { transferId, reason: 'ticket 9' } },
      })
    ).data;
  expect(await decide('parkOffer', parked)).toMatchObject({
    parkOffer: { offer: { action: { state: 'PARKED', reason: 'PARKED_BY_PERSON' } } },
  });
  expect(await decide('parkOffer', parked)).toMatchObject({ parkOffer: { code: 'OFFER_PARKED' } });
  expect(await decide('rejectOffer', rejected)).toMatchObject({
    rejectOffer: { offer: { action: { choice: 'REJECT', state: 'QUEUED' } } },
  });
  acceptOffers();
  await becomes(rejected, { choice: 'REJECT', state: 'DONE' });
  const shown = await post(api.url, {
    query: '{ offers { nodes { amount account status action { choice state reason tries requestedBy } } } }',
  });
  expect(shown.data).toMatchObject({
    offers: {
      nodes: [
        { amount: '2.0000000000', account: 'alice', status: 'OPEN', action: { state: 'PARKED' } },
        { amount: '1.0000000000', account: 'alice', status: 'REJECTED', action: { choice: 'REJECT', state: 'DONE' } },
      ],
    },
  });

  expect(await decide('retryOfferNow', parked)).toMatchObject({
    retryOfferNow: { offer: { action: { choice: 'ACCEPT', state: 'QUEUED' } } },
  });
  await becomes(parked, { state: 'DONE' });
  expect(held()).toBe('2.0000000000');
  expect(await decide('rejectOffer', parked)).toMatchObject({ rejectOffer: { code: 'OFFER_NOT_OPEN' } });
});

test('G3, G4, Z39: 10,000 spam offers neither slow a known deposit nor spend more than their budget', {
  timeout: 120_000,
}, async () => {
  const SPAM = 10_000;
  offer('1');
  const first = await stored();
  // As if ingested: of one sender, half of them to his own account, half to nobody's.
  for (const table of ['transfer', 'transfer_instruction'] as const) {
    const columns =
      table === 'transfer'
        ? sql`treasury_id, update_id, rank, id, kind, direction, status, instrument_id, amount, holdings_delta, counterparty, memo, transfer_object, record_time`
        : sql`treasury_id, contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount, sender, receiver, memo,
              requested_at, execute_before, created_update_id, created_record_time`;
    const values =
      table === 'transfer'
        ? sql`treasury_id, 'spam-' || n, 0, 'tr_spam' || n, kind, direction, status, instrument_id, amount, holdings_delta, 'mallory::1220',
              CASE WHEN n % 2 = 0 THEN 'spam-memo' ELSE 'nobody-' || n END, transfer_object, record_time`
        : sql`treasury_id, lpad(to_hex(n), 8, '0'), lpad(to_hex(n), 8, '0'), 'tr_spam' || n, direction, status, instrument_id, amount, 'mallory::1220',
              receiver, CASE WHEN n % 2 = 0 THEN 'spam-memo' ELSE 'nobody-' || n END, requested_at, execute_before, created_update_id, created_record_time`;
    const key = table === 'transfer' ? sql`id` : sql`transfer_id`;
    await sql`INSERT INTO ${sql.table(table)} (${columns})
      SELECT ${values} FROM ${sql.table(table)}, generate_series(1, ${SPAM}::int) AS n WHERE ${key} = ${first}`.execute(
      database.db,
    );
  }
  const BUDGET = { all: 40, perInstrument: 40, perAccount: 20, perSender: 20 };
  const asked = new Map<string, number>();
  const real = registry();
  acceptOffers({
    rules: { budget: BUDGET },
    registry: {
      instructionContext: async (instrument, instructionId, choice) => {
        const who = instructionId.length === 8 ? 'spam' : 'known';
        asked.set(who, (asked.get(who) ?? 0) + 1);
        return await real.instructionContext(instrument, instructionId, choice);
      },
    },
  });
  await becomes(first, { state: 'DONE' }, 60_000);
  await eventually(
    async () => {
      const { rows } = await sql<{ count: number }>`SELECT count(*)::int AS count FROM offer_action`.execute(
        database.db,
      );
      expect(rows[0]?.count).toBe(SPAM / 2 + 1); // What is for nobody is left alone.
    },
    { deadlineMs: 60_000 },
  );
  await eventually(() => expect(asked.get('spam')).toBe(BUDGET.perSender), { deadlineMs: 30_000 });

  // With all of the spam found and its budget used up, another deposit is as quick as ever.
  offer('2');
  const second = await eventually(async () => {
    const row = await database.db
      .selectFrom('transfer_instruction')
      .select('transfer_id')
      .where('amount', '=', '2.0000000000')
      .executeTakeFirst();
    expect(row).toBeDefined();
    return row?.transfer_id ?? '';
  });
  await becomes(second, { state: 'DONE' }, 30_000);
  expect(asked.get('spam')).toBe(BUDGET.perSender);
  const spent = await database.db.selectFrom('offer_budget').select(['scope', 'spent']).execute();
  const spentOf = new Map(spent.map((row) => [row.scope, row.spent]));
  expect(spentOf.get('sender:mallory::1220')).toBe(BUDGET.perSender);
  expect(spentOf.get('all')).toBeLessThanOrEqual(BUDGET.all);
  expect(held()).toBe('3.0000000000');
});
