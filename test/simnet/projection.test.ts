/** What a reader gets depends on who asks, for what, and on which participant. */
import { expect, test } from 'vitest';
import type { CreatedEvent, ExercisedEvent } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { TransactionShape, UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import { GetUpdatesRequest } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { field, sketch, startNetwork, transactionsSeen } from './harness.ts';

const created = (transaction: Transaction | undefined): CreatedEvent[] =>
  (transaction?.events ?? []).flatMap(({ event }) => (event?.$case === 'created' ? [event.value] : []));
const exercised = (transaction: Transaction | undefined): ExercisedEvent[] =>
  (transaction?.events ?? []).flatMap(({ event }) => (event?.$case === 'exercised' ? [event.value] : []));

/** Alice has paid the treasury; positions before that on both participants. */
function paidNetwork() {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000', generation: 'old' });
  const first = network.participant('participant1');
  const second = network.participant('participant2');
  const before = { first: first.ledgerEnd(), second: second.ledgerEnd() };
  const paid = network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '200',
    memo: 'm',
    generation: 'old',
    commandId: 'my-command',
    workflowId: 'my-workflow',
    externalTransactionHash: Uint8Array.from([1, 2, 3]),
  });
  return { network, first, second, before, paid };
}

test('the same update has the same id, record time and contracts on both participants, at offsets and node ids of their own', async () => {
  const { network, first, second, before, paid } = paidNetwork();
  const treasury = [network.party('treasury')];

  const [one] = await transactionsSeen(first, treasury, { after: before.first });
  const [two] = await transactionsSeen(second, treasury, { after: before.second });

  expect(two?.updateId).toBe(one?.updateId);
  expect(two?.recordTime).toEqual(one?.recordTime);
  expect(created(two).map(({ contractId }) => contractId)).toEqual(created(one).map(({ contractId }) => contractId));
  expect([one?.offset, two?.offset]).toEqual([paid.offsets['participant1'], paid.offsets['participant2']]);
  expect(two?.offset).toBeGreaterThan(1_000n);
  expect(created(two).map(({ nodeId }) => nodeId)).not.toEqual(created(one).map(({ nodeId }) => nodeId));
  // Both numberings agree on what lies inside what.
  for (const transaction of [one, two]) {
    const send = exercised(transaction).find(({ choice }) => choice === 'TransferPreapproval_Send');
    const inside = created(transaction).filter(
      ({ nodeId }) => nodeId > (send?.nodeId ?? 0) && nodeId <= (send?.lastDescendantNodeId ?? 0),
    );
    expect(inside.length).toBe(created(transaction).length);
  }
});

test('a participant that hosts no witness has no trace of an update', async () => {
  const { network } = startNetwork();
  const second = network.participant('participant2');
  const end = second.ledgerEnd();

  const tapped = network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });

  expect(second.ledgerEnd()).toBe(end);
  expect(Object.keys(tapped.offsets)).toEqual(['participant1']);
});

test('command id, workflow id and traffic cost are for the submitter alone; the signed hash is for all', async () => {
  const { network, first, second, before } = paidNetwork();

  const [bySender] = await transactionsSeen(first, [network.party('alice')], { after: before.first });
  const [byReceiver] = await transactionsSeen(first, [network.party('treasury')], { after: before.first });
  const [elsewhere] = await transactionsSeen(second, [network.party('treasury')], { after: before.second });

  expect([bySender?.commandId, byReceiver?.commandId, elsewhere?.commandId]).toEqual(['my-command', '', '']);
  expect([bySender?.workflowId, byReceiver?.workflowId]).toEqual(['my-workflow', '']);
  expect(bySender?.paidTrafficCost).toBeGreaterThan(0n);
  expect(elsewhere?.paidTrafficCost).toBeUndefined();
  expect(elsewhere?.externalTransactionHash).toEqual(Uint8Array.from([1, 2, 3]));
});

test('ACS_DELTA shows stakeholders their creates and archives, no exercise and nothing transient', async () => {
  const { network } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });
  const { instructionCid = '' } = network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '200',
    kind: 'offer',
    generation: 'new',
  });
  const node = network.participant('participant1');
  const after = node.ledgerEnd();
  network.accept({ instructionCid, generation: 'new' });

  const shape = 'acsDelta';
  const [receiver] = await transactionsSeen(node, [network.party('treasury')], { after, shape });
  const [sender] = await transactionsSeen(node, [network.party('alice')], { after, shape });

  expect(sketch(receiver, network)).toEqual(['0 A AmuletTransferInstruction', '10 C Amulet treasury']);
  expect(sketch(sender, network)).toEqual(['0 A AmuletTransferInstruction', '2 A LockedAmulet']);
  expect(created(receiver)[0]?.acsDelta).toBe(true);
});

test('witnesses are the parties asked for, and the active-contract flag speaks for them', async () => {
  const { network, first, before } = paidNetwork();
  const [alice, treasury] = [network.party('alice'), network.party('treasury')];

  const [one] = await transactionsSeen(first, [treasury], { after: before.first });
  const [both] = await transactionsSeen(first, [treasury, alice], { after: before.first });

  const send = (transaction: Transaction | undefined) =>
    exercised(transaction).find(({ choice }) => choice === 'TransferPreapproval_Send');
  expect(send(one)?.witnessParties).toEqual([treasury]);
  expect([...(send(both)?.witnessParties ?? [])].sort()).toEqual([alice, treasury].sort());
  const change = (transaction: Transaction | undefined) => created(transaction).at(-1);
  expect(change(one)?.acsDelta).toBe(false);
  expect(change(both)?.acsDelta).toBe(true);
  const archive = (transaction: Transaction | undefined) => exercised(transaction).find(({ consuming }) => consuming);
  expect([archive(one)?.acsDelta, archive(both)?.acsDelta]).toEqual([false, true]);
  expect(exercised(one)[0]?.actingParties).toEqual([alice]);
});

