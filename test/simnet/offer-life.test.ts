/** The whole life of offers: each way to end one with each token, offers that go on as other contracts, and both versions of the standard. */
import { expect, test } from 'vitest';
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesRequest } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { field, formatFor, sketch, startNetwork, textMapOf, transactionsSeen } from './harness.ts';

const TREASURY = 'treasury';
const DAY_MS = 86_400_000;

const start = (instrument: string) => {
  const { network, clock } = startNetwork();
  network.tap({ instrument, owner: 'alice', amount: '10', generation: 'new' });
  network.tap({ instrument, owner: TREASURY, amount: '10', generation: 'new' });
  const offer = (sender: string, receiver: string, meta: Record<string, string> = {}) => {
    const { instructionCid } = network.transfer({
      instrument,
      sender,
      receiver,
      amount: '4',
      memo: 'm',
      meta,
      kind: 'offer',
      generation: 'new',
    });
    if (instructionCid === undefined) throw new Error('It is no offer.');
    return instructionCid;
  };
  const balances = () =>
    ['alice', TREASURY].map((owner) => network.balance({ instrument, owner }).replace('.0000000000', ''));
  const lastSeen = async (): Promise<Transaction | undefined> =>
    (await transactionsSeen(network.participant('participant1'), [network.party(TREASURY)])).at(-1);
  return { network, clock, offer, balances, lastSeen };
};

const created = (transaction: Transaction | undefined, entity: string) =>
  transaction?.events.flatMap(({ event }: Event) =>
    event?.$case === 'created' && event.value.templateId?.entityName === entity ? [event.value] : [],
  ) ?? [];

test.each([
  { instrument: 'amulet', end: 'accept', sender: 'alice', seen: ['6', '14'] },
  { instrument: 'amulet', end: 'reject', sender: 'alice', seen: ['10', '10'] },
  { instrument: 'amulet', end: 'withdraw', sender: 'alice', seen: ['10', '10'] },
  { instrument: 'amulet', end: 'expire', sender: TREASURY, seen: ['10', '10'] },
  { instrument: 'usd', end: 'accept', sender: TREASURY, seen: ['14', '6'] },
  { instrument: 'usd', end: 'reject', sender: TREASURY, seen: ['10', '10'] },
  { instrument: 'usd', end: 'withdraw', sender: TREASURY, seen: ['10', '10'] },
  { instrument: 'note', end: 'accept', sender: TREASURY, seen: ['14', '6'] },
  { instrument: 'note', end: 'reject', sender: 'alice', seen: ['10', '10'] },
  { instrument: 'note', end: 'withdraw', sender: 'alice', seen: ['10', '10'] },
  { instrument: 'note', end: 'expire', sender: 'alice', seen: ['10', '10'] },
] as const)('an offer of $instrument ends by $end', async ({ instrument, end, sender, seen }) => {
  const { network, clock, offer, balances } = start(instrument);
  const instructionCid = offer(sender, sender === TREASURY ? 'alice' : TREASURY);
  if (end === 'expire') await clock.advance(DAY_MS + 1);

  const { kind } = network[end]({ instructionCid, generation: 'new' });

  expect(kind).toBe(end === 'accept' ? 'completed' : 'failed');
  expect(balances()).toEqual(seen);
  expect(() => network.withdraw({ instructionCid })).toThrow();
});

test('an offer that its admin prints anew goes on as another contract that names the first', async () => {
  const { network, offer, balances, lastSeen } = start('note');
  const first = offer('alice', TREASURY);

  const second = network.evolve({ instructionCid: first });
  const seen = await lastSeen();
  const third = network.evolve({ instructionCid: second.instructionCid ?? '' });

  expect(second.kind).toBe('pending');
  expect(sketch(seen, network)).toEqual(['0-1 E* TransferInstruction_Update Ticket', '1 C Ticket']);
  for (const [transaction, cid] of [
    [seen, second.instructionCid],
    [await lastSeen(), third.instructionCid],
  ] as const) {
    const [ticket] = created(transaction, 'Ticket');
    expect(ticket?.contractId).toBe(cid);
    const view = ticket?.interfaceViews.find(({ interfaceId }) => interfaceId?.entityName === 'TransferInstruction');
    const original = field(view?.viewValue, 'originalInstructionCid');
    expect(original?.$case === 'optional' && original.value.value?.sum).toEqual({ $case: 'contractId', value: first });
  }
  expect(() => network.accept({ instructionCid: first })).toThrow();
  expect(network.accept({ instructionCid: third.instructionCid ?? '' }).kind).toBe('completed');
  expect(balances()).toEqual(['6', '14']);
});

