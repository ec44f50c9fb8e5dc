/** Tokens with template families of their own, wrappers and batches: what receiver and sender each see. */
import { expect, test } from 'vitest';
import { field, sketch, startNetwork, textMapOf, transactionsSeen } from './harness.ts';

const TREASURY = 'treasury';

async function seenBy(network: ReturnType<typeof startNetwork>['network'], act: () => unknown) {
  const node = network.participant('participant1');
  const after = node.ledgerEnd();
  act();
  const [received] = await transactionsSeen(node, [network.party(TREASURY)], { after });
  const [sent] = await transactionsSeen(node, [network.party('alice')], { after });
  return { received, sent };
}

test("an offer of a utility token shows the receiver the sender's locked holding beside the offer", async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'usd', owner: 'alice', amount: '100' });

  const { received, sent } = await seenBy(network, () =>
    network.transfer({
      instrument: 'usd',
      sender: 'alice',
      receiver: TREASURY,
      amount: '40',
      memo: 'm',
      kind: 'offer',
    }),
  );

  expect(sketch(received, network)).toEqual(['3 C Holding alice', '5 C TransferOffer']);
  expect(sketch(sent, network)).toEqual([
    '0-5 E TransferFactory_Transfer AllocationFactory',
    '2-2 E* Archive Holding',
    '3 C Holding alice',
    '4 C Holding alice',
    '5 C TransferOffer',
  ]);
  const created = received?.events[0]?.event?.$case === 'created' ? received.events[0].event.value : undefined;
  expect(created?.acsDelta).toBe(true);
  expect(field(created?.interfaceViews[0]?.viewValue, 'lock')).toMatchObject({
    $case: 'optional',
    value: { value: expect.anything() },
  });
});

test.each([
  ['old', 'TransferRule_Transfer'],
  ['new', 'TransferRule_TwoStepTransfer'],
] as const)(
  'acceptance in the %s form goes through %s, without any metadata in its result',
  async (generation, choice) => {
    const { network } = startNetwork();
    network.tap({ instrument: 'usd', owner: 'alice', amount: '100' });
    const offer = { instrument: 'usd', sender: 'alice', receiver: TREASURY, amount: '40', kind: 'offer' } as const;
    const { instructionCid = '' } = network.transfer({ ...offer, generation });

    const { received } = await seenBy(network, () => network.accept({ instructionCid, generation }));

    expect(sketch(received, network)).toEqual([
      '0-6 E* TransferInstruction_Accept TransferOffer',
      `2-5 E ${choice} TransferRule`,
      '4-4 E* Archive Holding',
      '5 C Holding treasury',
      '6 C ExecutedTransfer',
    ]);
    const accept = received?.events[0]?.event?.$case === 'exercised' ? received.events[0].event.value : undefined;
    expect(textMapOf(accept?.exerciseResult?.sum, 'meta')).toEqual(new Map());
  },
);

test("a direct transfer of a utility token reaches the receiver as the rule's choice, below the preapproval, which is a factory itself", async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'usd', owner: 'alice', amount: '100' });

  const { received } = await seenBy(network, () =>
    network.transfer({ instrument: 'usd', sender: 'alice', receiver: TREASURY, amount: '40', memo: 'm' }),
  );

  expect(sketch(received, network)).toEqual([
    '1-6 E TransferFactory_Transfer TransferPreapproval',
    '2-6 E TransferRule_DirectTransfer TransferRule',
    '4-4 E* Archive Holding',
    '5 C Holding treasury',
    '6 C Holding alice',
  ]);
});

test('a token of unknown templates says what happened in the metadata of its results', async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '100' });

  const { received, sent } = await seenBy(network, () =>
    network.transfer({ instrument: 'note', sender: 'alice', receiver: TREASURY, amount: '40', memo: 'm' }),
  );

  expect(sketch(received, network)).toEqual([
    '1-5 E StandingConsent_Deliver StandingConsent',
    '3-3 E* Archive Note',
    '4 C Note alice',
    '5 C Note treasury',
  ]);
  expect(sketch(sent, network)[0]).toBe('0-5 E TransferFactory_Transfer Desk');
  const deliver = received?.events[0]?.event?.$case === 'exercised' ? received.events[0].event.value : undefined;
  expect(textMapOf(deliver?.exerciseResult?.sum, 'meta')).toEqual(
    new Map([
      ['splice.lfdecentralizedtrust.org/reason', 'm'],
      ['splice.lfdecentralizedtrust.org/sender', network.party('alice')],
      ['splice.lfdecentralizedtrust.org/tx-kind', 'transfer'],
    ]),
  );
});

