/**
 * The deposits of the exchange integration guide, end to end: simulated network, its registries over HTTP, real gRPC, real PostgreSQL. Each test is a page of the guide: what the customer does,
 * and what he sees of it at the exchange.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { createOfferSink } from '../../src/deposits/acceptance/offer-sink.ts';
import { systemClock } from '../../src/env/system.ts';
import { registryAt, startAcceptance } from '../support/acceptance.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

/** Canton Coin, a token of the registry utility, and one that nobody has heard of; the latter two with four instances of their registry. */
const TOKENS = ['amulet', 'usd', 'note'] as const;

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('guide', { registryInstances: 4 });
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createOfferSink({ clock: systemClock })],
  });
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function acceptOffers(): void {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const acceptance = startAcceptance({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryAt(
      simnet.registries.map(({ admin, instances }) => ({ admin, urls: instances.map(({ url }) => url) })),
      database.logger,
    ),
    logger: database.logger,
  });
  stopping.push(acceptance.stop);
}

function fund(instrument: string, owner = 'alice', amount = '100'): void {
  simnet.network.tap({ instrument, owner, amount });
}

function offer(instrument: string, options: { readonly memo?: string; readonly amount?: string } = {}): string {
  const { instructionCid } = simnet.network.transfer({
    instrument,
    sender: 'alice',
    receiver: 'treasury',
    amount: options.amount ?? '7.5',
    memo: options.memo ?? 'alice-memo',
    kind: 'offer',
  });
  if (instructionCid === undefined) throw new Error('Not an offer.');
  return instructionCid;
}

async function credited(owner: string): Promise<Record<string, string>> {
  const { rows } = await sql<{ instrument: string; balance: string }>`
    SELECT i.name AS instrument, sum(b.balance)::text AS balance
    FROM account_balance b JOIN account a ON a.id = b.account_id JOIN instrument i ON i.id = b.instrument_id
    WHERE a.kind = 'CUSTOMER' AND a.owner = ${owner} GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(
    database.db,
  );
  return Object.fromEntries(rows.map(({ instrument, balance }) => [instrument, balance]));
}

async function offers(): Promise<Record<string, number>> {
  const { rows } = await sql<{ status: string; count: number }>`
    SELECT status, count(*)::int AS count FROM transfer_instruction GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

async function actions(): Promise<readonly { state: string; reason: string | null }[]> {
  return await database.db.selectFrom('offer_action').select(['state', 'reason']).orderBy('created_at').execute();
}

/** What every page ends with: nothing is open, the books balance, and the treasury holds on the ledger what was credited. */
async function expectSettled(instrument: string, held: string): Promise<void> {
  await eventually(() => expect(simnet.network.balance({ instrument, owner: 'treasury' })).toBe(held));
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('attempt').selectAll().where('state', '=', 'OPEN').execute()).toEqual([]);
  expect(await database.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
}

describe.each(TOKENS)('a deposit of %s', (instrument) => {
  test('in one step is credited when it is seen', async () => {
    fund(instrument);
    simnet.network.transfer({ instrument, sender: 'alice', receiver: 'treasury', amount: '12.25', memo: 'alice-memo' });

    await eventually(async () => expect(await credited('alice')).toEqual({ [instrument]: '12.2500000000' }));
    await expectSettled(instrument, '12.2500000000');
  });

  test('by offer is credited when our acceptance is seen, and not before', async () => {
    fund(instrument);
    offer(instrument);
    await eventually(async () => expect(await offers()).toEqual({ OPEN: 1 }));
    expect(await credited('alice')).toEqual({});

    acceptOffers();
    await eventually(async () => expect(await credited('alice')).toEqual({ [instrument]: '7.5000000000' }), {
      deadlineMs: 20_000,
    });
    expect(await offers()).toMatchObject({ ACCEPTED: 1 });
    expect(await actions()).toEqual([{ state: 'DONE', reason: null }]);
    await expectSettled(instrument, '7.5000000000');
  });

  test('G1: by offer for an unknown account is left alone, until somebody registers its memo', async () => {
    fund(instrument);
    acceptOffers();
    offer(instrument, { memo: 'nobodys-memo' });
    offer(instrument, { memo: 'bob-memo', amount: '1' });
    // The other offer shows that the loop has had its chance.
    await eventually(async () => expect(await credited('bob')).toEqual({ [instrument]: '1.0000000000' }), {
      deadlineMs: 20_000,
    });
    expect(await offers()).toEqual({ OPEN: 1, ACCEPTED: 1 });
    expect(await actions()).toHaveLength(1);

    await registerMemos(database.db, NETWORK, { 'nobodys-memo': 'carol' });
    await eventually(async () => expect(await credited('carol')).toEqual({ [instrument]: '7.5000000000' }), {
      deadlineMs: 20_000,
    });
    await expectSettled(instrument, '8.5000000000');
  });

  test('G2: by an offer that its sender withdraws while we accept it ends with whatever the ledger says', async () => {
    fund(instrument);
    acceptOffers();
    const made = Array.from({ length: 6 }, (_, index) => offer(instrument, { amount: `${index + 1}` }));
    let withdrawn = 0;
    for (const [index, instructionCid] of made.entries()) {
      await systemClock.sleep(index * 120, new AbortController().signal);
      try {
        simnet.network.withdraw({ instructionCid });
        withdrawn += 1;
      } catch {
        // We were faster.
      }
    }
    await eventually(
      async () => {
        const { OPEN = 0, ACCEPTED = 0, WITHDRAWN = 0 } = await offers();
        expect({ OPEN, WITHDRAWN, all: ACCEPTED + WITHDRAWN }).toEqual({ OPEN: 0, WITHDRAWN: withdrawn, all: 6 });
        const rows = await actions();
        expect(rows.filter(({ state }) => state === 'QUEUED' || state === 'IN_FLIGHT')).toEqual([]);
      },
      { deadlineMs: 20_000 },
    );

    const held = simnet.network.balance({ instrument, owner: 'treasury' });
    expect(await credited('alice')).toEqual(held === '0.0000000000' ? {} : { [instrument]: held });
    await expectSettled(instrument, held);
  });

  test('G5: among others in one transaction is credited once each', async () => {
    fund(instrument);
    fund(instrument);
    acceptOffers();
    simnet.network.batch({
      wrapper: 'alice',
      operations: [
        { operation: 'transfer', instrument, sender: 'alice', receiver: 'treasury', amount: '3', memo: 'alice-memo' },
        {
          operation: 'transfer',
          instrument,
          sender: 'alice',
          receiver: 'treasury',
          amount: '4',
          memo: 'bob-memo',
          kind: 'offer',
        },
      ],
    });
    await eventually(async () => expect(await credited('bob')).toEqual({ [instrument]: '4.0000000000' }), {
      deadlineMs: 20_000,
    });
    expect(await credited('alice')).toEqual({ [instrument]: '3.0000000000' });
    await expectSettled(instrument, '7.0000000000');
  });
});
