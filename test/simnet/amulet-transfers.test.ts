/** Canton Coin as receiver and sender each see it, in both package generations. Node lists follow captures of real transactions. */
import { expect, test } from 'vitest';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import type { Network } from '../../src/simnet/network.ts';
import { sketch, startNetwork, transactionsSeen } from './harness.ts';

/** What the two sides see of what `act` does, both on the first participant. */
async function bothSides(
  network: Network,
  act: () => unknown,
): Promise<{ received: Transaction | undefined; sent: Transaction | undefined }> {
  const node = network.participant('participant1');
  const after = node.ledgerEnd();
  act();
  const [received] = await transactionsSeen(node, [network.party('treasury')], { after });
  const [sent] = await transactionsSeen(node, [network.party('alice')], { after });
  return { received, sent };
}

function fundedNetwork(): Network {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000', generation: 'old' });
  return network;
}

const direct = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '200', memo: 'm' } as const;

test('a direct transfer of the older package: the receiver sees the send and all below it, the nested transfer included', async () => {
  const network = fundedNetwork();

  const { received, sent } = await bothSides(network, () => network.transfer({ ...direct, generation: 'old' }));

  const below = [
    '4-12 E TransferPreapproval_Send TransferPreapproval',
    '5-12 E AmuletRules_Transfer AmuletRules',
    '8-8 E* Archive Amulet',
    '9 C ValidatorRewardCoupon',
    '10 C AppRewardCoupon',
    '11 C Amulet treasury',
    '12 C Amulet alice',
  ];
  expect(sketch(received, network)).toEqual(below);
  expect(sketch(sent, network)).toEqual(['0-12 E TransferFactory_Transfer ExternalPartyAmuletRules', ...below]);
});

test('a direct transfer of the newer package has no nested transfer and an event log entry for each side', async () => {
  const network = fundedNetwork();

  const { received, sent } = await bothSides(network, () => network.transfer({ ...direct, generation: 'new' }));

  const below = [
    '5-12 E TransferPreapproval_SendV2 TransferPreapproval',
    '8-8 E* Archive Amulet',
    '9 C Amulet treasury',
    '10 C Amulet alice',
    '11-11 E EventLog_HoldingsChange ExternalPartyConfigState',
    '12-12 E EventLog_HoldingsChange ExternalPartyConfigState',
  ];
  expect(sketch(received, network)).toEqual(below);
  expect(sketch(sent, network)).toEqual(['0-12 E TransferFactory_Transfer ExternalPartyAmuletRules', ...below]);
});

test('of an offer the receiver sees the instruction alone, the sender also the lock and the change', async () => {
  const network = fundedNetwork();

  const { received, sent } = await bothSides(network, () =>
    network.transfer({ ...direct, kind: 'offer', generation: 'new' }),
  );

  expect(sketch(received, network)).toEqual(['8 C AmuletTransferInstruction']);
  expect(sketch(sent, network)).toEqual([
    '0-8 E TransferFactory_Transfer ExternalPartyAmuletRules',
    '4-4 E* Archive Amulet',
    '5 C LockedAmulet alice',
    '6 C Amulet alice',
    '7-7 E EventLog_HoldingsChange ExternalPartyConfigState',
    '8 C AmuletTransferInstruction',
  ]);
});

test('an acceptance by the older package goes through the rules contract', async () => {
  const network = fundedNetwork();
  const { instructionCid = '' } = network.transfer({ ...direct, kind: 'offer', generation: 'old' });

  const { received, sent } = await bothSides(network, () => network.accept({ instructionCid, generation: 'old' }));

  expect(sketch(received, network)).toEqual([
    '0-11 E* TransferInstruction_Accept AmuletTransferInstruction',
    '2-4 E* LockedAmulet_Unlock LockedAmulet',
    '4 C Amulet alice',
    '5-11 E AmuletRules_Transfer AmuletRules',
    '8-8 E* Archive Amulet',
    '9 C ValidatorRewardCoupon',
    '10 C AppRewardCoupon',
    '11 C Amulet treasury',
  ]);
  expect(sketch(sent, network)).toEqual(sketch(received, network));
});

test('an acceptance by the newer package shows the unlocked holding as transient', async () => {
  const network = fundedNetwork();
  const { instructionCid = '' } = network.transfer({ ...direct, kind: 'offer', generation: 'new' });

  const { received, sent } = await bothSides(network, () => network.accept({ instructionCid, generation: 'new' }));

  expect(sketch(received, network)).toEqual([
    '0-12 E* TransferInstruction_Accept AmuletTransferInstruction',
    '2-6 E* LockedAmulet_UnlockV2 LockedAmulet',
    '3 C Amulet alice',
    '4 C AmuletEventLog',
    '5-5 E EventLog_HoldingsChange AmuletEventLog',
    '6-6 E* Archive AmuletEventLog',
    '9-9 E* Archive Amulet',
    '10 C Amulet treasury',
    '11-11 E EventLog_HoldingsChange ExternalPartyConfigState',
    '12-12 E EventLog_HoldingsChange ExternalPartyConfigState',
  ]);
  expect(sketch(sent, network)).toEqual(sketch(received, network));
  const created = (received?.events ?? []).flatMap(({ event }) => (event?.$case === 'created' ? [event.value] : []));
  expect(created.map(({ nodeId, acsDelta }) => [nodeId, acsDelta])).toEqual([
    [3, false],
    [4, false],
    [10, true],
  ]);
});

test.each(['reject', 'withdraw', 'expire'] as const)(
  '%s gives the funds back, and the receiver sees the subtree',
  async (end) => {
    const { network, clock } = startNetwork();
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000', generation: 'new' });
    const { instructionCid = '' } = network.transfer({ ...direct, kind: 'offer', generation: 'new' });
    if (end === 'expire') await clock.advance(25 * 3_600_000);

    const { received } = await bothSides(network, () => network[end]({ instructionCid, generation: 'new' }));

    const choice = { reject: 'Reject', withdraw: 'Withdraw', expire: 'Update' }[end];
    expect(sketch(received, network).slice(0, 3)).toEqual([
      `0-5 E* TransferInstruction_${choice} AmuletTransferInstruction`,
      '1-5 E* LockedAmulet_UnlockV2 LockedAmulet',
      '2 C Amulet alice',
    ]);
    expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('1000.0000000000');
  },
);

test('a merge archives all inputs and is seen by its owner alone', async () => {
  const { network } = startNetwork();
  for (const amount of ['1', '2', '3']) network.tap({ instrument: 'amulet', owner: 'alice', amount });

  const { received, sent } = await bothSides(network, () =>
    network.merge({ instrument: 'amulet', owner: 'alice', generation: 'old' }),
  );

  expect(received).toBeUndefined();
  expect(sketch(sent, network)).toEqual([
    '0-15 E TransferFactory_Transfer ExternalPartyAmuletRules',
    '5-15 E AmuletRules_Transfer AmuletRules',
    '8-8 E* Archive Amulet',
    '10-10 E* Archive Amulet',
    '12-12 E* Archive Amulet',
    '13 C ValidatorRewardCoupon',
    '14 C AppRewardCoupon',
    '15 C Amulet alice',
  ]);
});

test('the older package burns its fee, says so, and the receiver of an offer still gets the full amount', async () => {
  const { network } = startNetwork({ amuletCreateFee: '14' });
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });

  network.transfer({ ...direct, generation: 'old' });
  const { instructionCid = '' } = network.transfer({ ...direct, kind: 'offer', generation: 'old' });
  network.accept({ instructionCid, generation: 'old' });

  expect(network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('400.0000000000');
  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('572.0000000000');
});