test.each([
  { isSuccess: true, kind: 'completed', after: ['6', '14'] },
  { isSuccess: false, kind: 'failed', after: ['10', '10'] },
])('an accepted offer that waits for its admin ends by a choice of its own: success $isSuccess', async (each) => {
  const { network, offer, balances, lastSeen } = start('note');
  const first = offer('alice', TREASURY, { 'acme.example/workflow': 'desk' });

  const accepted = network.accept({ instructionCid: first });
  const waiting = created(await lastSeen(), 'Ticket')[0];
  const between = balances();
  const instructionCid = accepted.instructionCid ?? '';
  expect(() => network.accept({ instructionCid })).toThrow();
  const reported = network.reportOutcome({ instructionCid, isSuccess: each.isSuccess });
  const end = await lastSeen();

  expect(accepted.kind).toBe('pending');
  expect(between).toEqual(['10', '10']);
  const view = waiting?.interfaceViews[0]?.viewValue;
  const status = field(view, 'status');
  expect(status?.$case === 'variant' && status.value.constructor).toBe('TransferPendingInternalWorkflow');
  expect(reported.kind).toBe(each.kind);
  expect(balances()).toEqual(each.after);
  const root = end?.events[0]?.event;
  expect(root?.$case === 'exercised' && [root.value.choice, root.value.interfaceId]).toEqual([
    'Ticket_ReportOutcome',
    undefined,
  ]);
  const result = root?.$case === 'exercised' ? root.value.exerciseResult?.sum : undefined;
  expect(textMapOf(result, 'meta')?.get('splice.lfdecentralizedtrust.org/tx-kind')).toBe(
    each.isSuccess ? 'transfer' : undefined,
  );
});

const V2_INTERFACES = ['HoldingV2', 'TransferInstructionV2'];

test('holdings of the newer Canton Coin package have a view of each version, those of the older one of the first', async () => {
  const { network } = start('amulet');
  network.tap({ instrument: 'amulet', owner: TREASURY, amount: '1', generation: 'old' });
  const node = network.participant('participant1');
  const seen = await transactionsSeen(node, [network.party(TREASURY)], { interfaces: ['Holding', ...V2_INTERFACES] });

  const views = seen.flatMap((transaction) =>
    created(transaction, 'Amulet').map(({ interfaceViews }) =>
      interfaceViews.map(({ interfaceId, viewValue, viewStatus }) => ({
        module: interfaceId?.moduleName,
        status: viewStatus?.code,
        amount: field(viewValue, 'amount'),
        owner: field(viewValue, 'owner') ?? field(viewValue, 'account'),
      })),
    ),
  );

  const [newer, older] = views;
  expect(newer?.map(({ module }) => module)).toEqual(['Splice.Api.Token.HoldingV1', 'Splice.Api.Token.HoldingV2']);
  expect(older?.map(({ module }) => module)).toEqual(['Splice.Api.Token.HoldingV1']);
  expect(newer?.[0]?.amount).toEqual(newer?.[1]?.amount);
  const account = newer?.[1]?.owner;
  expect(account?.$case === 'record' && field(account.value, 'owner')).toMatchObject({
    value: { value: { sum: { $case: 'party', value: network.party(TREASURY) } } },
  });
});

test('a choice of the second version calls that of the first, and its event log tells both sides', async () => {
  const { network, offer, balances } = start('amulet');
  const instructionCid = offer('alice', TREASURY);
  const node = network.participant('participant1');
  const begin = node.ledgerEnd();

  network.accept({ instructionCid, standard: 'V2', generation: 'new' });
  const [seen] = await transactionsSeen(node, [network.party(TREASURY)], {
    after: begin,
    interfaces: ['Holding', 'TransferInstruction', ...V2_INTERFACES],
  });

  expect(sketch(seen, network).slice(0, 3)).toEqual([
    '0-13 E TransferInstruction_Accept AmuletTransferInstruction',
    '1-13 E* TransferInstruction_Accept AmuletTransferInstruction',
    '3-7 E* LockedAmulet_UnlockV2 LockedAmulet',
  ]);
  const [outer, inner] = seen?.events.flatMap(({ event }) => (event?.$case === 'exercised' ? [event.value] : [])) ?? [];
  expect(outer?.interfaceId?.moduleName).toBe('Splice.Api.Token.TransferInstructionV2');
  expect(inner?.interfaceId?.moduleName).toBe('Splice.Api.Token.TransferInstructionV1');
  expect(sketch(seen, network).filter((line) => line.includes('EventLog_HoldingsChange')).length).toBe(3);
  expect(balances()).toEqual(['6', '14']);
});

