/**
 * Withdrawals by offer, for each kind of token: made as the policy and the registry have it, tracked to their end, and taken back where nobody accepts. What the treasury and the receiver hold on the
 * simulated network is the truth.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { eventually } from '../support/eventually.ts';
import { type Instrument, type OfferScene, startOfferScene } from '../support/offers.ts';

let scene: OfferScene;
beforeEach(async () => {
  scene = await startOfferScene('offers');
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

async function expectSound(): Promise<void> {
  expect(await checkBooks(scene.db)).toEqual([]);
  expect(await scene.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
}

describe.each<Instrument>(['amulet', 'usd', 'note'])(
  'a withdrawal of %s to a receiver who has to accept',
  (instrument) => {
    test('E12: an offer is made and accepted; the memo is the receiver’s, and our id travels beside it', async () => {
      await scene.decide(instrument, {});
      scene.fund(instrument);
      scene.start();
      const id = await scene.ask('one', instrument, '5', 'bob-memo');
      await scene.become({ OFFERED: 1 });
      expect(held('bob', instrument)).toBe('0.0000000000');

      scene.network.accept({ instructionCid: await offered() });
      await scene.become({ COMPLETED: 1 });

      expect(held('bob', instrument)).toBe('5.0000000000');
      const [row] = await scene.rows();
      const transfer = await scene.db
        .selectFrom('transfer')
        .selectAll()
        .where('id', '=', row?.transfer_id ?? '')
        .executeTakeFirstOrThrow();
      expect(transfer).toMatchObject({ kind: 'OFFER', memo: 'bob-memo', status: 'COMPLETED' });
      expect(transfer.transfer_object).toMatchObject({ meta: { values: { 'sluice.dev/withdrawal-id': id } } });
      expect(await scene.balance('CUSTOMER', instrument)).toBe('-5.0000000000');
      await expectSound();
    });

    test('E12, E21: a rejected offer is booked back once, less its fee', async () => {
      await scene.decide(instrument, { returnFee: '0.25' });
      scene.fund(instrument);
      scene.start();
      await scene.ask('one', instrument);
      await scene.become({ OFFERED: 1 });

      scene.network.reject({ instructionCid: await offered() });
      await scene.become({ RETURNED: 1 });

      expect(held('treasury', instrument)).toBe('10.0000000000');
      expect(await scene.balance('CUSTOMER', instrument)).toBe('-0.2500000000');
      expect(await scene.balance('FEES', instrument)).toBe('0.2500000000');
      expect(await scene.balance('WITHDRAWALS', instrument)).toBe('0.0000000000');
      expect(await scene.returns()).toEqual([]);
      await expectSound();
    });

    test('an offer that is cancelled is taken back', async () => {
      await scene.decide(instrument, {});
      scene.fund(instrument);
      scene.start();
      const id = await scene.ask('one', instrument);
      await scene.become({ OFFERED: 1 });
      const cid = await offered();

      expect(await scene.cancel(id)).toEqual({ kind: 'NOTED' });
      await scene.become({ RETURNED: 1 });

      expect(scene.offers()).not.toContain(cid);
      expect(held('treasury', instrument)).toBe('10.0000000000');
      expect(held('bob', instrument)).toBe('0.0000000000');
      expect(await scene.balance('CUSTOMER', instrument)).toBe('0.0000000000');
      expect(await scene.returns()).toMatchObject([{ reason: 'CANCELLED', state: 'DONE' }]);
      await expectSound();
    });
  },
);

test('E13: an offer that nobody accepts is reclaimed after its deadline', async () => {
  await scene.decide('usd', { validitySeconds: 60 });
  scene.fund('usd');
  scene.start();
  await scene.ask('one', 'usd', '8');
  await scene.become({ OFFERED: 1 });

  scene.pass(90_000);
  await scene.become({ RETURNED: 1 });

  expect(await scene.returns()).toMatchObject([{ reason: 'EXPIRED', state: 'DONE' }]);
  expect(held('treasury', 'usd')).toBe('10.0000000000');
  await expectSound();
});

test('what came back can be paid out again', async () => {
  await scene.decide('usd', {});
  scene.fund('usd');
  scene.start();
  await scene.ask('one', 'usd', '8');
  await scene.become({ OFFERED: 1 });
  scene.network.reject({ instructionCid: await offered() });
  await scene.become({ RETURNED: 1 });

  scene.network.preapprove({ instrument: 'usd', receiver: 'bob' });
  await scene.ask('two', 'usd', '9');
  await scene.become({ RETURNED: 1, COMPLETED: 1 });
  expect(held('bob', 'usd')).toBe('9.0000000000');
  await expectSound();
});

test('an instrument that is paid directly alone makes no offer: the withdrawal fails at once, since nothing was signed', async () => {
  await scene.decide('usd', { paysOffers: false });
  scene.fund('usd');
  scene.start();
  await scene.ask('one', 'usd');
  await scene.become({ FAILED: 1 });

  expect((await scene.rows())[0]).toMatchObject({ failure_code: 'RECEIVER_NOT_PREAPPROVED' });
  expect(await scene.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
  await expectSound();
});

test('an instrument that is paid by offers alone pays nobody directly', async () => {
  await scene.decide('usd', { paysDirect: false });
  scene.network.preapprove({ instrument: 'usd', receiver: 'bob' });
  scene.fund('usd');
  scene.start();
  await scene.ask('one', 'usd');
  await scene.become({ FAILED: 1 });

  expect((await scene.rows())[0]).toMatchObject({ failure_code: 'DIRECT_NOT_ALLOWED' });
  await expectSound();
});

test('an instrument that nobody decided about is paid directly, and makes no offer', async () => {
  scene.fund('amulet', 2);
  scene.start();
  await scene.ask('one', 'amulet');
  await scene.become({ FAILED: 1 });
  scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await scene.ask('two', 'amulet');
  await scene.become({ FAILED: 1, COMPLETED: 1 });
});
