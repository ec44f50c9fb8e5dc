/** Captures of real transactions, replayed: they come out of the stream as the values that gRPC would have carried, at new offsets. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import type { Record as DamlRecord, Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { transactionOfJson } from '../../src/simnet/recorded/json-transaction.ts';
import { startNetwork, transactionsSeen } from './harness.ts';

const capture = (name: string): Transaction =>
  transactionOfJson(JSON.parse(readFileSync(new URL(`../fixtures/ledger/${name}.json`, import.meta.url), 'utf8')));

const field = (record: DamlRecord | undefined, label: string): Value['sum'] =>
  record?.fields.find((candidate) => candidate.label === label)?.value?.sum;
const inner = (sum: Value['sum']): DamlRecord | undefined => (sum?.$case === 'record' ? sum.value : undefined);

test('a captured deposit is typed: decimals, parties, times, and a result whose metadata is an optional', () => {
  const transaction = capture('1-step-transfer');

  const [send] = transaction.events;
  const exercised = send?.event?.$case === 'exercised' ? send.event.value : undefined;
  const argument = inner(exercised?.choiceArgument?.sum);
  const result = inner(exercised?.exerciseResult?.sum);
  const meta = field(result, 'meta');
  const values = field(inner(meta?.$case === 'optional' ? meta.value.value?.sum : undefined), 'values');

  expect(transaction.recordTime).toMatchObject({ seconds: 60n, nanos: 114_000 });
  expect(exercised?.choice).toBe('TransferPreapproval_Send');
  expect(argument?.recordId?.entityName).toBe('TransferPreapproval_Send');
  expect(field(argument, 'amount')).toEqual({ $case: 'numeric', value: '200.0000000000' });
  expect(field(argument, 'sender')?.$case).toBe('party');
  expect(values?.$case === 'textMap' && values.value.entries.map(({ key, value }) => [key, value?.sum])).toContainEqual(
    ['splice.lfdecentralizedtrust.org/reason', { $case: 'text', value: 'deposit-account-id' }],
  );
});

test('the choice context of a captured acceptance has typed values', () => {
  const [accept] = capture('transfer-instruction-accept').events;
  const exercised = accept?.event?.$case === 'exercised' ? accept.event.value : undefined;
  const extraArgs = inner(field(inner(exercised?.choiceArgument?.sum), 'extraArgs'));
  const values = field(inner(field(extraArgs, 'context')), 'values');

  expect(
    values?.$case === 'textMap' &&
      values.value.entries.map(({ key, value }) => [
        key,
        value?.sum?.$case === 'variant' && value.sum.value.constructor,
      ]),
  ).toEqual([
    ['amulet-rules', 'AV_ContractId'],
    ['expire-lock', 'AV_Bool'],
    ['open-round', 'AV_ContractId'],
  ]);
  expect(exercised?.interfaceId?.entityName).toBe('TransferInstruction');
});

test('every value of the captures has a described type, none is guessed', () => {
  for (const name of ['1-step-transfer', 'transfer-instruction-create', 'transfer-instruction-accept']) {
    for (const { event } of capture(name).events) {
      const shown = event?.$case === 'created' ? event.value.createArguments : undefined;
      if (event?.$case === 'created') expect(shown?.recordId, event.value.templateId?.entityName).toBeDefined();
      const argument = event?.$case === 'exercised' ? inner(event.value.choiceArgument?.sum) : undefined;
      if (event?.$case === 'exercised') expect(argument?.recordId, event.value.choice).toBeDefined();
    }
  }
});

test('a replayed transaction keeps id, times and node numbers, gets an offset of its own and survives the wire', async () => {
  const { network } = startNetwork();
  const node = network.participant('participant2');
  const recorded = capture('1-step-transfer');
  const treasury = recorded.events[0]?.event?.value.witnessParties[0] ?? '';

  const offset = node.appendRecorded(recorded);
  const [seen] = await transactionsSeen(node, [treasury], { after: (offset ?? 0n) - 1n });
  const decoded = seen && Transaction.decode(Transaction.encode(seen).finish());

  expect(decoded?.offset).toBe(offset);
  expect(decoded?.updateId).toBe(recorded.updateId);
  expect(decoded?.commandId).toBe(recorded.commandId);
  expect(decoded?.recordTime).toEqual(expect.objectContaining({ seconds: 60n, nanos: 114_000 }));
  expect(decoded?.events.map(({ event }) => event?.$case !== 'archived' && event?.value.nodeId)).toEqual([
    4, 5, 8, 9, 10, 11, 12,
  ]);
  expect(decoded?.events.every(({ event }) => event?.$case !== 'archived' && event?.value.acsDelta === false)).toBe(
    true,
  );
  const holdings = decoded?.events.flatMap(({ event }) =>
    event?.$case === 'created' && event.value.interfaceViews.length > 0 ? [event.value.nodeId] : [],
  );
  expect(holdings).toEqual([11, 12]);
});

test('views of a replayed transaction are only shown to those who ask for them', async () => {
  const { network } = startNetwork();
  const node = network.participant('participant1');
  const recorded = capture('transfer-instruction-create');
  const treasury = recorded.events[0]?.event?.value.witnessParties[0] ?? '';

  const offset = node.appendRecorded(recorded) ?? 0n;
  const [withView] = await transactionsSeen(node, [treasury], { after: offset - 1n });
  const [without] = await transactionsSeen(node, [treasury], { after: offset - 1n, interfaces: [] });

  const views = (transaction: Transaction | undefined): number | undefined =>
    transaction?.events.flatMap(({ event }) => (event?.$case === 'created' ? event.value.interfaceViews : [])).length;
  expect(views(withView)).toBe(1);
  expect(views(without)).toBe(0);
});

test("an offer and its acceptance, replayed in order, end with the treasury's holding active", async () => {
  const { network } = startNetwork();
  const node = network.participant('participant1');
  const offer = capture('transfer-instruction-create');
  const treasury = offer.events[0]?.event?.value.witnessParties[0] ?? '';

  node.appendRecorded(offer);
  const offset = node.appendRecorded(capture('transfer-instruction-accept')) ?? 0n;
  const deltas = await transactionsSeen(node, [treasury], { after: offset - 1n, shape: 'acsDelta' });

  expect(
    deltas.map(({ events }) => events.map(({ event }) => `${event?.$case} ${event?.value.templateId?.entityName}`)),
  ).toEqual([['archived AmuletTransferInstruction', 'created Amulet']]);
});