test('a proxy puts the standard choice below one of its own', async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'note', owner: 'alice', amount: '100' });

  const { sent } = await seenBy(network, () =>
    network.transfer({ instrument: 'note', sender: 'alice', receiver: 'bob', amount: '40', proxy: true }),
  );
  const offer = network.transfer({
    instrument: 'note',
    sender: 'alice',
    receiver: TREASURY,
    amount: '1',
    kind: 'offer',
  });
  const { received } = await seenBy(network, () =>
    network.accept({ instructionCid: offer.instructionCid ?? '', proxy: true }),
  );

  // The proxy itself is created first, in a transaction of its own that the delegate observes.
  expect(sketch(sent, network)).toEqual(['0 C DelegateProxy']);
  expect(sketch(received, network)).toEqual(['0 C DelegateProxy']);
  const node = network.participant('participant1');
  const last = (await transactionsSeen(node, [network.party(TREASURY)])).at(-1);
  expect(sketch(last, network).slice(0, 2)).toEqual([
    '0-4 E DelegateProxy_TransferInstruction_Accept DelegateProxy',
    '1-4 E* TransferInstruction_Accept Ticket',
  ]);
});

test('two transfers of one transaction are two roots with memos of their own, spending different holdings', async () => {
  const { network } = startNetwork();
  for (const amount of ['10', '20']) network.tap({ instrument: 'amulet', owner: 'alice', amount });

  const transfer = { operation: 'transfer', instrument: 'amulet', sender: 'alice', receiver: TREASURY } as const;
  const { received } = await seenBy(network, () =>
    network.batch({
      generation: 'new',
      operations: [
        { ...transfer, amount: '20', memo: 'one' },
        { ...transfer, amount: '5', memo: 'two' },
      ],
    }),
  );

  const sends = received?.events.flatMap(({ event }) =>
    event?.$case === 'exercised' && event.value.choice === 'TransferPreapproval_SendV2' ? [event.value] : [],
  );
  expect(
    sends?.map(({ exerciseResult }) =>
      textMapOf(exerciseResult?.sum, 'meta')?.get('splice.lfdecentralizedtrust.org/reason'),
    ),
  ).toEqual(['one', 'two']);
  expect(network.balance({ instrument: 'amulet', owner: TREASURY })).toBe('25.0000000000');
  expect(network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('5.0000000000');
});

test('a batch below one choice shows the receiver only the parts that concern it', async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  network.tap({ instrument: 'note', owner: 'alice', amount: '10' });

  const { received, sent } = await seenBy(network, () =>
    network.batch({
      wrapper: 'alice',
      generation: 'new',
      operations: [
        { operation: 'transfer', instrument: 'amulet', sender: 'alice', receiver: TREASURY, amount: '10', memo: 'one' },
        { operation: 'transfer', instrument: 'note', sender: 'alice', receiver: TREASURY, amount: '10', memo: 'two' },
      ],
    }),
  );

  expect(sketch(sent, network).slice(0, 2)).toEqual([
    '0 C BatchingUtilityV2',
    '1-18 E* BatchingUtilityV2_ExecuteBatch BatchingUtilityV2',
  ]);
  expect(sketch(received, network)).toEqual([
    '7-13 E TransferPreapproval_SendV2 TransferPreapproval',
    '10-10 E* Archive Amulet',
    '11 C Amulet treasury',
    '12-12 E EventLog_HoldingsChange ExternalPartyConfigState',
    '13-13 E EventLog_HoldingsChange ExternalPartyConfigState',
    '15-18 E StandingConsent_Deliver StandingConsent',
    '17-17 E* Archive Note',
    '18 C Note treasury',
  ]);
});
