/** Choices below the root that say something else than the root: only the one argument is changed. */
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { contractId, id, list, party, variant } from '../../src/signer/kit/prepared-builder.ts';
import { type Change, exercise, fieldOf, outcome, sampleOf, set } from './attack.ts';
import type { Sample } from './sample-transfers.ts';
import { CUSTOMER, cid, TREASURY } from './sample-values.ts';

const direct = sampleOf('Canton Coin, direct');
const utility = sampleOf('utility registry, direct');
const recorded = sampleOf('Canton Coin 0.1.14, recorded');
const SEND = 'TransferPreapproval_SendV2';
const RULES = 'AmuletRules_Transfer';
const INTERNAL = 'AllocationFactory_TransferInternal';
const RULE = 'TransferRule_DirectTransfer';

/** The argument of a nested choice, changed in one place. */
const nested =
  (choice: string, path: string[], to: Value['sum']): Change =>
  (prepared) =>
    set(fieldOf(exercise(prepared, choice).chosenValue, ...path), to);
const inPreapproval =
  (label: string, to: Value['sum']): Change =>
  (prepared) => {
    const { contractId: preapproval } = exercise(prepared, SEND);
    const input = prepared.metadata!.inputContracts.find(({ contract }) => contract!.value.contractId === preapproval)!;
    set(fieldOf(input.contract!.value.argument, label), to);
  };
const inRecordedOutput =
  (label: string, to: Value['sum']): Change =>
  (prepared) => {
    const outputs = fieldOf(exercise(prepared, RULES).chosenValue, 'transfer', 'outputs').sum;
    if (outputs?.$case !== 'list') throw new Error('The outputs are a list.');
    set(fieldOf(outputs.value.elements[0], label), to);
  };
/** An amulet that this transaction does not archive. */
const unspent = variant(id('', 'Splice.AmuletRules', 'TransferInput'), 'InputAmulet', contractId(cid('change')));
/** Pays twice what was asked for. */
const doubled: Change = (prepared) => {
  const outputs = fieldOf(exercise(prepared, RULES).chosenValue, 'transfer', 'outputs').sum;
  if (outputs?.$case === 'list') outputs.value.elements.push(structuredClone(outputs.value.elements[0]!));
};
const little: Value['sum'] = { $case: 'numeric', value: '1.0000000000' };

const NESTED: [what: string, sample: Sample, change: Change][] = [
  ['the sender of a send', direct, nested(SEND, ['sender'], party(CUSTOMER).sum)],
  ['the amount of a send', direct, nested(SEND, ['amount'], little)],
  ['the memo of a send', direct, nested(SEND, ['description'], { $case: 'optional', value: { value: undefined } })],
  ['the inputs of a send', direct, nested(SEND, ['inputs'], list().sum)],
  ['an input of a send', direct, nested(SEND, ['inputs'], list(unspent).sum)],
  ['the receiver of the preapproval', direct, inPreapproval('receiver', party(TREASURY).sum)],
  ['the admin of the preapproval', direct, inPreapproval('dso', party(TREASURY).sum)],
  [
    'the sender of the old movement',
    recorded,
    nested(RULES, ['transfer', 'sender'], party(recorded.intent.receiver).sum),
  ],
  ['the outputs of the old movement', recorded, nested(RULES, ['transfer', 'outputs'], list().sum)],
  ['two outputs of the old movement', recorded, doubled],
  ['the receiver of the old movement', recorded, inRecordedOutput('receiver', party(recorded.intent.sender).sum)],
  ['the amount of the old movement', recorded, inRecordedOutput('amount', little)],
  ['the inputs of the old movement', recorded, nested(RULES, ['transfer', 'inputs'], list().sum)],
  ['the admin of the inner factory', utility, nested(INTERNAL, ['payload', 'expectedAdmin'], party(TREASURY).sum)],
  [
    'the receiver of the inner factory',
    utility,
    nested(INTERNAL, ['payload', 'transfer', 'receiver'], party(TREASURY).sum),
  ],
  ['the amount of the rule', utility, nested(RULE, ['transfer', 'amount'], little)],
  [
    'the inputs of the rule',
    utility,
    nested(RULE, ['transfer', 'inputHoldingCids'], list(contractId(cid('change'))).sum),
  ],
];

describe('a node that carries on another transfer than it was given', () => {
  it.each(NESTED)('with %s, is refused', (_what, sample, change) => {
    expect(outcome(sample, { change })).toBe('INTENT_NESTED_ARGUMENT');
  });
});
