/**
 * Every published vector, and what must be refused. The vectors come from Canton's own tests, from a Java reference client and from real
 * prepared transactions; each names its source.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createHashInput } from '../../src/custody/hash-input.ts';
import { encodeValue } from '../../src/custody/hash-value.ts';
import { decodePrepared } from '../../src/custody/prepared-transaction.ts';
import { type HashScheme, hashSchemeOf, preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import {
  HashingSchemeVersion,
  PreparedTransaction,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Exercise } from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { refusalOf } from './refusal-of.ts';

type Vector = { name: string; scheme: HashScheme; preparedTransactionBase64: string; expectedHashBase64: string };
type ValueVector = {
  name: string;
  encodingHex: string;
  valueSha256: string;
  wrappedPreparedTransactionBase64: string;
  expectedHashBase64: string;
};

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../fixtures/hash/${name}`, import.meta.url), 'utf8'));
const vectors = read<Vector[]>('hash-vectors.json');
const valueVectors = read<ValueVector[]>('hash-value-vectors.json');
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const prepared = (text: string): PreparedTransaction => decodePrepared(Buffer.from(text, 'base64'));
const vector = (part: string): PreparedTransaction =>
  prepared(vectors.find(({ name }) => name.includes(part))!.preparedTransactionBase64);
const exerciseOf = (transaction: PreparedTransaction): Exercise => {
  const node = transaction.transaction!.nodes.find(
    (entry) => entry.versionedNode?.value.nodeType?.$case === 'exercise',
  );
  return node!.versionedNode!.value.nodeType!.value as Exercise;
};

describe('the hash of a prepared transaction', () => {
  it.each(vectors)('equals the published one: $name', ({ scheme, preparedTransactionBase64, expectedHashBase64 }) => {
    expect(base64(preparedTransactionHash(prepared(preparedTransactionBase64), scheme))).toBe(expectedHashBase64);
  });

  it.each(valueVectors)('equals the published one for the value: $name', (entry) => {
    const transaction = prepared(entry.wrappedPreparedTransactionBase64);
    const node = transaction.transaction!.nodes[0]!.versionedNode!.value.nodeType!;
    const value = (node.value as { argument: Value }).argument;
    const input = createHashInput();

    encodeValue(input, value, 'value');

    expect(Buffer.from(input.content()).toString('hex')).toBe(entry.encodingHex);
    expect(Buffer.from(input.sha256()).toString('hex')).toBe(entry.valueSha256);
    expect(base64(preparedTransactionHash(transaction, 'V2'))).toBe(entry.expectedHashBase64);
  });

  it('differs between the schemes for the same transaction', () => {
    const transaction = vector('v2-full');

    expect(base64(preparedTransactionHash(transaction, 'V2'))).not.toBe(
      base64(preparedTransactionHash(transaction, 'V3')),
    );
  });

  it('covers the last record time under V3 and not under V2', () => {
    const later = vector('v2-full');
    later.metadata!.maxRecordTime = later.metadata!.maxRecordTime! + 1n;

    const same = (scheme: HashScheme): boolean =>
      base64(preparedTransactionHash(later, scheme)) === base64(preparedTransactionHash(vector('v2-full'), scheme));

    expect(same('V2')).toBe(true);
    expect(same('V3')).toBe(false);
  });
});

describe('what cannot be hashed is refused', () => {
  type Change = (transaction: PreparedTransaction) => void;
  const cases: [name: string, code: string, scheme: HashScheme, change: Change][] = [
    [
      'an unknown kind of node',
      'HASH_NODE_UNSUPPORTED',
      'V3',
      (t) => {
        t.transaction!.nodes[0]!.versionedNode!.value.nodeType = undefined;
      },
    ],
    [
      'an unknown version of the node format',
      'HASH_NODE_UNSUPPORTED',
      'V3',
      (t) => {
        t.transaction!.nodes[0]!.versionedNode = undefined;
      },
    ],
    ['a query by key under V2', 'HASH_NODE_UNSUPPORTED', 'V2', queryByKey],
    ['a query by key under V3', 'HASH_NODE_UNSUPPORTED', 'V3', queryByKey],
    [
      'a contract key under V2',
      'HASH_FIELD_NOT_COVERED',
      'V2',
      (t) => {
        exerciseOf(t).key = { key: undefined, maintainers: [] };
      },
    ],
    [
      'an exercise by key under V2',
      'HASH_FIELD_NOT_COVERED',
      'V2',
      (t) => {
        exerciseOf(t).byKey = true;
      },
    ],
    [
      'results of external calls',
      'HASH_FIELD_NOT_COVERED',
      'V3',
      (t) => {
        const bytes = new Uint8Array([1]);
        exerciseOf(t).externalCallResults = [
          { extensionId: 'x', functionId: 'f', config: bytes, input: bytes, output: bytes },
        ];
      },
    ],
    [
      'a newer serialization under V2',
      'HASH_LF_VERSION_UNSUPPORTED',
      'V2',
      (t) => {
        exerciseOf(t).lfVersion = '2';
      },
    ],
    [
      'an unknown transaction version',
      'HASH_LF_VERSION_UNSUPPORTED',
      'V3',
      (t) => {
        t.transaction!.version = '3';
      },
    ],
    [
      'an exercise without a seed',
      'HASH_SEED_MISSING',
      'V2',
      (t) => {
        t.transaction!.nodeSeeds = [];
      },
    ],
    [
      'a short seed',
      'HASH_SEED_INVALID',
      'V2',
      (t) => {
        t.transaction!.nodeSeeds[0]!.seed = new Uint8Array(31);
      },
    ],
    [
      'two seeds of a node',
      'HASH_SEED_INVALID',
      'V2',
      (t) => {
        t.transaction!.nodeSeeds.push(t.transaction!.nodeSeeds[0]!);
      },
    ],
    [
      'two nodes of one id',
      'HASH_NODE_DUPLICATE',
      'V2',
      (t) => {
        t.transaction!.nodes.push(t.transaction!.nodes[0]!);
      },
    ],
    [
      'a child that is not there',
      'HASH_NODE_MISSING',
      'V2',
      (t) => {
        exerciseOf(t).children.push('99');
      },
    ],
    [
      'a node below itself',
      'HASH_NODE_CYCLE',
      'V2',
      (t) => {
        const node = t.transaction!.nodes.find(
          (entry) => entry.versionedNode?.value.nodeType?.value === exerciseOf(t),
        )!;
        exerciseOf(t).children.push(node.nodeId);
      },
    ],
    [
      'a missing template',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        exerciseOf(t).templateId = undefined;
      },
    ],
    [
      'a missing argument',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        exerciseOf(t).chosenValue = undefined;
      },
    ],
    [
      'a value without content',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        exerciseOf(t).chosenValue = { sum: undefined };
      },
    ],
    [
      'missing metadata',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        t.metadata = undefined;
      },
    ],
    [
      'a missing submitter',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        t.metadata!.submitterInfo = undefined;
      },
    ],
    [
      'an input contract of an unknown version',
      'HASH_FIELD_MISSING',
      'V2',
      (t) => {
        t.metadata!.inputContracts[0]!.contract = undefined;
      },
    ],
    [
      'a contract id that is no hex',
      'HASH_CONTRACT_ID_INVALID',
      'V2',
      (t) => {
        exerciseOf(t).contractId = '00zz';
      },
    ],
    [
      'a contract id in upper case',
      'HASH_CONTRACT_ID_INVALID',
      'V2',
      (t) => {
        exerciseOf(t).contractId = exerciseOf(t).contractId.toUpperCase();
      },
    ],
    [
      'an unknown field deep inside',
      'PREPARED_UNKNOWN_FIELD',
      'V3',
      (t) => {
        t.metadata!.inputContracts[0]!.contract!.value.templateId!._unknownFields = { 802: [new Uint8Array([0])] };
      },
    ],
  ];

  function queryByKey(transaction: PreparedTransaction): void {
    const { lfVersion, packageName, templateId } = exerciseOf(transaction);
    transaction.transaction!.nodes.find((entry) => entry.nodeId === '0')!.versionedNode!.value.nodeType = {
      $case: 'queryByKey',
      value: { lfVersion, packageName, templateId, exhaustive: true, key: undefined, result: [] },
    };
  }

  it.each(cases)('%s: %s under %s', (_name, code, scheme, change) => {
    const transaction = vector('v2-full');
    change(transaction);

    expect(refusalOf(() => preparedTransactionHash(transaction, scheme))).toBe(code);
  });

  it('a contract key whose hash is cut', () => {
    const transaction = vector('v3-full');
    exerciseOf(transaction).key!.key!.hash = new Uint8Array(31);

    expect(refusalOf(() => preparedTransactionHash(transaction, 'V3'))).toBe('HASH_FIELD_MISSING');
  });

  it('another scheme', () => {
    expect(refusalOf(() => hashSchemeOf(HashingSchemeVersion.HASHING_SCHEME_VERSION_UNSPECIFIED))).toBe(
      'HASH_SCHEME_UNSUPPORTED',
    );
    expect(refusalOf(() => preparedTransactionHash(vector('v2-full'), 'V4' as HashScheme))).toBe(
      'HASH_SCHEME_UNSUPPORTED',
    );
  });

  it('nodes nested without end', () => {
    const transaction = vector('v2-full');
    const exercise = exerciseOf(transaction);
    const ids = Array.from({ length: 1_000 }, (_, index) => index);
    transaction.transaction!.roots = ['0'];
    transaction.transaction!.nodes = ids.map((id) => ({
      nodeId: String(id),
      versionedNode: {
        $case: 'v1',
        value: { nodeType: { $case: 'exercise', value: { ...exercise, children: [String(id + 1)] } } },
      },
    }));
    transaction.transaction!.nodeSeeds = ids.map((nodeId) => ({ nodeId, seed: new Uint8Array(32) }));

    expect(refusalOf(() => preparedTransactionHash(transaction, 'V2'))).toBe('HASH_TOO_DEEP');
  });
});

describe('bytes of a prepared transaction', () => {
  const bytes = Buffer.from(vectors[1]!.preparedTransactionBase64, 'base64');
  const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

  it('are refused when cut off, when something follows, and when a field is repeated', () => {
    const metadataAgain = PreparedTransaction.encode({
      transaction: undefined,
      metadata: vector('Transfer').metadata,
    }).finish();

    expect(refusalOf(() => decodePrepared(bytes.subarray(0, -3)))).toBe('PREPARED_NOT_DECODABLE');
    expect(refusalOf(() => decodePrepared(concat(bytes, new Uint8Array([0x1a, 0]))))).toBe('PREPARED_UNKNOWN_FIELD');
    expect(refusalOf(() => decodePrepared(concat(bytes, metadataAgain)))).toBe('PREPARED_NOT_CANONICAL');
    expect(refusalOf(() => decodePrepared(concat(bytes, new Uint8Array([0]))))).toBe('PREPARED_NOT_CANONICAL');
  });

  it('are refused when they nest without end or are too many', () => {
    const deep = Array.from({ length: 300 }).reduce<Value>(
      (value) => ({ sum: { $case: 'optional', value: { value } } }),
      { sum: { $case: 'unit', value: {} } },
    );
    const transaction = vector('Transfer');
    exerciseOf(transaction).chosenValue = deep;

    expect(refusalOf(() => decodePrepared(PreparedTransaction.encode(transaction).finish()))).toBe(
      'PREPARED_NOT_DECODABLE',
    );
    expect(refusalOf(() => decodePrepared(new Uint8Array(10 * 1024 * 1024 + 1)))).toBe('PREPARED_TOO_LARGE');
  });
});
