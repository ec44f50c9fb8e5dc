/**
 * The flows of the guide, end to end: asked for by GraphQL over HTTP, paid by every loop of a Sluice through gRPC and the registries' HTTP, and judged by what the simulated network's own ledger says
 * was paid. Once for a token that moves directly (Canton Coin), once for one that is offered.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { eventually } from '../support/eventually.ts';
import { rounds } from '../support/tier.ts';
import { startWithdrawalScene, type WithdrawalScene } from '../support/withdrawal-scene.ts';

let scene: WithdrawalScene;

beforeAll(async () => {
  scene = await startWithdrawalScene();
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
});

afterAll(async () => {
  await scene.close();
});

/** What `owner` has more of `instrument` than when this was called. */
function gain(instrument: string, owner: string): () => string {
  const before = parseAmount(scene.balance(instrument, owner));
  return () => formatAmount(parseAmount(scene.balance(instrument, owner)) - before);
}

beforeEach(() => {
  scene.simnet.network.participant('participant1').faults.submissions.clear();
});

const checkOf = (report: { checks: { kind: string }[] }, kind: string) =>
  report.checks.find((check) => check.kind === kind);

describe('a direct token', () => {
  test('success: looked ahead at, asked for, paid once, completed by what the ledger shows', async () => {
    const paid = gain('amulet', 'bob');
    await scene.fund('amulet', ['10', '20']);

    const ahead = await scene.preflight({ instrument: 'amulet', receiver: 'bob', amount: '12.5' });
    const created = await scene.create({ key: 'direct', instrument: 'amulet', receiver: 'bob', amount: '12.5' });
    const done = await scene.become('direct', 'COMPLETED');

    expect(ahead).toMatchObject({ outlook: 'READY', transferKind: 'DIRECT', preapproval: { outlastsTarget: true } });
    for (const kind of ['REQUEST', 'LEDGER', 'RECEIVER', 'TRANSFER_KIND', 'PREAPPROVAL', 'FUNDS']) {
      expect(checkOf(ahead, kind), kind).toMatchObject({ outcome: 'PASSED' });
    }
    expect(created).toMatchObject({ replayed: false, withdrawal: { isFinal: false } });
    expect(done).toMatchObject({ isFinal: true, transfer: { kind: 'DIRECT', status: 'COMPLETED' } });
    expect(done.updateId).not.toBeNull();
    expect(paid()).toBe('12.5000000000');
    const again = await scene.create({ key: 'direct', instrument: 'amulet', receiver: 'bob', amount: '12.5' });
    expect(again).toMatchObject({ replayed: true, withdrawal: { state: 'COMPLETED' } });
    await scene.settled();
    expect(paid()).toBe('12.5000000000');
  });

  test('no preapproval: said before, and failed at once since nothing was signed; the customer has his money back', async () => {
    await scene.fund('amulet', ['10']);

    const ahead = await scene.preflight({ instrument: 'amulet', receiver: 'dave', amount: '5' });
    await scene.create({ key: 'no-preapproval', instrument: 'amulet', receiver: 'dave', amount: '5', account: 'erin' });
    const failed = await scene.become('no-preapproval', 'FAILED');

    expect(ahead).toMatchObject({ outlook: 'REFUSED', transferKind: 'OFFER', preapproval: null });
    expect(checkOf(ahead, 'TRANSFER_KIND')).toMatchObject({ code: 'RECEIVER_NOT_PREAPPROVED' });
    expect(failed).toMatchObject({ failure: { code: 'RECEIVER_NOT_PREAPPROVED' }, definiteFailureProof: null });
    expect(scene.balance('amulet', 'dave')).toBe('0.0000000000');
    const { accounts } = await scene.ask('{ accounts(first: 100) { nodes { customer balances { amount } } } }');
    const erin = accounts.nodes.find(({ customer }: { customer: string }) => customer === 'erin');
    expect(erin.balances.every(({ amount }: { amount: string }) => amount === '0.0000000000')).toBe(true);
    await scene.settled();
  });

  test('an unknown receiver: nobody hosts it, and it is said before', async () => {
    const nobody = `nobody::1220${'ab'.repeat(32)}`;
    const ahead = await scene.preflight({ instrument: 'amulet', receiver: nobody, amount: '5' });

    expect(ahead.outlook).toBe('REFUSED');
    expect(checkOf(ahead, 'RECEIVER')).toMatchObject({ outcome: 'REFUSED', code: 'RECEIVER_UNREACHABLE' });
  });

  test('E3: two submissions for one request, of which one loses: paid once, whichever it was', async () => {
    const paid = gain('amulet', 'bob');
    await scene.fund('amulet', ['30']);
    // Every submission reaches the network twice, and half of the answers are lost, so that it is tried again as well.
    const { submissions } = scene.simnet.network.participant('participant1').faults;
    submissions.set({ duplicateExecutes: { share: 1 }, loseExecuteAnswers: { share: 0.5 } });

    for (const key of ['twice-1', 'twice-2', 'twice-3']) {
      await scene.create({ key, instrument: 'amulet', receiver: 'bob', amount: '1.5' });
    }
    for (const key of ['twice-1', 'twice-2', 'twice-3']) await scene.become(key, 'COMPLETED');

    await scene.settled();
    expect(paid()).toBe('4.5000000000');
  });

  test('E7: no funds: it waits and says so, and is paid when there are some', async () => {
    const paid = gain('amulet', 'bob');
    const [{ free }] = (await scene.preflight({ instrument: 'amulet', receiver: 'bob', amount: '1' })).funds;
    const amount = formatAmount(parseAmount(free) + parseAmount('100'));

    const ahead = await scene.preflight({ instrument: 'amulet', receiver: 'bob', amount });
    await scene.create({ key: 'no-funds', instrument: 'amulet', receiver: 'bob', amount });
    const waiting = await scene.become('no-funds', 'QUEUED');
    await scene.fund('amulet', ['100.0000000001']);
    await scene.become('no-funds', 'COMPLETED');

    expect(ahead).toMatchObject({ outlook: 'WAITS', funds: [{ state: 'TOO_LITTLE' }] });
    expect(checkOf(ahead, 'FUNDS')).toMatchObject({ outcome: 'WAITS', code: 'FUNDS_TOO_LITTLE' });
    expect(waiting.waitsFor).toBe('FUNDS');
    await scene.settled();
    expect(paid()).toBe(amount);
  });

  test('E10: a burst: many at once, each paid exactly once', { timeout: 90_000 }, async () => {
    const paid = gain('amulet', 'bob');
    await scene.fund('amulet', ['20', '20', '20', '20', '20']);
    const keys = Array.from({ length: rounds(10, 25) }, (_, index) => `burst-${index}`);

    await Promise.all(
      keys.map(async (key, index) => {
        const created = await scene.create({ key, instrument: 'amulet', receiver: 'bob', amount: `1.0${index + 10}` });
        expect(created.replayed).toBe(false);
      }),
    );
    for (const key of keys) await scene.become(key, 'COMPLETED', 60_000);

    await scene.settled();
    const sum = keys.reduce((total, _key, index) => total + parseAmount(`1.0${index + 10}`), 0n);
    expect(paid()).toBe(formatAmount(sum));
  });
});

