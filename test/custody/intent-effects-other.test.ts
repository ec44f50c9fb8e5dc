/** What can be refused where the contracts cannot be read: too much for us or the receiver, too little, or out of the wrong hands. */
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { list } from '../../src/signer/kit/prepared-builder.ts';
import {
  type Attack,
  archiveOf,
  copyOf,
  create,
  created,
  fieldOf,
  insert,
  outcome,
  ROOT,
  remove,
  resultOf,
  sampleOf,
  set,
} from './attack.ts';
import { CUSTOMER, cid, TREASURY } from './sample-values.ts';

const other = sampleOf('unknown registry, direct');
const otherOffer = sampleOf('unknown registry, offer');
const little: Value['sum'] = { $case: 'numeric', value: '1.0000000000' };

const ATTACKS: Attack[] = [
  [
    'burns the change',
    other,
    'INTENT_HOLDINGS',
    (prepared) => {
      remove(prepared, (type) => type.$case === 'create' && type.value.contractId === cid('change'));
      set(resultOf(prepared, 'senderChangeCids'), list().sum);
    },
  ],
  [
    'gives us a part in what the receiver gets',
    other,
    'INTENT_HOLDINGS',
    (prepared) => {
      const output = create(prepared, cid('output'));
      output.stakeholders = [...output.stakeholders, TREASURY].toSorted();
    },
  ],
  [
    'pays the receiver twice',
    other,
    'INTENT_CREATE_NOT_ALLOWED',
    (prepared) => insert(prepared, ROOT, created(copyOf(prepared, 'output', 'second'))),
  ],
  [
    'pays somebody else',
    other,
    'INTENT_HOLDINGS',
    (prepared) => {
      create(prepared, cid('output')).stakeholders = create(prepared, cid('output')).signatories;
    },
  ],
  [
    'locks twice for an offer',
    otherOffer,
    'INTENT_HOLDINGS',
    (prepared) => insert(prepared, ROOT, created(copyOf(prepared, 'output', 'second'))),
  ],
  [
    'locks nothing for an offer',
    otherOffer,
    'INTENT_HOLDINGS',
    (prepared) => remove(prepared, (type) => type.$case === 'create' && type.value.contractId === cid('output')),
  ],
  [
    'locks something else for an offer',
    otherOffer,
    'INTENT_HOLDINGS',
    (prepared) => set(fieldOf(create(prepared, cid('output')).argument, 'quantity'), little),
  ],
  [
    'offers to somebody else',
    otherOffer,
    'INTENT_HOLDINGS',
    (prepared) => {
      const contract = create(prepared, cid('offer'));
      contract.stakeholders = contract.stakeholders.filter((name) => name !== CUSTOMER);
    },
  ],
  [
    'leaves an input unspent',
    other,
    'INTENT_INPUTS',
    (prepared) => {
      const { contractId: unspent } = other.intent.inputs[1]!;
      remove(prepared, (type) => type.$case === 'exercise' && type.value.contractId === unspent);
    },
  ],
  [
    'spends what is no input',
    other,
    'INTENT_INPUTS',
    (prepared) => {
      const { inputContracts } = prepared.metadata!;
      const { contractId: known } = other.intent.inputs[0]!;
      const third = structuredClone(inputContracts.find(({ contract }) => contract!.value.contractId === known)!);
      third.contract!.value.contractId = cid('third', 'ca11');
      inputContracts.push(third);
      insert(prepared, ROOT, archiveOf(prepared, third.contract!.value));
    },
  ],
  [
    'spends an input that holds something else',
    other,
    'INTENT_INPUTS',
    (prepared) => {
      const { contractId: known } = other.intent.inputs[0]!;
      const input = prepared.metadata!.inputContracts.find(({ contract }) => contract!.value.contractId === known)!;
      set(fieldOf(input.contract!.value.argument, 'quantity'), little);
    },
  ],
];

describe('a node that tells a consistent story of a registry that is not known', () => {
  it.each(ATTACKS)('and %s, is refused', (_what, sample, code, change) => {
    expect(outcome(sample, { change })).toBe(code);
  });
});
