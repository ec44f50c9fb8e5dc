/** Receivers who answer offers by themselves, and offers that end otherwise than the standard allows: in process, and as the control endpoint is told. */
import { expect, test } from 'vitest';
import { createReceivers } from '../../src/simnet/receivers.ts';
import { createControlClient } from '../../src/simnet/wire/control-client.ts';
import { eventually } from '../support/eventually.ts';
import { startTestNetwork } from '../support/network.ts';
import { silentLogger, startNetwork } from './harness.ts';

const DAY_MS = 86_400_000;

function start() {
  const { network, clock } = startNetwork();
  const receivers = createReceivers({ network, clock, logger: silentLogger });
  const offer = (receiver: string, instrument = 'usd') => {
    network.tap({ instrument, owner: 'treasury', amount: '1' });
    const { instructionCid = '' } = network.transfer({ instrument, sender: 'treasury', receiver, amount: '1' });
    return instructionCid;
  };
  const held = (owner: string, instrument = 'usd') => Number(network.balance({ instrument, owner }));
  return { network, clock, receivers, offer, held };
}

test('one accepts, one rejects, one lets it lie, and who has no habit does nothing', () => {
  const { receivers, offer, held } = start();
  receivers.set({ party: 'alice', does: 'accept' });
  receivers.set({ party: 'bob', does: 'reject' });
  receivers.set({ party: 'carol', does: 'leave' });
  for (const receiver of ['alice', 'bob', 'carol', 'dave']) offer(receiver);

  expect(receivers.answerOnce()).toBe(2);

  expect(['alice', 'bob', 'carol', 'dave'].map((owner) => held(owner))).toEqual([1, 0, 0, 0]);
  expect(held('treasury')).toBe(3);
  expect(receivers.answerOnce()).toBe(0);
});

test('one who takes his time accepts later, and too late is refused once', async () => {
  const { clock, receivers, offer, held } = start();
  receivers.set({ party: 'alice', does: 'accept', afterMs: 1_000 });
  receivers.set({ party: 'bob', does: 'accept', afterMs: DAY_MS + 1 });
  offer('alice', 'amulet');
  offer('bob', 'amulet');

  expect(receivers.answerOnce()).toBe(0);
  await clock.advance(1_000);
  expect(receivers.answerOnce()).toBe(1);
  await clock.advance(DAY_MS);
  expect(receivers.answerOnce()).toBe(0);

  expect([held('alice', 'amulet'), held('bob', 'amulet')]).toEqual([1, 0]);
});

test.each(['amulet', 'usd', 'note'])('E14: an offer of %s is archived with or without what it locks', (instrument) => {
  const { network, offer, held } = start();

  network.archiveOffer({ instructionCid: offer('alice', instrument) });
  expect(held('treasury', instrument)).toBe(1);
  network.archiveOffer({ instructionCid: offer('alice', instrument), alsoLocked: true });
  expect(held('treasury', instrument)).toBe(1);
  expect(held('alice', instrument)).toBe(0);
});

test('the control endpoint sets habits and archives offers', async () => {
  const simnet = await startTestNetwork('receivers');
  try {
    const { network, controlUrl } = simnet;
    const control = createControlClient({ url: controlUrl, fetch });
    network.tap({ instrument: 'usd', owner: 'treasury', amount: '5' });
    const offer = () =>
      network.transfer({ instrument: 'usd', sender: 'treasury', receiver: 'bob', amount: '1' }).instructionCid ?? '';

    const archived = offer();
    await control.perform('archive-offer', { instructionCid: archived });
    expect(network.ledger.contracts.find(archived)?.isActive).toBe(false);
    await control.perform('receiver', { party: 'bob', does: 'accept' });
    offer();

    await eventually(() => expect(Number(network.balance({ instrument: 'usd', owner: 'bob' }))).toBe(1));
    await expect(control.perform('receiver', { party: 'nobody', does: 'accept' })).rejects.toMatchObject({
      code: 'SIMNET_UNKNOWN_PARTY',
    });
  } finally {
    await simnet.stop();
  }
});
