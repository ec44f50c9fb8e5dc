/** Attacks one at a time, each by a node that lies consistently (it claims the right hash of what it sends), and the wall that stops it. */
import { describe, expect, it } from 'vitest';
import { PREPARATION_TOLERANCE_MICROS } from '../../src/custody/intent-metadata.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { transferArgument } from '../../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { check, create, exercise, fieldOf, type Lie, nodesOf, outcome, set } from './attack.ts';
import { directSample, SAMPLES, type Sample } from './sample-transfers.ts';
import { CUSTOMER, cid, old, STRANGER } from './sample-values.ts';

const sampleOf = (name: string): Sample => SAMPLES.find((sample) => sample.name === name)!;
const direct = sampleOf('Canton Coin, direct');
const offer = sampleOf('Canton Coin, offer');
const utility = sampleOf('utility registry, direct');
const preapproved = sampleOf('utility registry, direct by preapproval');
const other = sampleOf('unknown registry, direct');

const partyTo = (target: Value, value: string): void => set(target, { $case: 'party', value });
const numericTo = (target: Value, value: string): void => set(target, { $case: 'numeric', value });

describe('a prepared transfer that is what was meant', () => {
  it.each(SAMPLES)('may be signed: $name', (sample) => {
    const checked = check(sample);

    expect(checked.hash).toEqual(preparedTransactionHash(sample.prepared(), sample.scheme));
    expect(checked.isMaxRecordTimeSigned).toBe(sample.scheme === 'V3');
    expect(checked.areAmountsProven).toBe(sample.intent.implementation !== 'OTHER');
  });

  it('may be signed for all of the inputs, without change', () => {
    const amount = parseAmount('100.5000000001');

    expect(outcome(directSample({ amount }), {})).toBe('signed');
    expect(outcome(directSample({ amount }), { change: (prepared) => addChange(prepared) })).toBe('INTENT_HOLDINGS');
  });

  function addChange(prepared: PreparedTransaction): void {
    const result = fieldOf(exercise(prepared, 'TransferFactory_Transfer').exerciseResult, 'senderChangeCids');
    set(result, { $case: 'list', value: { elements: [{ sum: { $case: 'contractId', value: cid('output') } }] } });
  }
});

describe('another intent than the one prepared for', () => {
  const { intent } = direct;
  const cases: [field: string, change: Partial<TransferIntent>, code: string][] = [
    ['receiver', { receiver: STRANGER }, 'INTENT_ARGUMENT'],
    ['sender', { sender: STRANGER }, 'INTENT_METADATA'],
    ['amount', { amount: parseAmount('100.4999999999') }, 'INTENT_ARGUMENT'],
    ['instrument id', { instrument: { ...intent.instrument, id: 'Other' } }, 'INTENT_ARGUMENT'],
    ['instrument admin', { instrument: { ...intent.instrument, admin: STRANGER } }, 'INTENT_ARGUMENT'],
    ['memo', { meta: new Map() }, 'INTENT_ARGUMENT'],
    ['our own key', { meta: new Map([...intent.meta, ['more', 'x']]) }, 'INTENT_ARGUMENT'],
    ['requestedAt', { requestedAt: intent.requestedAt - 1n }, 'INTENT_ARGUMENT'],
    ['executeBefore', { executeBefore: intent.executeBefore + 1n }, 'INTENT_ARGUMENT'],
    ['order of inputs', { inputs: intent.inputs.toReversed() }, 'INTENT_ARGUMENT'],
    [
      'amount of an input',
      { inputs: intent.inputs.map((input) => ({ ...input, amount: parseAmount('60.125') })) },
      'INTENT_INPUTS',
    ],
    ['factory', { factory: old('another') }, 'INTENT_ROOT'],
    ['context', { choiceContext: new Map() }, 'INTENT_ARGUMENT'],
    ['command id', { commandId: 'another' }, 'INTENT_METADATA'],
    ['synchronizer', { synchronizerId: 'other::1220aa', physicalSynchronizerId: null }, 'INTENT_SYNCHRONIZER'],
    ['physical synchronizer', { physicalSynchronizerId: `${intent.synchronizerId}::35-6` }, 'INTENT_SYNCHRONIZER'],
    ['target', { maxRecordTime: intent.maxRecordTime + 1n }, 'INTENT_TIME'],
    ['kind', { kind: 'OFFER' }, 'INTENT_RESULT'],
    ['implementation', { implementation: 'UTILITY_REGISTRY' }, 'INTENT_ROOT'],
  ];

  it.each(cases)('%s', (_field, change, code) => {
    expect(outcome(direct, { intent: change })).toBe(code);
  });

  it.each([
    ['no inputs', { inputs: [] }],
    ['an input twice', { inputs: [intent.inputs[0]!, intent.inputs[0]!] }],
    [
      'more inputs than a registry takes',
      {
        inputs: Array.from({ length: 101 }, (_, index) => ({
          contractId: old(`n${index}`),
          amount: parseAmount('100'),
        })),
      },
    ],
    ['an input of nothing', { inputs: [...intent.inputs, { contractId: old('nothing'), amount: parseAmount('0') }] }],
    ['nobody as receiver', { receiver: '' }],
    ['an offer to oneself', { kind: 'OFFER', receiver: intent.sender }],
    ['no command id', { commandId: '' }],
    ['inputs that do not suffice', { amount: parseAmount('1000') }],
    ['nothing', { amount: parseAmount('0') }],
    ['the admin itself as sender', { instrument: { admin: intent.sender, id: 'x' } }],
    ['a deadline before its beginning', { executeBefore: intent.requestedAt }],
    ['an input that is no contract id', { inputs: [{ contractId: 'XYZ', amount: parseAmount('1000') }] }],
    ['a physical id as the logical one', { synchronizerId: `${intent.synchronizerId}::35-5` }],
  ] as [string, Partial<TransferIntent>][])('makes no sense: %s', (_what, change) => {
    expect(outcome(direct, { intent: change })).toBe('INTENT_INVALID');
  });
});

