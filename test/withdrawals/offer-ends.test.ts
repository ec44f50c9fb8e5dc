/**
 * How offers of ours end otherwise than they should: in races, in several steps, after their lock has gone, in ways that nobody can read. Each ends once, as the ledger has it, and where nobody can tell where
 * the money is, it stays where it is in the books until a person has looked.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { retryNow } from '../../src/withdrawals/retry-now.ts';
import { eventually } from '../support/eventually.ts';
import { type Instrument, type OfferScene, startOfferScene } from '../support/offers.ts';
import { registryOf } from '../support/simnet-registry.ts';

let scene: OfferScene;
beforeEach(async () => {
  scene = await startOfferScene('offer ends');
});
afterEach(async () => {
  await scene.stop();
});

const held = (owner: string, instrument: Instrument): string => scene.network.balance({ instrument, owner });
const offered = async (): Promise<string> =>
  await eventually(async () => {
    const [offer] = scene.offers();
    if (offer === undefined) throw new Error('No offer yet.');
    return offer;
  });
const freezes = async () =>
  await scene.db
    .selectFrom('money_freeze')
    .select(['reason', 'instrument_id'])
    .where('lifted_at', 'is', null)
    .execute();

async function expectSound(): Promise<void> {
  expect(await checkBooks(scene.db)).toEqual([]);
  expect(await scene.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
}

async function offerOf(instrument: Instrument, policy: Parameters<OfferScene['decide']>[1] = {}): Promise<string> {
  await scene.decide(instrument, policy);
  scene.fund(instrument);
  const id = await scene.ask('one', instrument);
  scene.start();
  await scene.become({ OFFERED: 1 });
  return id;
}

describe.each<[Instrument, boolean]>([
  ['usd', false],
  ['usd', true],
  ['amulet', true],
])('an offer of %s that its registry archives outside the standard (with its lock: %s)', (instrument, alsoLocked) => {
  test('E14: is unresolved: nothing is booked back, its instrument is frozen, others wait', async () => {
    await offerOf(instrument, { returnFee: '1' });

    scene.network.archiveOffer({ instructionCid: await offered(), alsoLocked });
    await scene.become({ UNRESOLVED: 1 });

    expect(await freezes()).toContainEqual({
      reason: 'OFFER_END_UNREADABLE',
      instrument_id: await scene.instrumentKey(instrument),
    });
    expect(await scene.balance('CUSTOMER', instrument)).toBe('-5.0000000000');
    expect(await scene.balance('WITHDRAWALS', instrument)).toBe('5.0000000000');
    expect(await checkBooks(scene.db)).toEqual([]);
    scene.fund(instrument);
    await scene.ask('two', instrument, '1');
    await scene.become({ UNRESOLVED: 1, QUEUED: 1 });
  });
});

describe.each([1, 10])('an offer that its registry replaces %i times', (steps) => {
  const evolve = async (): Promise<void> => {
    for (let step = 0; step < steps; step += 1) scene.network.evolve({ instructionCid: await offered() });
  };

  test('E15: stays one withdrawal, and completes when its last contract is accepted', async () => {
    await offerOf('note');
    await evolve();
    await eventually(async () =>
      expect(await scene.db.selectFrom('transfer_instruction').selectAll().execute()).toHaveLength(steps + 1),
    );
    await scene.become({ OFFERED: 1 });

    scene.network.accept({ instructionCid: await offered() });
    await scene.become({ COMPLETED: 1 });
    expect(held('bob', 'note')).toBe('5.0000000000');
    await expectSound();
  });

  test('E15: is taken back where it stands now', async () => {
    const id = await offerOf('note');
    await evolve();
    await scene.cancel(id);
    await scene.become({ RETURNED: 1 });

    expect(held('treasury', 'note')).toBe('10.0000000000');
    expect(await scene.balance('CUSTOMER', 'note')).toBe('0.0000000000');
    await expectSound();
  });
});

describe('two who end an offer at once', () => {
  /** Starts a payer for whom `rival` is quicker: it acts when the return is signed and about to be sent. */
  async function raced(rival: (cid: string) => void, validitySeconds: number): Promise<string> {
    await scene.decide('amulet', { validitySeconds, returnFee: '0.5' });
    scene.fund('amulet');
    const id = await scene.ask('one', 'amulet');
    let isOver = false;
    scene.start({
      failpoint: async (name) => {
        if (name !== 'returns.beforeExecute' || isOver) return;
        isOver = true;
        rival(await offered());
      },
    });
    await scene.become({ OFFERED: 1 });
    return id;
  }

  test('E13: the receiver who accepts is paid, and nothing is booked back', async () => {
    const id = await raced((instructionCid) => scene.network.accept({ instructionCid }), 3_600);
    await scene.cancel(id);
    await scene.become({ COMPLETED: 1 });

    expect(held('bob', 'amulet')).toBe('5.0000000000');
    expect(await scene.balance('CUSTOMER', 'amulet')).toBe('-5.0000000000');
    expect(await scene.balance('FEES', 'amulet')).toBe('0.0000000000');
    expect(await scene.returns()).toMatchObject([{ state: 'ENDED' }]);
    await expectSound();
  });

  test('E13: the admin who lets it expire returns it, once', async () => {
    await raced((instructionCid) => scene.network.expire({ instructionCid }), 60);
    scene.pass(90_000);
    await scene.become({ RETURNED: 1 });

    expect(held('treasury', 'amulet')).toBe('10.0000000000');
    expect(await scene.balance('CUSTOMER', 'amulet')).toBe('-0.5000000000');
    expect(await scene.balance('FEES', 'amulet')).toBe('0.5000000000');
    expect(await scene.returns()).toMatchObject([{ state: 'ENDED' }]);
    await expectSound();
  });
});

