/** Consistent attacks on what a transfer does: a whole story each, changed everywhere it must be so that only one wall can see it. */
import { describe, expect, it } from 'vitest';
import type { Exercise } from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { contractId, id, list, party, record } from '../../src/signer/kit/prepared-builder.ts';
import {
  type Attack,
  archiveOf,
  between,
  copyOf,
  create,
  created,
  exercise,
  fieldOf,
  insert,
  outcome,
  ROOT,
  remove,
  resultOf,
  sampleOf,
  set,
} from './attack.ts';
import { BRIDGE, CUSTOMER, cid, DSO, PROVIDER, TREASURY } from './sample-values.ts';

const direct = sampleOf('Canton Coin, direct');
const offer = sampleOf('Canton Coin, offer');
const utility = sampleOf('utility registry, direct');
const other = sampleOf('unknown registry, direct');
const SEND = 'TransferPreapproval_SendV2';

const ATTACKS: Attack[] = [
  [
    'burns the change',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      remove(prepared, (type) => type.$case === 'create' && type.value.contractId === cid('change'));
      set(resultOf(prepared, 'senderChangeCids'), list().sum);
    },
  ],
  [
    'names another holding in the result',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      const output = resultOf(prepared, 'output').sum;
      if (output?.$case !== 'variant') throw new Error('The output is a variant.');
      set(fieldOf(output.value.value, 'receiverHoldingCids'), list(contractId(cid('elsewhere'))).sum);
    },
  ],
  [
    'keeps the amount with us',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      const output = create(prepared, cid('output'));
      set(fieldOf(output.argument, 'owner'), party(TREASURY).sum);
      between(output, DSO, TREASURY);
    },
  ],
  [
    'makes a holding that its owner did not sign',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      create(prepared, cid('output')).signatories = [DSO];
    },
  ],
  [
    'pays in another instrument',
    utility,
    'INTENT_HOLDINGS',
    (prepared) =>
      set(fieldOf(create(prepared, cid('output')).argument, 'instrument', 'id'), { $case: 'text', value: 'Other' }),
  ],
  [
    'passes a holding of the receiver through',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      const passing = copyOf(prepared, 'output', 'passing');
      insert(prepared, SEND, created(passing));
      insert(prepared, SEND, archiveOf(prepared, passing));
    },
  ],
  [
    'makes a contract that we sign',
    direct,
    'INTENT_CREATE_NOT_ALLOWED',
    (prepared) => {
      const marker = copyOf(prepared, 'marker', 'signed');
      between(marker, DSO, TREASURY);
      insert(prepared, SEND, created(marker));
    },
  ],
  [
    'makes a contract that no transfer makes',
    direct,
    'INTENT_CREATE_NOT_ALLOWED',
    (prepared) => {
      const unknown = copyOf(prepared, 'marker', 'unknown');
      unknown.templateId = { ...unknown.templateId!, entityName: 'SvRewardCoupon' };
      insert(prepared, SEND, created(unknown));
    },
  ],
  [
    'leaves an input unspent',
    offer,
    'INTENT_INPUTS',
    (prepared) => {
      const { contractId: unspent } = offer.intent.inputs[1]!;
      remove(prepared, (type) => type.$case === 'exercise' && type.value.contractId === unspent);
    },
  ],
  [
    'makes an offer beside the transfer',
    direct,
    'INTENT_OFFER',
    (prepared) => insert(prepared, SEND, created({ ...structuredClone(create(offer.prepared(), cid('offer'))) })),
  ],
  [
    'names another offer in the result',
    offer,
    'INTENT_OFFER',
    (prepared) => {
      const output = resultOf(prepared, 'output').sum;
      if (output?.$case !== 'variant') throw new Error('The output is a variant.');
      set(fieldOf(output.value.value, 'transferInstructionCid'), contractId(cid('elsewhere')).sum);
    },
  ],
  [
    'makes an offer that is not ours',
    offer,
    'INTENT_OFFER',
    (prepared) => {
      create(prepared, cid('offer')).signatories = [DSO];
    },
  ],
  [
    'makes an offer that its receiver cannot see',
    offer,
    'INTENT_OFFER',
    (prepared) => between(create(prepared, cid('offer')), DSO, TREASURY),
  ],
  [
    'offers what it did not lock',
    offer,
    'INTENT_OFFER',
    (prepared) => set(fieldOf(create(prepared, cid('offer')).argument, 'lockedAmulet'), contractId(cid('change')).sum),
  ],
  [
    'offers the change as well',
    offer,
    'INTENT_OFFER',
    (prepared) =>
      set(
        fieldOf(create(prepared, cid('offer')).argument, 'transfer', 'inputHoldingCids'),
        list(contractId(cid('locked')), contractId(cid('change'))).sum,
      ),
  ],
  [
    'makes an offer without a lock',
    offer,
    'INTENT_HOLDINGS',
    (prepared) => {
      const locked = create(prepared, cid('locked'));
      locked.templateId = { ...locked.templateId!, entityName: 'Amulet' };
      locked.argument = fieldOf(locked.argument, 'amulet');
    },
  ],
  [
    'names two changes',
    direct,
    'INTENT_RESULT',
    (prepared) =>
      set(resultOf(prepared, 'senderChangeCids'), list(contractId(cid('change')), contractId(cid('output'))).sum),
  ],
  [
    'lets us act in an event log',
    direct,
    'INTENT_AUTHORITY',
    (prepared) => {
      const copied = structuredClone(exercise(prepared, 'EventLog_HoldingsChange'));
      insert(prepared, SEND, { $case: 'exercise', value: { ...copied, actingParties: [DSO, TREASURY].toSorted() } });
    },
  ],
  [
    'takes the receiver’s preapproval through another interface',
    utility,
    'INTENT_CHOICE_NOT_ALLOWED',
    (prepared) => {
      const nested = prepared
        .transaction!.nodes.map(({ versionedNode }) => versionedNode!.value.nodeType!)
        .filter((type) => type.$case === 'exercise' && type.value.choiceId === ROOT);
      (nested[1]!.value as Exercise).interfaceId = undefined;
    },
  ],
  [
    'makes a contract that nobody here may sign',
    direct,
    'INTENT_AUTHORITY',
    (prepared) => {
      const marker = copyOf(prepared, 'marker', 'unauthorized');
      between(marker, PROVIDER);
      insert(prepared, ROOT, created(marker));
    },
  ],
  [
    'lets us sign what the admin does not',
    other,
    'INTENT_AUTHORITY',
    (prepared) => {
      const promise = copyOf(prepared, 'change', 'promise');
      between(promise, TREASURY);
      insert(prepared, ROOT, created(promise));
    },
  ],
  [
    'fetches in the name of somebody who is not here',
    direct,
    'INTENT_AUTHORITY',
    (prepared) => {
      const preapproval = exercise(prepared, SEND);
      insert(prepared, ROOT, {
        $case: 'fetch',
        value: { ...preapproval, actingParties: [CUSTOMER], interfaceId: undefined },
      });
    },
  ],
  [
    'acts in the name of somebody who is not here',
    other,
    'INTENT_AUTHORITY',
    (prepared) => {
      const value: Exercise = {
        ...structuredClone(exercise(prepared, ROOT)),
        choiceId: 'Agree',
        chosenValue: record(id('', 'Some.Registry', 'Agree'), {}),
        interfaceId: undefined,
        actingParties: [CUSTOMER],
        children: [],
      };
      insert(prepared, ROOT, { $case: 'exercise', value });
    },
  ],
  [
    'sends twice',
    direct,
    'INTENT_AUTHORITY',
    (prepared) =>
      insert(prepared, ROOT, {
        $case: 'exercise',
        value: { ...structuredClone(exercise(prepared, SEND)), children: [] },
      }),
  ],
  [
    'makes a second offer',
    offer,
    'INTENT_OFFER',
    (prepared) => insert(prepared, ROOT, created(copyOf(prepared, 'offer', 'second'))),
  ],
  [
    'starts at a look-alike of the standard',
    direct,
    'INTENT_ROOT',
    (prepared) => {
      const root = exercise(prepared, ROOT);
      root.interfaceId = { ...root.interfaceId!, packageId: 'f'.repeat(64) };
    },
  ],
  [
    'makes a holding of another registrar',
    utility,
    'INTENT_HOLDINGS',
    (prepared) => set(fieldOf(create(prepared, cid('output')).argument, 'registrar'), party(BRIDGE).sum),
  ],
  [
    'labels the fields of a holding otherwise',
    direct,
    'INTENT_HOLDINGS',
    (prepared) => {
      const amount = fieldOf(create(prepared, cid('output')).argument, 'amount').sum;
      if (amount?.$case === 'record') amount.value.fields.reverse();
    },
  ],
];

describe('a node that tells a consistent story', () => {
  it.each(ATTACKS)('and %s, is refused', (_what, sample, code, change) => {
    expect(outcome(sample, { change })).toBe(code);
  });
});