describe('a node that pays somebody else or something else', () => {
  it('in the receiver’s holding', () => {
    const change = (prepared: PreparedTransaction): void => {
      numericTo(fieldOf(create(prepared, cid('output')).argument, 'amount', 'initialAmount'), '100.4000000000');
    };
    expect(outcome(direct, { change })).toBe('INTENT_HOLDINGS');
  });

  it('in the change', () => {
    const change = (prepared: PreparedTransaction): void => {
      numericTo(fieldOf(create(prepared, cid('change')).argument, 'amount', 'initialAmount'), '19.7400000000');
    };
    expect(outcome(direct, { change })).toBe('INTENT_HOLDINGS');
  });

  it('by giving the receiver the change as well', () => {
    const change = (prepared: PreparedTransaction): void => {
      const contract = create(prepared, cid('change'));
      partyTo(fieldOf(contract.argument, 'owner'), CUSTOMER);
      contract.signatories = create(prepared, cid('output')).signatories;
      contract.stakeholders = contract.signatories;
    };
    expect(outcome(direct, { change })).toBe('INTENT_HOLDINGS');
  });

  it('by a second holding', () => {
    const change = (prepared: PreparedTransaction): void => {
      const { nodes, nodeSeeds } = prepared.transaction!;
      const copied = structuredClone(
        nodes.find(({ versionedNode }) => versionedNode!.value.nodeType!.value === create(prepared, cid('output')))!,
      );
      copied.nodeId = String(nodes.length);
      (copied.versionedNode!.value.nodeType!.value as Create).contractId = cid('second');
      nodes.push(copied);
      nodeSeeds.push({ nodeId: nodes.length - 1, seed: new Uint8Array(32) });
      exercise(prepared, 'TransferPreapproval_SendV2').children.push(copied.nodeId);
    };
    expect(outcome(direct, { change })).toBe('INTENT_HOLDINGS');
  });

  it('through the preapproval of another', () => {
    const change = (prepared: PreparedTransaction): void => {
      const preapproval = prepared.metadata!.inputContracts.find(
        ({ contract }) => contract!.value.contractId === old('preapproval'),
      )!;
      partyTo(fieldOf(preapproval.contract!.value.argument, 'receiver'), STRANGER);
    };
    expect(outcome(direct, { change })).toBe('INTENT_NESTED_ARGUMENT');
  });

  it('with another memo in what the receiver reads', () => {
    const change = (prepared: PreparedTransaction): void => {
      const description = fieldOf(exercise(prepared, 'TransferPreapproval_SendV2').chosenValue, 'description');
      set(description, { $case: 'optional', value: { value: { sum: { $case: 'text', value: 'another customer' } } } });
    };
    expect(outcome(direct, { change })).toBe('INTENT_NESTED_ARGUMENT');
  });

  it('by offering more than is locked, or to another', () => {
    const change =
      (label: string, to: Value['sum']) =>
      (prepared: PreparedTransaction): void =>
        set(fieldOf(create(prepared, cid('offer')).argument, 'transfer', label), to);

    expect(outcome(offer, { change: change('amount', { $case: 'numeric', value: '1.0000000000' }) })).toBe(
      'INTENT_OFFER',
    );
    expect(outcome(offer, { change: change('receiver', { $case: 'party', value: CUSTOMER.replace('6', '7') }) })).toBe(
      'INTENT_AUTHORITY',
    );
    expect(outcome(offer, { change: change('sender', { $case: 'party', value: CUSTOMER }) })).toBe('INTENT_OFFER');
  });

  it('by locking for somebody else or for ever', () => {
    const lock =
      (label: string, to: Value['sum']) =>
      (prepared: PreparedTransaction): void =>
        set(fieldOf(create(prepared, cid('locked')).argument, 'lock', label), to);
    const holders: Value['sum'] = {
      $case: 'list',
      value: { elements: [{ sum: { $case: 'party', value: CUSTOMER } }] },
    };

    expect(outcome(offer, { change: lock('holders', holders) })).toBe('INTENT_HOLDINGS');
    expect(outcome(offer, { change: lock('expiresAt', { $case: 'timestamp', value: 2n ** 60n }) })).toBe(
      'INTENT_HOLDINGS',
    );
  });

  it('in the utility registry’s own rule', () => {
    const change = (prepared: PreparedTransaction): void => {
      numericTo(
        fieldOf(exercise(prepared, 'TransferRule_DirectTransfer').chosenValue, 'transfer', 'amount'),
        '1.0000000000',
      );
    };
    expect(outcome(utility, { change })).toBe('INTENT_NESTED_ARGUMENT');
  });

  it('in a registry we do not know, when the amount does not appear', () => {
    const change = (prepared: PreparedTransaction): void =>
      numericTo(fieldOf(create(prepared, cid('output')).argument, 'quantity'), '1000.0000000000');

    expect(outcome(other, { change })).toBe('INTENT_HOLDINGS');
  });
});