test('a filter for the second version alone shows its views alone', async () => {
  const { network } = start('amulet');
  const node = network.participant('participant1');
  const request = GetUpdatesRequest.fromPartial({
    beginExclusive: 0n,
    endInclusive: node.ledgerEnd(),
    updateFormat: formatFor([network.party(TREASURY)], { interfaces: ['HoldingV2'], wildcard: false }),
  });
  const modules = new Set<string | undefined>();
  for await (const { update } of node.api.getUpdates(request)) {
    for (const { event } of update?.$case === 'transaction' ? update.value.events : []) {
      if (event?.$case === 'created')
        for (const { interfaceId } of event.value.interfaceViews) modules.add(interfaceId?.moduleName);
    }
  }

  expect([...modules]).toEqual(['Splice.Api.Token.HoldingV2']);
});

test('nodes that do not know the second version refuse filters that name it', async () => {
  const { network } = startNetwork({ hasStandardV2: false });
  const node = network.participant('participant1');
  const treasury = network.party(TREASURY);

  await expect(transactionsSeen(node, [treasury], { interfaces: ['HoldingV2'] })).rejects.toMatchObject({
    code: 'PACKAGE_NAMES_NOT_FOUND',
  });
  expect((await transactionsSeen(node, [treasury])).length).toBeGreaterThan(0);
});

test.each(['old', 'new'] as const)(
  'the DSO removes dust, locked or not, in the form of the %s package',
  async (generation) => {
    const { network, offer, lastSeen } = start('amulet');
    network.tap({ instrument: 'amulet', owner: TREASURY, amount: '1', generation });
    const dust = holdingsOf(network.ledger.contracts, network.party(TREASURY), network.instrument('amulet')).at(-1);

    network.expireDust({ contractId: dust?.contractId ?? '', generation });
    const seen = await lastSeen();

    const root = seen?.events[0]?.event;
    expect(root?.$case === 'exercised' && root.value.choice).toBe(
      generation === 'old' ? 'Amulet_Expire' : 'Amulet_ExpireV2',
    );
    const result = root?.$case === 'exercised' ? root.value.exerciseResult?.sum : undefined;
    expect(textMapOf(result, 'meta')?.get('splice.lfdecentralizedtrust.org/tx-kind')).toBe('expire-dust');
    expect(network.balance({ instrument: 'amulet', owner: TREASURY })).toBe('10.0000000000');
    offer(TREASURY, 'alice');
    const locked = holdingsOf(network.ledger.contracts, network.party(TREASURY), network.instrument('amulet')).find(
      ({ isLocked }) => isLocked,
    );
    network.expireDust({ contractId: locked?.contractId ?? '', generation });
    expect(network.balance({ instrument: 'amulet', owner: TREASURY })).toBe('6.0000000000');
  },
);

test.each(['old', 'new'] as const)(
  'an offer whose lock was released returns nothing when it ends: %s package',
  async (generation) => {
    const { network, clock, offer, balances } = start('amulet');
    const instructionCid = offer(TREASURY, 'alice');
    const holdings = () => holdingsOf(network.ledger.contracts, network.party(TREASURY), network.instrument('amulet'));
    const locked = holdings().find(({ isLocked }) => isLocked)?.contractId ?? '';
    expect(() => network.releaseLock({ contractId: locked, generation })).toThrow();
    await clock.advance(DAY_MS + 1);

    network.releaseLock({ contractId: locked, generation });
    const ended = network.withdraw({ instructionCid, generation });

    expect(holdings().some(({ isLocked }) => isLocked)).toBe(false);
    expect(ended).toMatchObject({ kind: 'failed', senderChangeCids: [] });
    expect(balances()).toEqual(['10', '10']);
  },
);