describe('only dust', () => {
  test('E7: what no single transaction reaches is merged first, and then paid', { timeout: 90_000 }, async () => {
    const paid = gain('amulet', 'carol');
    scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'carol' });
    // All that was left goes out, so that nothing but dust is there.
    const [{ free }] = (await scene.preflight({ instrument: 'amulet', receiver: 'carol', amount: '1' })).funds;
    if (parseAmount(free) > 0n) {
      await scene.create({ key: 'empty', instrument: 'amulet', receiver: 'carol', amount: free });
      await scene.become('empty', 'COMPLETED', 60_000);
    }
    const dust = Array.from({ length: 130 }, () => '0.1');
    await scene.fund('amulet', dust);

    const ahead = await scene.preflight({ instrument: 'amulet', receiver: 'carol', amount: '12.5' });
    await scene.create({ key: 'dust', instrument: 'amulet', receiver: 'carol', amount: '12.5' });
    await scene.become('dust', 'COMPLETED', 80_000);

    // A hundred of them are ten, which is less.
    expect(ahead).toMatchObject({ outlook: 'WAITS', funds: [{ state: 'WAIT' }] });
    await scene.settled();
    expect(paid()).toBe(formatAmount(parseAmount(free) + parseAmount('12.5')));
    const merges = await scene.database.db
      .selectFrom('transfer')
      .select('id')
      .where('kind', '=', 'MERGE')
      .where('direction', '=', 'OUT')
      .execute();
    expect(merges.length + (await selfTransfers())).toBeGreaterThan(0);
  });

  async function selfTransfers(): Promise<number> {
    const rows = await scene.database.db.selectFrom('self_transfer').selectAll().execute();
    return rows.length;
  }
});