describe('a node that uses our authority for something else', () => {
  it('on a factory that the admin did not sign', () => {
    const change = (prepared: PreparedTransaction): void => {
      const factories = [
        exercise(prepared, 'TransferFactory_Transfer'),
        ...prepared.metadata!.inputContracts.map(({ contract }) => contract!.value),
      ];
      for (const contract of factories) {
        if (contract.contractId === other.intent.factory) contract.signatories = contract.stakeholders = [STRANGER];
      }
      for (const type of nodesOf(prepared)) {
        if (type.$case === 'create')
          type.value.signatories = type.value.stakeholders = [STRANGER, ...type.value.stakeholders].toSorted();
      }
    };
    expect(outcome(other, { change })).toBe('INTENT_AUTHORITY');
  });

  it('on a preapproval that is not the receiver’s alone, or for another admin', () => {
    const change =
      (label: string) =>
      (prepared: PreparedTransaction): void => {
        for (const { contract } of prepared.metadata!.inputContracts) {
          const target = fieldOf(contract!.value.argument, label);
          if (target !== undefined && contract!.value.contractId === preapproved.intent.factory)
            partyTo(target, STRANGER);
        }
      };
    expect(outcome(preapproved, { change: change('instrumentAdmin') })).toBe('INTENT_AUTHORITY');
    expect(outcome(preapproved, { change: change('receiver') })).toBe('INTENT_AUTHORITY');
  });

  it('to spend a holding that is no input', () => {
    const change = (prepared: PreparedTransaction): void => {
      const from = direct.intent.inputs[0]!.contractId;
      const third = structuredClone(
        prepared.metadata!.inputContracts.find(({ contract }) => contract!.value.contractId === from)!,
      );
      third.contract!.value.contractId = old('third');
      prepared.metadata!.inputContracts.push(third);
      const { nodes, nodeSeeds } = prepared.transaction!;
      const archive = structuredClone(
        nodes.find(({ versionedNode }) => {
          const type = versionedNode!.value.nodeType!;
          return type.$case === 'exercise' && type.value.choiceId === 'Archive' && type.value.contractId === from;
        })!,
      );
      archive.nodeId = String(nodes.length);
      (archive.versionedNode!.value.nodeType!.value as Exercise).contractId = old('third');
      nodes.push(archive);
      nodeSeeds.push({ nodeId: nodes.length - 1, seed: new Uint8Array(32) });
      exercise(prepared, 'TransferPreapproval_SendV2').children.push(archive.nodeId);
    };
    expect(outcome(direct, { change })).toBe('INTENT_INPUTS');
  });

  it('in a choice that no transfer has', () => {
    const change = (prepared: PreparedTransaction): void => {
      const log = exercise(prepared, 'EventLog_HoldingsChange');
      log.choiceId = 'Amulet_Burn';
      const argument = log.chosenValue!.sum;
      if (argument?.$case === 'record') argument.value.recordId!.entityName = 'Amulet_Burn';
    };
    expect(outcome(direct, { change })).toBe('INTENT_CHOICE_NOT_ALLOWED');
  });

  it('by a second root', () => {
    const change = (prepared: PreparedTransaction): void => void prepared.transaction!.roots.push('1');

    expect(outcome(direct, { change })).toBe('TREE_ROOT_COUNT');
  });

  it('by a node that hangs nowhere', () => {
    const change = (prepared: PreparedTransaction): void => {
      exercise(prepared, 'TransferFactory_Transfer').children.splice(0, 1);
    };
    expect(outcome(direct, { change })).toBe('TREE_NODE_UNREACHABLE');
  });

  it('by content outside the signature', () => {
    const change = (prepared: PreparedTransaction): void => {
      prepared.metadata!.globalKeyMapping = [{ key: undefined }];
    };
    expect(outcome(direct, { change })).toBe('TREE_UNSIGNED_CONTENT');
  });
});

