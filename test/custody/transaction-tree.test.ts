/** Shapes that are no tree of a transfer. Where the hash would refuse already, the tree is asked alone. */
import { describe, expect, it } from 'vitest';
import { readTransactionTree } from '../../src/custody/transaction-tree.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { type Change, create, exercise, insert, nodesOf, ROOT, sampleOf } from './attack.ts';
import { refusalOf } from './refusal-of.ts';
import { cid, DSO } from './sample-values.ts';

const direct = sampleOf('Canton Coin, direct');
const SEND = 'TransferPreapproval_SendV2';
const nodeOf = (prepared: PreparedTransaction, index: number) => prepared.transaction!.nodes[index]!;
const fetched = (prepared: PreparedTransaction) => {
  const type = nodesOf(prepared).find((node) => node.$case === 'fetch')!;
  if (type.$case !== 'fetch') throw new Error('Not a fetch.');
  return type.value;
};

const CASES: [what: string, code: string, change: Change][] = [
  ['no root', 'TREE_ROOT_COUNT', ({ transaction }) => void transaction!.roots.splice(0)],
  [
    'a root that is only a fetch',
    'TREE_NODE_NOT_ALLOWED',
    ({ transaction }) => {
      transaction!.roots = ['1'];
      transaction!.nodes = [nodeOf({ transaction, metadata: undefined }, 1)];
      transaction!.nodeSeeds = [];
    },
  ],
  [
    'a node id that is no number',
    'TREE_MALFORMED',
    (prepared) => {
      const { nodes, nodeSeeds } = prepared.transaction!;
      const last = nodes.length - 1;
      nodes[last]!.nodeId = `0${last}`;
      exercise(prepared, SEND).children.splice(-1, 1, `0${last}`);
      prepared.transaction!.nodeSeeds = nodeSeeds.filter(({ nodeId }) => nodeId !== last);
    },
  ],
  ['two nodes of one id', 'TREE_MALFORMED', (prepared) => void prepared.transaction!.nodes.push(nodeOf(prepared, 3))],
  ['a child that is not there', 'TREE_MALFORMED', (prepared) => void exercise(prepared, SEND).children.push('999')],
  [
    'a child of two parents',
    'TREE_MALFORMED',
    (prepared) => {
      const { children } = exercise(prepared, ROOT);
      children.push(children[0]!);
    },
  ],
  ['a node below itself', 'TREE_MALFORMED', (prepared) => void exercise(prepared, SEND).children.push('0')],
  [
    'a record with all its fields twice',
    'TREE_MALFORMED',
    (prepared) => {
      const argument = exercise(prepared, ROOT).chosenValue?.sum;
      if (argument?.$case !== 'record') throw new Error('Not a record.');
      argument.value.fields.push(...structuredClone(argument.value.fields));
    },
  ],
  ['children in another order', 'TREE_MALFORMED', (prepared) => void exercise(prepared, SEND).children.reverse()],
  [
    'a seed for a fetch',
    'TREE_MALFORMED',
    ({ transaction }) => {
      transaction!.nodeSeeds.push({ nodeId: 1, seed: new Uint8Array(32) });
    },
  ],
  [
    'more nodes than any transfer has',
    'TREE_MALFORMED',
    (prepared) => {
      for (let count = 0; count < 5_000; count += 1)
        insert(prepared, SEND, { $case: 'fetch', value: fetched(prepared) });
    },
  ],
  [
    'a list of children without end',
    'TREE_MALFORMED',
    (prepared) => {
      exercise(prepared, ROOT).children = Array.from({ length: 6_000 }, () => '1');
    },
  ],
  [
    'a rollback',
    'TREE_NODE_NOT_ALLOWED',
    (prepared) => insert(prepared, SEND, { $case: 'rollback', value: { children: [] } }),
  ],
  ['a node of an unknown kind', 'TREE_NODE_NOT_ALLOWED', (prepared) => insert(prepared, SEND, undefined)],
  [
    'a contract with a key',
    'TREE_NODE_NOT_ALLOWED',
    (prepared) => {
      create(prepared, cid('output')).key = { key: undefined, maintainers: [DSO] };
    },
  ],
  [
    'a fetch by key',
    'TREE_NODE_NOT_ALLOWED',
    (prepared) => {
      fetched(prepared).byKey = true;
    },
  ],
  [
    'an exercise by key',
    'TREE_NODE_NOT_ALLOWED',
    (prepared) => {
      exercise(prepared, SEND).byKey = true;
    },
  ],
  [
    'an input contract with a key',
    'TREE_NODE_NOT_ALLOWED',
    ({ metadata }) => {
      metadata!.inputContracts[0]!.contract!.value.key = { key: undefined, maintainers: [DSO] };
    },
  ],
  ['parties out of order', 'TREE_MALFORMED', (prepared) => void create(prepared, cid('output')).signatories.reverse()],
  [
    'a contract without a signatory',
    'TREE_MALFORMED',
    (prepared) => {
      create(prepared, cid('output')).signatories = [];
    },
  ],
  [
    'a signatory without a stake',
    'TREE_MALFORMED',
    (prepared) => {
      create(prepared, cid('output')).stakeholders = [DSO];
    },
  ],
  [
    'a contract without a template',
    'TREE_MALFORMED',
    (prepared) => {
      create(prepared, cid('output')).templateId = undefined;
    },
  ],
  [
    'an argument of another choice',
    'TREE_MALFORMED',
    (prepared) => {
      exercise(prepared, SEND).choiceId = 'TransferPreapproval_Send';
    },
  ],
  [
    'an archive by one of two signatories',
    'TREE_MALFORMED',
    (prepared) => {
      const archive = nodesOf(prepared).find(
        (type) => type.$case === 'exercise' && type.value.choiceId === 'Archive' && type.value.signatories.length > 1,
      )!;
      if (archive.$case === 'exercise') archive.value.actingParties = [DSO];
    },
  ],
  [
    'an archive that leaves the contract',
    'TREE_MALFORMED',
    (prepared) => {
      exercise(prepared, 'Archive').consuming = false;
    },
  ],
  [
    'an input contract twice',
    'TREE_MALFORMED',
    ({ metadata }) => void metadata!.inputContracts.push(metadata!.inputContracts[0]!),
  ],
  [
    'an input contract that nobody uses',
    'TREE_CONTRACT_UNKNOWN',
    ({ metadata }) => {
      const spare = structuredClone(metadata!.inputContracts[0]!);
      spare.contract!.value.contractId = cid('spare');
      metadata!.inputContracts.push(spare);
    },
  ],
  [
    'a contract that is not shown',
    'TREE_CONTRACT_UNKNOWN',
    (prepared) => {
      fetched(prepared).contractId = cid('unknown');
    },
  ],
  [
    'a contract made twice',
    'TREE_CONTRACT_INCONSISTENT',
    (prepared) => insert(prepared, SEND, { $case: 'create', value: structuredClone(create(prepared, cid('output'))) }),
  ],
  [
    'a contract used after its end',
    'TREE_CONTRACT_INCONSISTENT',
    (prepared) => {
      const gone = nodesOf(prepared).find((type) => type.$case === 'exercise' && type.value.choiceId === 'Archive')!;
      if (gone.$case === 'exercise')
        insert(prepared, SEND, {
          $case: 'fetch',
          value: { ...fetched(prepared), ...gone.value, interfaceId: undefined },
        });
    },
  ],
  [
    'a contract that has other signatories where it is used',
    'TREE_CONTRACT_INCONSISTENT',
    (prepared) => {
      fetched(prepared).signatories = [DSO];
    },
  ],
  [
    'a contract that has another template where it is used',
    'TREE_CONTRACT_INCONSISTENT',
    (prepared) => {
      fetched(prepared).templateId = { packageId: 'x', moduleName: 'Some.Module', entityName: 'Template' };
    },
  ],
  [
    'a contract that has another package name where it is used',
    'TREE_CONTRACT_INCONSISTENT',
    (prepared) => {
      fetched(prepared).packageName = 'another';
    },
  ],
];

describe('a prepared transaction', () => {
  it('is read as the tree that it is', () => {
    const { root, nodes, inputContracts, created, consumed } = readTransactionTree(direct.prepared());

    expect(root.exercise.choiceId).toBe(ROOT);
    expect(nodes.map(({ at }) => at)).toEqual(nodes.map((_node, index) => `node ${index}`));
    expect(nodes.slice(1).every(({ parent }) => parent !== null)).toBe(true);
    expect([...created.keys()].toSorted()).toEqual(
      ['change', 'log', 'marker', 'output', 'released'].map((name) => cid(name)).toSorted(),
    );
    expect(consumed.size).toBe(4);
    expect(inputContracts.size).toBe(5);
  });

  it('may use a contract through a newer version of its package', () => {
    const prepared = direct.prepared();
    fetched(prepared).templateId = { ...fetched(prepared).templateId!, packageId: 'f'.repeat(64) };

    expect(refusalOf(() => readTransactionTree(prepared))).toBe('signed');
  });

  it.each(CASES)('is refused with %s: %s', (_what, code, change) => {
    const prepared = direct.prepared();
    change(prepared);

    expect(refusalOf(() => readTransactionTree(prepared))).toBe(code);
  });
});
