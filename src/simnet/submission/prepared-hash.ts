/**
 * The hash of a prepared transaction that an external party signs, schemes V2 and V3: what the participant computes for itself before it
 * believes a signature. Written from Canton's description and vectors alone, so that it can contradict the client's.
 * @see Canton 3.5, external signing hashing algorithm; `protocol/hash/NodeHashBuilder.scala`.
 */
import { createHash } from 'node:crypto';
import { PermanentError } from '../../env/errors.ts';
import type { GlobalKeyWithMaintainers } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_common_data.ts';
import type {
  DamlTransaction,
  Metadata,
  PreparedTransaction,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
  Fetch,
} from '../../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Identifier, Value } from '../daml/value.ts';

export type Scheme = 'V2' | 'V3';

const SCHEME_BYTE: Readonly<Record<Scheme, number>> = { V2: 2, V3: 3 };
const PURPOSE = Buffer.from([0, 0, 0, 48]); // Prepared submission.
const V2_ENCODING_VERSION = 1;

/** @returns 32 bytes. @throws PermanentError SIMNET_UNHASHABLE for what the scheme knows no bytes for. */
export function preparedHash({ transaction, metadata }: PreparedTransaction, scheme: Scheme): Uint8Array {
  const parts = [
    PURPOSE,
    byte(SCHEME_BYTE[scheme]),
    transactionHash(given(transaction, 'transaction'), scheme),
    metadataHash(given(metadata, 'metadata'), scheme),
  ];
  return sha256(Buffer.concat(parts));
}

/** Hash of the actions alone. */
function transactionHash(transaction: DamlTransaction, scheme: Scheme): Buffer {
  const hashOf = nodeHasher(transaction, scheme);
  return sha256(Buffer.concat([PURPOSE, text(transaction.version), each(transaction.roots, hashOf)]));
}

function metadataHash(metadata: Metadata, scheme: Scheme): Buffer {
  const submitter = given(metadata.submitterInfo, 'submitter_info');
  const inputs = each(metadata.inputContracts, ({ contract, createdAt }) =>
    Buffer.concat([int64(createdAt), createHashOf(given(contract, 'input contract').value, undefined, scheme)]),
  );
  return sha256(
    Buffer.concat([
      PURPOSE,
      ...(scheme === 'V2' ? [byte(V2_ENCODING_VERSION)] : []),
      each(submitter.actAs, text),
      text(submitter.commandId),
      text(metadata.transactionUuid),
      int32(metadata.mediatorGroup),
      text(metadata.synchronizerId),
      maybe(metadata.minLedgerEffectiveTime, int64),
      maybe(metadata.maxLedgerEffectiveTime, int64),
      int64(metadata.preparationTime),
      inputs,
      ...(scheme === 'V3' ? [maybe(metadata.maxRecordTime, int64)] : []),
    ]),
  );
}

/** @returns the hash of a node by its id; children are hashed on the way, each once. */
export function nodeHasher({ nodes, nodeSeeds }: DamlTransaction, scheme: Scheme): (nodeId: string) => Buffer {
  const byId = new Map(nodes.map(({ nodeId, versionedNode }) => [nodeId, versionedNode?.value.nodeType]));
  const seeds = new Map(nodeSeeds.map(({ nodeId, seed }) => [String(nodeId), seed]));
  const known = new Map<string, Buffer>();
  const open = new Set<string>();
  const compute = (nodeId: string): Buffer => {
    const node = byId.get(nodeId);
    switch (node?.$case) {
      case 'create':
        return createHashOf(node.value, seeds.get(nodeId), scheme);
      case 'exercise':
        return exerciseHashOf(node.value, given(seeds.get(nodeId), `seed of node ${nodeId}`), scheme, hashOf);
      case 'fetch':
        return fetchHashOf(node.value, scheme);
      case 'rollback':
        return sha256(Buffer.concat([...prefix(scheme), byte(3), each(node.value.children, hashOf)]));
      default:
        throw unhashable(`Node ${nodeId} is missing or of an unknown kind.`);
    }
  };
  const hashOf = (nodeId: string): Buffer => {
    const done = known.get(nodeId);
    if (done !== undefined) return done;
    if (open.has(nodeId)) throw unhashable(`Node ${nodeId} is below itself.`);
    open.add(nodeId);
    const hash = compute(nodeId);
    open.delete(nodeId);
    known.set(nodeId, hash);
    return hash;
  };
  return hashOf;
}

function createHashOf(create: Create, seed: Uint8Array | undefined, scheme: Scheme): Buffer {
  return sha256(
    Buffer.concat([
      ...prefix(scheme),
      text(create.lfVersion),
      byte(0),
      maybe(seed, rawHash),
      contractId(create.contractId),
      text(create.packageName),
      identifier(given(create.templateId, 'template_id')),
      valueBytes(create.argument),
      each(create.signatories, text),
      each(create.stakeholders, text),
      ...(scheme === 'V3' ? [maybe(create.key, globalKey)] : []),
    ]),
  );
}