describe('times and schemes', () => {
  const metadata = (change: Partial<NonNullable<PreparedTransaction['metadata']>>): Lie => ({
    change: (prepared) => void Object.assign(prepared.metadata!, change),
  });
  const { intent, recordTime } = direct;

  it.each([
    ['no last record time', metadata({ maxRecordTime: undefined })],
    ['prepared long ago', metadata({ preparationTime: recordTime - PREPARATION_TOLERANCE_MICROS - 1n })],
    ['prepared after the target', metadata({ preparationTime: intent.maxRecordTime + 1n })],
    [
      'a ledger time from the deadline on',
      metadata({ minLedgerEffectiveTime: intent.maxRecordTime + 60_000_001n, maxLedgerEffectiveTime: undefined }),
    ],
    ['a ledger time beyond the deadline', metadata({ maxLedgerEffectiveTime: intent.executeBefore })],
    ['a ledger time that has passed', metadata({ maxLedgerEffectiveTime: recordTime - 3_600_000_000n })],
    ['a ledger time that never comes', metadata({ minLedgerEffectiveTime: intent.maxRecordTime + 3_600_000_000n })],
    ['the target has passed', { recordTime: intent.maxRecordTime + 1n }],
  ] as [string, Lie][])('are refused: %s', (_name, lie) => {
    expect(outcome(direct, lie)).toBe('INTENT_TIME');
  });

  it('hold at their last microsecond', () => {
    expect(outcome(direct, metadata({ preparationTime: recordTime - PREPARATION_TOLERANCE_MICROS }))).toBe('signed');
    expect(outcome(direct, { recordTime: intent.maxRecordTime })).toBe('signed');
  });

  it('accept a preparation without bounds on the ledger time', () => {
    expect(outcome(direct, metadata({ minLedgerEffectiveTime: undefined, maxLedgerEffectiveTime: undefined }))).toBe(
      'signed',
    );
  });

  it.each([
    ['another', 'other::1220aa'],
    ['one that begins the same', `${intent.synchronizerId}0::35-5`],
    ['one with more behind it', `${intent.synchronizerId}::35-5::x`],
    ['none', ''],
  ])('refuse %s synchronizer, also where any serial would do', (_what, synchronizerId) => {
    for (const scheme of ['V2', 'V3'] as const) {
      const lie = { ...metadata({ synchronizerId }), intent: { physicalSynchronizerId: null }, scheme };
      expect(outcome(direct, lie)).toBe('INTENT_SYNCHRONIZER');
    }
  });

  it('refuse a transaction that the mediator could not tell from its replay', () => {
    expect(outcome(direct, metadata({ transactionUuid: '' }))).toBe('INTENT_METADATA');
  });

  it('refuse scheme V3 where the protocol signs the logical synchronizer, and a physical id of an old protocol', () => {
    const { synchronizerId } = intent;
    const anywhere = { physicalSynchronizerId: null };

    expect(outcome(direct, { ...metadata({ synchronizerId }), intent: anywhere })).toBe('INTENT_SYNCHRONIZER');
    expect(outcome(direct, { ...metadata({ synchronizerId }), intent: anywhere, scheme: 'V2' })).toBe('signed');
    expect(
      outcome(direct, { ...metadata({ synchronizerId: `${synchronizerId}::34-1` }), intent: anywhere, scheme: 'V2' }),
    ).toBe('INTENT_SYNCHRONIZER');
    expect(outcome(direct, { ...metadata({ synchronizerId: `${synchronizerId}::36-0` }), intent: anywhere })).toBe(
      'signed',
    );
  });
});

describe('the argument of the command', () => {
  it.each(SAMPLES)('is byte for byte what a participant shows: $name', (sample) => {
    const found = exercise(sample.prepared(), 'TransferFactory_Transfer').chosenValue!;

    expect(
      Buffer.from(Value.encode(transferArgument(sample.intent)).finish()).equals(Value.encode(found).finish()),
    ).toBe(true);
  });
});