test('views and implemented interfaces are there only for interfaces asked for, blobs only if asked for', async () => {
  const { network, first, before } = paidNetwork();
  const treasury = [network.party('treasury')];

  const [plain] = await transactionsSeen(first, treasury, { after: before.first, interfaces: [] });
  const [viewed] = await transactionsSeen(first, treasury, {
    after: before.first,
    interfaces: ['Holding'],
    blob: true,
  });

  expect(created(plain).flatMap(({ interfaceViews }) => interfaceViews)).toEqual([]);
  expect(exercised(plain).flatMap(({ implementedInterfaces }) => implementedInterfaces)).toEqual([]);
  expect(created(plain).every(({ createdEventBlob }) => createdEventBlob.length === 0)).toBe(true);
  const holding = created(viewed).find(({ templateId }) => templateId?.entityName === 'Amulet');
  expect(
    holding?.interfaceViews.map(({ interfaceId, viewStatus }) => [interfaceId?.entityName, viewStatus?.code]),
  ).toEqual([['Holding', 0]]);
  expect(holding?.createdEventBlob.length).toBeGreaterThan(100);
  const archive = exercised(viewed).find(({ consuming }) => consuming);
  expect(archive?.implementedInterfaces.map(({ entityName }) => entityName)).toEqual(['Holding']);
});

test('an interface filter without wildcard keeps what implements it, exercises included', async () => {
  const { network, first, before } = paidNetwork();

  const [transaction] = await transactionsSeen(first, [network.party('treasury')], {
    after: before.first,
    wildcard: false,
    interfaces: ['Holding'],
  });

  expect(sketch(transaction, network)).toEqual(['8-8 E* Archive Amulet', '11 C Amulet treasury', '12 C Amulet alice']);
});

test("template filters match by package name or by one version's id, for one party or for any", async () => {
  const { network, first, before } = paidNetwork();
  const seen = async (packageId: string): Promise<number> => {
    const templateFilter = { templateId: { packageId, moduleName: 'Splice.Amulet', entityName: 'Amulet' } };
    const updateFormat = UpdateFormat.fromPartial({
      includeTransactions: {
        transactionShape: TransactionShape.TRANSACTION_SHAPE_ACS_DELTA,
        eventFormat: {
          filtersForAnyParty: {
            cumulative: [{ identifierFilter: { $case: 'templateFilter', value: templateFilter } }],
          },
        },
      },
    });
    let count = 0;
    const request = GetUpdatesRequest.fromPartial({
      beginExclusive: before.first,
      endInclusive: first.ledgerEnd(),
      updateFormat,
    });
    for await (const { update } of first.api.getUpdates(request))
      count += update?.$case === 'transaction' ? update.value.events.length : 0;
    return count;
  };
  const newer = network.ledger.template(new Set())('splice-amulet', 'Splice.Amulet', 'Amulet').templateId.packageId;

  expect(await seen('#splice-amulet')).toBe(3);
  expect(await seen('6e9fc50fb94e56751b49f09ba2dc84da53a9d7cff08115ebb4f6b7a12d0c990c')).toBe(3);
  expect(await seen(newer)).toBe(0);
});

test('labels and type ids come only when verbose, trailing None fields never', async () => {
  const { network, first, before } = paidNetwork();
  const treasury = [network.party('treasury')];

  const [verbose] = await transactionsSeen(first, treasury, { after: before.first });
  const [terse] = await transactionsSeen(first, treasury, { after: before.first, verbose: false });

  const argumentOf = (transaction: Transaction | undefined) => {
    const send = exercised(transaction).find(({ choice }) => choice === 'AmuletRules_Transfer');
    return send?.choiceArgument?.sum?.$case === 'record' ? send.choiceArgument.sum.value : undefined;
  };
  expect(argumentOf(verbose)?.recordId?.entityName).toBe('AmuletRules_Transfer');
  expect(argumentOf(verbose)?.fields.map(({ label }) => label)).toEqual(['transfer', 'context', 'expectedDso']);
  expect(argumentOf(terse)?.recordId).toBeUndefined();
  expect(argumentOf(terse)?.fields.map(({ label }) => label)).toEqual(['', '', '']);
  // `beneficiaries` is the last field of the transfer, and None.
  const transfer = field(argumentOf(verbose), 'transfer');
  expect(transfer?.$case === 'record' && transfer.value.fields.map(({ label }) => label)).toEqual([
    'sender',
    'provider',
    'inputs',
    'outputs',
  ]);
});

test('a party that the participant does not host matches nothing', async () => {
  const { network, second, before } = paidNetwork();

  expect(await transactionsSeen(second, [network.party('alice')], { after: before.second })).toEqual([]);
});

test('a participant with a limited history prunes by itself and keeps what is active', async () => {
  const { network } = startNetwork({ historyUpdatesMax: 20 });
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });
  for (let index = 0; index < 50; index += 1) {
    network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });
  }
  const node = network.participant('participant1');

  const kept = await transactionsSeen(node, [network.party('treasury')]);

  expect(node.prunedUpTo()).toBeGreaterThan(0n);
  expect(kept.length).toBeGreaterThanOrEqual(20);
  expect(kept.length).toBeLessThanOrEqual(22);
  expect(network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('50.0000000000');
});