function exerciseHashOf(
  exercise: Exercise,
  seed: Uint8Array,
  scheme: Scheme,
  hashOf: (nodeId: string) => Buffer,
): Buffer {
  return sha256(
    Buffer.concat([
      ...prefix(scheme),
      text(exercise.lfVersion),
      byte(1),
      rawHash(seed),
      contractId(exercise.contractId),
      text(exercise.packageName),
      identifier(given(exercise.templateId, 'template_id')),
      each(exercise.signatories, text),
      each(exercise.stakeholders, text),
      each(exercise.actingParties, text),
      maybe(exercise.interfaceId, identifier),
      text(exercise.choiceId),
      valueBytes(exercise.chosenValue),
      bool(exercise.consuming),
      maybe(exercise.exerciseResult, valueBytes),
      each(exercise.choiceObservers, text),
      ...(scheme === 'V3' ? [bool(exercise.byKey), maybe(exercise.key, globalKey)] : []),
      each(exercise.children, hashOf),
    ]),
  );
}

function fetchHashOf(fetch: Fetch, scheme: Scheme): Buffer {
  return sha256(
    Buffer.concat([
      ...prefix(scheme),
      text(fetch.lfVersion),
      byte(2),
      contractId(fetch.contractId),
      text(fetch.packageName),
      identifier(given(fetch.templateId, 'template_id')),
      each(fetch.signatories, text),
      each(fetch.stakeholders, text),
      maybe(fetch.interfaceId, identifier),
      each(fetch.actingParties, text),
      ...(scheme === 'V3' ? [bool(fetch.byKey), maybe(fetch.key, globalKey)] : []),
    ]),
  );
}

/** Tag and payload of a value. Exported for the vectors. */
export function valueBytes(value: Value | undefined): Buffer {
  const sum = value?.sum;
  switch (sum?.$case) {
    case 'unit':
      return byte(0x00);
    case 'bool':
      return tagged(0x01, bool(sum.value));
    case 'int64':
      return tagged(0x02, int64(sum.value));
    case 'numeric':
      return tagged(0x03, text(sum.value));
    case 'timestamp':
      return tagged(0x04, int64(sum.value));
    case 'date':
      return tagged(0x05, int32(sum.value));
    case 'party':
      return tagged(0x06, text(sum.value));
    case 'text':
      return tagged(0x07, text(sum.value));
    case 'contractId':
      return tagged(0x08, contractId(sum.value));
    case 'optional':
      return tagged(0x09, maybe(sum.value.value, valueBytes));
    case 'list':
      return tagged(0x0a, each(sum.value.elements, valueBytes));
    case 'textMap':
      return tagged(
        0x0b,
        each(sum.value.entries, (entry) => Buffer.concat([text(entry.key), valueBytes(entry.value)])),
      );
    case 'record': {
      const fields = each(sum.value.fields, (field) =>
        Buffer.concat([byte(1), text(field.label), valueBytes(field.value)]),
      );
      return tagged(0x0c, maybe(sum.value.recordId, identifier), fields);
    }
    case 'variant':
      return tagged(
        0x0d,
        maybe(sum.value.variantId, identifier),
        text(sum.value.constructor),
        valueBytes(sum.value.value),
      );
    case 'enum':
      return tagged(0x0e, maybe(sum.value.enumId, identifier), text(sum.value.constructor));
    case 'genMap':
      return tagged(
        0x0f,
        each(sum.value.entries, (entry) => Buffer.concat([valueBytes(entry.key), valueBytes(entry.value)])),
      );
    default:
      throw unhashable('A value is empty.');
  }
}

function globalKey({ key, maintainers }: GlobalKeyWithMaintainers): Buffer {
  const { packageName, templateId, key: value, hash } = given(key, 'key');
  return Buffer.concat([
    text(packageName),
    identifier(given(templateId, 'key template_id')),
    valueBytes(value),
    rawHash(hash),
    each(maintainers, text),
  ]);
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const byte = (value: number): Buffer => Buffer.from([value]);
const bool = (value: boolean): Buffer => byte(value ? 1 : 0);
const prefix = (scheme: Scheme): readonly Buffer[] => (scheme === 'V2' ? [byte(V2_ENCODING_VERSION)] : []);
const tagged = (tag: number, ...payload: readonly Buffer[]): Buffer => Buffer.concat([byte(tag), ...payload]);

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function int64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64BE(BigInt.asIntN(64, value));
  return buffer;
}

function bytes(value: Uint8Array): Buffer {
  return Buffer.concat([int32(value.length), value]);
}

function text(value: string): Buffer {
  return bytes(Buffer.from(value, 'utf8'));
}

function contractId(value: string): Buffer {
  if (!/^(?:[0-9a-f]{2})+$/.test(value)) throw unhashable(`Not a contract id: ${value}.`);
  return bytes(Buffer.from(value, 'hex'));
}

function rawHash(value: Uint8Array): Buffer {
  if (value.length !== 32) throw unhashable('A hash or seed is not of 32 bytes.');
  return Buffer.from(value);
}

function identifier({ packageId, moduleName, entityName }: Identifier): Buffer {
  const dotted = (name: string): Buffer => each(name.split('.'), text);
  return Buffer.concat([text(packageId), dotted(moduleName), dotted(entityName)]);
}

function maybe<T>(value: T | undefined, encode: (value: T) => Buffer): Buffer {
  return value === undefined ? byte(0) : Buffer.concat([byte(1), encode(value)]);
}

function each<T>(items: readonly T[], encode: (item: T) => Buffer): Buffer {
  return Buffer.concat([int32(items.length), ...items.map((item) => encode(item))]);
}

function given<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw unhashable(`${name} is missing.`);
  return value;
}

function unhashable(message: string): PermanentError {
  return new PermanentError('SIMNET_UNHASHABLE', message);
}