test('E12, E21: an offer whose lock was released before it is reclaimed returns once, though nothing comes back with it', async () => {
  await scene.decide('amulet', { validitySeconds: 60, returnFee: '20' });
  scene.fund('amulet');
  await scene.ask('one', 'amulet');
  const payouts = scene.start();
  await scene.become({ OFFERED: 1 });
  await payouts.stop();
  scene.pass(90_000);
  const party = scene.network.party('treasury');
  const locked = holdingsOf(scene.network.ledger.contracts, party, scene.network.instrument('amulet')).find(
    ({ isLocked }) => isLocked,
  );
  scene.network.releaseLock({ contractId: locked?.contractId ?? '' });
  scene.start();
  await scene.become({ RETURNED: 1 });

  expect(await scene.returns()).toMatchObject([{ reason: 'EXPIRED', state: 'DONE' }]);
  expect(held('treasury', 'amulet')).toBe('10.0000000000');
  // A fee of more than the whole takes the whole, and no more.
  expect(await scene.balance('CUSTOMER', 'amulet')).toBe('-5.0000000000');
  expect(await scene.balance('FEES', 'amulet')).toBe('5.0000000000');
  await expectSound();
});

describe('a preapproval that is there when the registry is asked, and gone when the transfer is prepared', () => {
  async function lose(policy: Parameters<OfferScene['decide']>[1]): Promise<void> {
    await scene.decide('amulet', policy);
    scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
    scene.fund('amulet');
    await scene.ask('one', 'amulet');
    const registry = registryOf(scene.simnet);
    let isLost = false;
    scene.start({
      registry: {
        ...registry,
        transferFactory: async (instrument, transfer) => {
          const answer = await registry.transferFactory(instrument, transfer);
          if (!isLost) scene.network.cancelPreapproval({ instrument: 'amulet', receiver: 'bob' });
          isLost = true;
          return answer;
        },
      },
    });
  }

  test('E11: fails before anything is signed where offers are not made', async () => {
    await lose({ paysOffers: false });
    await scene.become({ FAILED: 1 });

    expect((await scene.rows())[0]).toMatchObject({ failure_code: 'RECEIVER_NOT_PREAPPROVED' });
    expect(await scene.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
    await expectSound();
  });

  test('E11: becomes an offer where they are', async () => {
    await lose({});
    await scene.become({ OFFERED: 1 });
    scene.network.accept({ instructionCid: await offered() });
    await scene.become({ COMPLETED: 1 });
    expect(held('bob', 'amulet')).toBe('5.0000000000');
    await expectSound();
  });

  test('E11: a registry that says the other of what is so gets no signature', async () => {
    await scene.decide('usd', {});
    scene.fund('usd');
    await scene.ask('one', 'usd');
    const registry = registryOf(scene.simnet);
    scene.start({
      limits: {
        ttlMs: 2_000,
        recordTimeAgeMsMax: 600_000,
        recordTimeAheadMsMax: 600_000,
        attemptsMax: 1,
        triesMax: 3,
        tryHoldMs: 500,
      },
      registry: {
        ...registry,
        transferFactory: async (instrument, transfer) => ({
          ...(await registry.transferFactory(instrument, transfer)),
          transferKind: 'direct',
        }),
      },
    });
    await scene.become({ FAILED: 1 });

    expect(await scene.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
    expect(held('treasury', 'usd')).toBe('10.0000000000');
  });
});

test('a receiver who lost his preapproval after a signature was asked for fails the withdrawal only with the proof', async () => {
  await scene.decide('amulet', { paysOffers: false });
  scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  scene.fund('amulet');
  scene.network.participant('participant1').faults.submissions.set({ dropExecutes: { share: 1 } });
  await scene.ask('one', 'amulet');
  scene.start();
  await eventually(async () => expect(await scene.db.selectFrom('signed_hash').selectAll().execute()).not.toEqual([]));
  scene.network.cancelPreapproval({ instrument: 'amulet', receiver: 'bob' });

  await eventually(async () =>
    expect(await scene.db.selectFrom('attempt').select(['state', 'last_error']).execute()).toMatchObject([
      { state: 'OPEN', last_error: expect.stringContaining('only as an offer') },
    ]),
  );
  await scene.become({ FAILED: 1 });

  const attempts = await scene.db.selectFrom('attempt').selectAll().orderBy('number').execute();
  expect(attempts.map(({ state }) => state)).toEqual(['LAPSED', 'GIVEN_UP']);
  expect((await scene.rows())[0]).toMatchObject({ failure_code: 'RECEIVER_NOT_PREAPPROVED' });
  await expectSound();
});

test('E13: a return that never reaches the ledger is tried so often and then parked, and goes on when the deadline gives it a new reason', {
  timeout: 90_000,
}, async () => {
  await scene.decide('usd', { validitySeconds: 60 });
  scene.fund('usd');
  const id = await scene.ask('one', 'usd');
  const { submissions } = scene.network.participant('participant1').faults;
  scene.start({
    limits: {
      ttlMs: 4_000,
      recordTimeAgeMsMax: 600_000,
      recordTimeAheadMsMax: 600_000,
      attemptsMax: 20,
      triesMax: 6,
      tryHoldMs: 500,
    },
    returnRules: { reclaimAfterMs: 0, triesMax: 2, backoffMsMin: 50, backoffMsMax: 100, triesPerAttemptMax: 3 },
  });
  await scene.become({ OFFERED: 1 });
  submissions.set({ dropExecutes: { share: 1 } });
  await scene.cancel(id);

  await eventually(
    async () =>
      expect(await scene.returns()).toMatchObject([
        { state: 'PARKED', reason: 'CANCELLED', tries: 2, trouble_code: 'NOT_COMMITTED' },
      ]),
    { deadlineMs: 40_000 },
  );
  const attempts = await scene.db.selectFrom('attempt').selectAll().where('submission_id', 'like', 'sr_%').execute();
  expect(attempts.map(({ state }) => state)).toEqual(['LAPSED', 'LAPSED']);
  await scene.become({ OFFERED: 1 });

  submissions.clear();
  scene.pass(90_000);
  await scene.become({ RETURNED: 1 });
  expect(await scene.returns()).toMatchObject([{ state: 'DONE', reason: 'EXPIRED' }]);
  expect(held('treasury', 'usd')).toBe('10.0000000000');
  await expectSound();
});

test('a parked return is tried again when a person says so', { timeout: 60_000 }, async () => {
  await scene.decide('usd', {});
  scene.fund('usd');
  const id = await scene.ask('one', 'usd');
  const registry = registryOf(scene.simnet);
  let isAway = true;
  scene.start({
    returnRules: { reclaimAfterMs: 0, triesMax: 2, backoffMsMin: 50, backoffMsMax: 100, triesPerAttemptMax: 3 },
    registry: {
      ...registry,
      instructionContext: async (...question) => {
        if (isAway) throw new PermanentError('REGISTRY_STATUS', 'Nobody knows that offer.');
        return await registry.instructionContext(...question);
      },
    },
  });
  await scene.become({ OFFERED: 1 });
  await scene.cancel(id);
  await eventually(
    async () => expect(await scene.returns()).toMatchObject([{ state: 'PARKED', trouble_code: 'REGISTRY_STATUS' }]),
    { deadlineMs: 30_000 },
  );
  isAway = false;

  await retryNow(scene.db, id, { triesMax: 6, nowMicros: systemClock.nowMicros() });
  await scene.become({ RETURNED: 1 });
  await expectSound();
});