const OFFERED = [
  ['usd', 'UTILITY_REGISTRY'],
  ['note', 'OTHER'],
] as const;

describe.each(OFFERED)('an offer token: %s', (instrument, implementation) => {
  const offer = async (): Promise<string> =>
    await eventually(
      () => {
        const [only, ...others] = scene.offers();
        expect([only === undefined, others]).toEqual([false, []]);
        return only ?? '';
      },
      { deadlineMs: 20_000 },
    );
  const balanceOf = async (customer: string): Promise<string> => {
    const { accounts } = await scene.ask(
      '{ accounts(first: 100) { nodes { customer balances { amount instrument { instrumentId } } } } }',
    );
    const found = accounts.nodes.find((each: { customer: string }) => each.customer === customer);
    const { id } = scene.simnet.network.instrument(instrument);
    const balance = found?.balances.find(
      (each: { instrument: { instrumentId: string } }) => each.instrument.instrumentId === id,
    );
    return balance?.amount ?? '0.0000000000';
  };

  beforeAll(async () => {
    await scene.decide(instrument, { paysOffers: true, offerValiditySeconds: 600 }, implementation);
    await scene.fund(instrument, ['50', '50', '50']);
  });

  test('no preapproval, accepted: offered, and completed when the receiver has accepted', async () => {
    const paid = gain(instrument, 'bob');
    const key = `${instrument}-accepted`;

    const ahead = await scene.preflight({ instrument, receiver: 'bob', amount: '7' });
    await scene.create({ key, instrument, receiver: 'bob', amount: '7', memo: 'bob-7' });
    await scene.become(key, 'OFFERED');
    expect(paid()).toBe('0.0000000000');
    scene.simnet.network.accept({ instructionCid: await offer() });
    const done = await scene.become(key, 'COMPLETED');

    expect(ahead).toMatchObject({ outlook: 'READY', transferKind: 'OFFER' });
    expect(done).toMatchObject({ isFinal: true, transfer: { kind: 'OFFER', status: 'COMPLETED' } });
    await scene.settled();
    expect(paid()).toBe('7.0000000000');
  });

  test('E12: rejected: back with us, and with the customer, less the fee, once', async () => {
    await scene.decide(instrument, { returnFee: '0.25' });
    const key = `${instrument}-rejected`;
    const treasury = scene.balance(instrument, 'treasury');

    await scene.create({ key, instrument, receiver: 'bob', amount: '5', account: key });
    await scene.become(key, 'OFFERED');
    expect(await balanceOf(key)).toBe('-5.0000000000');
    scene.simnet.network.reject({ instructionCid: await offer() });
    await scene.become(key, 'RETURNED');

    await scene.settled();
    expect(scene.balance(instrument, 'treasury')).toBe(treasury);
    expect(await balanceOf(key)).toBe('-0.2500000000');
    await scene.decide(instrument, { returnFee: '0' });
  });

  test('an outstanding offer that is cancelled is taken back', async () => {
    const key = `${instrument}-cancelled`;
    await scene.create({ key, instrument, receiver: 'bob', amount: '5', account: key });
    await scene.become(key, 'OFFERED');

    const { cancelWithdrawal } = await scene.ask(
      `mutation ($key: String!) { cancelWithdrawal(input: { idempotencyKey: $key }) {
        ... on CancelWithdrawalPayload { withdrawal { state isCancelRequested } } ... on Error { code } } }`,
      { key },
    );
    await scene.become(key, 'RETURNED');

    expect(cancelWithdrawal.withdrawal).toEqual({ state: 'OFFERED', isCancelRequested: true });
    await scene.settled();
    expect(scene.offers()).toEqual([]);
    expect(await balanceOf(key)).toBe('0.0000000000');
  });

  test('E3: two submissions for one request, of which one loses: one offer, accepted once', async () => {
    const paid = gain(instrument, 'bob');
    const { submissions } = scene.simnet.network.participant('participant1').faults;
    submissions.set({ duplicateExecutes: { share: 1 }, loseExecuteAnswers: { share: 0.5 } });
    const key = `${instrument}-twice`;

    await scene.create({ key, instrument, receiver: 'bob', amount: '2' });
    await scene.become(key, 'OFFERED');
    scene.simnet.network.accept({ instructionCid: await offer() });
    await scene.become(key, 'COMPLETED');

    await scene.settled();
    expect(scene.offers()).toEqual([]);
    expect(paid()).toBe('2.0000000000');
  });

  test('E10: a burst of offers, each made once and accepted once', { timeout: 90_000 }, async () => {
    const paid = gain(instrument, 'bob');
    const keys = Array.from({ length: 8 }, (_, index) => `${instrument}-burst-${index}`);
    await Promise.all(keys.map(async (key) => await scene.create({ key, instrument, receiver: 'bob', amount: '1.5' })));
    const accepted = new Set<string>();
    await eventually(
      () => {
        for (const instructionCid of scene.offers()) {
          accepted.add(instructionCid);
          scene.simnet.network.accept({ instructionCid });
        }
        expect(accepted.size).toBe(keys.length);
      },
      { deadlineMs: 70_000, intervalMs: 200 },
    );
    for (const key of keys) await scene.become(key, 'COMPLETED', 60_000);

    await scene.settled();
    expect(paid()).toBe('12.0000000000');
  });

  test('E7: no funds: it waits, and is offered when there are some', async () => {
    const paid = gain(instrument, 'bob');
    const [{ free }] = (await scene.preflight({ instrument, receiver: 'bob', amount: '1' })).funds;
    const amount = formatAmount(parseAmount(free) + parseAmount('20'));
    const key = `${instrument}-no-funds`;
    await scene.create({ key, instrument, receiver: 'bob', amount });
    expect((await scene.become(key, 'QUEUED')).waitsFor).toBe('FUNDS');

    await scene.fund(instrument, ['20']);
    await scene.become(key, 'OFFERED');
    scene.simnet.network.accept({ instructionCid: await offer() });
    await scene.become(key, 'COMPLETED');
    await scene.settled();
    expect(paid()).toBe(amount);
  });

  test('E13: expired and reclaimed: nobody accepted, and it is back with the customer', async () => {
    await scene.fund(instrument, ['30']);
    const key = `${instrument}-expired`;
    const treasury = scene.balance(instrument, 'treasury');
    await scene.create({ key, instrument, receiver: 'bob', amount: '5', account: key });
    await scene.become(key, 'OFFERED');

    scene.pass(700_000);
    await scene.become(key, 'RETURNED', 60_000);

    await scene.settled();
    expect(scene.offers()).toEqual([]);
    expect(scene.balance(instrument, 'treasury')).toBe(treasury);
    expect(await balanceOf(key)).toBe('0.0000000000');
  });
});
