/**
 * The hash of a prepared transaction: the 32 bytes that an external party signs. Computed here from what was decoded, never taken from the
 * node that prepared it.
 *
 * Scheme V2 covers neither the last record time nor contract keys; V3 covers both. What a scheme does not cover and could change the meaning
 * of a node is refused. Query-by-key nodes are refused under both schemes: no published vector proves their encoding, and no transfer has one.
 *
 * Only the hash is made here: whether every node hangs on a root, exactly once, is the business of `transaction-tree.ts`. (Canton's own
 * vectors share nodes between parents.)
 */
import type { GlobalKeyWithMaintainers } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_common_data.ts';
import {
  type DamlTransaction,
  HashingSchemeVersion,
  type Metadata,
  type PreparedTransaction,
} from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
  Fetch,
  Node,
} from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { CustodyRefusal, demand, present } from './custody-refusal.ts';
import { createHashInput, type HashInput } from './hash-input.ts';
import { encodeContractId, encodeIdentifier, encodeValue } from './hash-value.ts';
import { refuseUnknownFields } from './unknown-fields.ts';

export type HashScheme = 'V2' | 'V3';

const SCHEME_BYTE: Readonly<Record<HashScheme, number>> = { V2: 0x02, V3: 0x03 };
const PURPOSE = 48; // Canton's hash purpose for prepared submissions.
const V2_ENCODING_VERSION = 0x01; // Before every node and the metadata; V3 dropped it.
const NODE_TAG = { create: 0x00, exercise: 0x01, fetch: 0x02, rollback: 0x03 } as const;
/** Serialization versions that a scheme can hash. */
const LF_VERSIONS: Readonly<Record<HashScheme, readonly string[]>> = { V2: ['2.1'], V3: ['2.1', '2'] };
const SEED_BYTES = 32;
const DEPTH_MAX = 500; // Exercises inside exercises; a transfer has four. Bounds the recursion.

/** @throws CustodyRefusal HASH_SCHEME_UNSUPPORTED for anything but V2 and V3. */
export function hashSchemeOf(version: HashingSchemeVersion): HashScheme {
  if (version === HashingSchemeVersion.HASHING_SCHEME_VERSION_V2) return 'V2';
  if (version === HashingSchemeVersion.HASHING_SCHEME_VERSION_V3) return 'V3';
  throw new CustodyRefusal('HASH_SCHEME_UNSUPPORTED', 'A hashing scheme that is not known here.', 'scheme', {
    version,
  });
}

/** The wire's number for a scheme, as ExecuteSubmission wants it back. */
export function hashingSchemeVersion(scheme: HashScheme): HashingSchemeVersion {
  return scheme === 'V2'
    ? HashingSchemeVersion.HASHING_SCHEME_VERSION_V2
    : HashingSchemeVersion.HASHING_SCHEME_VERSION_V3;
}

/**
 * @returns 32 bytes.
 * @throws CustodyRefusal with a code HASH_… or PREPARED_UNKNOWN_FIELD when any part cannot be hashed.
 */
export function preparedTransactionHash(prepared: PreparedTransaction, scheme: HashScheme): Uint8Array {
  demand(Object.hasOwn(SCHEME_BYTE, scheme), 'HASH_SCHEME_UNSUPPORTED', 'Not V2 or V3.', 'scheme', { scheme });
  refuseUnknownFields(prepared, 'prepared');
  const transaction = present(prepared.transaction, 'HASH_FIELD_MISSING', 'transaction');
  const metadata = present(prepared.metadata, 'HASH_FIELD_MISSING', 'metadata');
  return createHashInput()
    .int32(PURPOSE)
    .byte(SCHEME_BYTE[scheme])
    .raw(transactionHash(transaction, scheme))
    .raw(metadataHash(metadata, scheme))
    .sha256();
}

function transactionHash(transaction: DamlTransaction, scheme: HashScheme): Uint8Array {
  demandLfVersion(transaction.version, scheme, 'transaction.version');
  const hashOf = nodeHasher(transaction, scheme);
  const input = createHashInput().int32(PURPOSE).text(transaction.version);
  return input.repeated(transaction.roots, (root) => input.raw(hashOf(root, 0))).sha256();
}

function metadataHash(metadata: Metadata, scheme: HashScheme): Uint8Array {
  const submitter = present(metadata.submitterInfo, 'HASH_FIELD_MISSING', 'metadata.submitterInfo');
  const input = createHashInput().int32(PURPOSE);
  if (scheme === 'V2') input.byte(V2_ENCODING_VERSION);
  input
    .repeated(submitter.actAs, (party) => input.text(party))
    .text(submitter.commandId)
    .text(metadata.transactionUuid)
    .int32(metadata.mediatorGroup)
    .text(metadata.synchronizerId)
    .optional(metadata.minLedgerEffectiveTime, (micros) => input.int64(micros))
    .optional(metadata.maxLedgerEffectiveTime, (micros) => input.int64(micros))
    .int64(metadata.preparationTime)
    .repeated(metadata.inputContracts, ({ contract, createdAt }) => {
      const at = `input contract ${contract?.value.contractId}`;
      const create = present(contract?.value, 'HASH_FIELD_MISSING', at);
      input.int64(createdAt).raw(createHash(create, undefined, scheme, at));
    });
  if (scheme === 'V3') input.optional(metadata.maxRecordTime, (micros) => input.int64(micros));
  return input.sha256();
}

/** @returns the hash of a node by id, its children included. A node met again is not computed again. */
function nodeHasher(transaction: DamlTransaction, scheme: HashScheme): (id: string, depth: number) => Uint8Array {
  const nodes = nodesById(transaction);
  const seeds = seedsById(transaction);
  const known = new Map<string, Uint8Array>();
  const open = new Set<string>();

  const hashOf = (id: string, depth: number): Uint8Array => {
    const at = `node ${id}`;
    const done = known.get(id);
    if (done !== undefined) return done;
    demand(depth <= DEPTH_MAX, 'HASH_TOO_DEEP', 'Nodes nested too deep.', at, { depthMax: DEPTH_MAX });
    demand(!open.has(id), 'HASH_NODE_CYCLE', 'A node is its own descendant.', at);
    open.add(id);
    const node = present(nodes.get(id), 'HASH_NODE_MISSING', at);
    const hash = nodeHash(node, seeds.get(id), scheme, at, (child) => hashOf(child, depth + 1));
    open.delete(id);
    known.set(id, hash);
    return hash;
  };
  return hashOf;
}

function nodesById(transaction: DamlTransaction): ReadonlyMap<string, Node> {
  const nodes = new Map<string, Node>();
  for (const { nodeId, versionedNode } of transaction.nodes) {
    const at = `node ${nodeId}`;
    demand(!nodes.has(nodeId), 'HASH_NODE_DUPLICATE', 'Two nodes have one id.', at);
    nodes.set(nodeId, present(versionedNode?.value, 'HASH_NODE_UNSUPPORTED', at));
  }
  return nodes;
}

function seedsById(transaction: DamlTransaction): ReadonlyMap<string, Uint8Array> {
  const seeds = new Map<string, Uint8Array>();
  for (const { nodeId, seed } of transaction.nodeSeeds) {
    const id = String(nodeId);
    const at = `seed of node ${id}`;
    demand(!seeds.has(id), 'HASH_SEED_INVALID', 'A node has two seeds.', at);
    demand(seed.length === SEED_BYTES, 'HASH_SEED_INVALID', 'A seed is not 32 bytes.', at, { bytes: seed.length });
    seeds.set(id, seed);
  }
  return seeds;
}

function nodeHash(
  { nodeType }: Node,
  seed: Uint8Array | undefined,
  scheme: HashScheme,
  at: string,
  hashOfChild: (id: string) => Uint8Array,
): Uint8Array {
  switch (nodeType?.$case) {
    case 'create':
      return createHash(nodeType.value, seed, scheme, at);
    case 'exercise':
      return exerciseHash(nodeType.value, present(seed, 'HASH_SEED_MISSING', at), scheme, at, hashOfChild);
    case 'fetch':
      return fetchHash(nodeType.value, scheme, at);
    case 'rollback': {
      const input = startNode(scheme).byte(NODE_TAG.rollback);
      return input.repeated(nodeType.value.children, (child) => input.raw(hashOfChild(child))).sha256();
    }
    default:
      throw new CustodyRefusal('HASH_NODE_UNSUPPORTED', 'A kind of node that is not hashed here.', at, {
        kind: nodeType?.$case,
      });
  }
}

function startNode(scheme: HashScheme): HashInput {
  const input = createHashInput();
  return scheme === 'V2' ? input.byte(V2_ENCODING_VERSION) : input;
}

/** @param seed absent for input contracts, whose creation is not part of the transaction. */
function createHash(create: Create, seed: Uint8Array | undefined, scheme: HashScheme, at: string): Uint8Array {
  demandLfVersion(create.lfVersion, scheme, `${at} lfVersion`);
  const input = startNode(scheme).text(create.lfVersion).byte(NODE_TAG.create);
  input.optional(seed, (bytes) => input.raw(bytes));
  encodeContract(input, create, at);
  encodeValue(input, create.argument, `${at} argument`);
  encodeTexts(input, create.signatories, create.stakeholders);
  if (scheme === 'V3') return input.optional(create.key, (key) => encodeKey(input, key, at)).sha256();
  demandNoKey(create.key, false, at);
  return input.sha256();
}

function exerciseHash(
  exercise: Exercise,
  seed: Uint8Array,
  scheme: HashScheme,
  at: string,
  hashOfChild: (id: string) => Uint8Array,
): Uint8Array {
  demandLfVersion(exercise.lfVersion, scheme, `${at} lfVersion`);
  const isCovered = exercise.externalCallResults.length === 0;
  demand(isCovered, 'HASH_FIELD_NOT_COVERED', 'External calls are not part of the hash.', `${at} externalCallResults`);
  const input = startNode(scheme).text(exercise.lfVersion).byte(NODE_TAG.exercise).raw(seed);
  encodeContract(input, exercise, at);
  encodeTexts(input, exercise.signatories, exercise.stakeholders, exercise.actingParties);
  input.optional(exercise.interfaceId, (id) => encodeIdentifier(input, id)).text(exercise.choiceId);
  encodeValue(input, exercise.chosenValue, `${at} chosenValue`);
  input
    .bool(exercise.consuming)
    .optional(exercise.exerciseResult, (result) => encodeValue(input, result, `${at} exerciseResult`));
  encodeTexts(input, exercise.choiceObservers);
  if (scheme === 'V3') input.bool(exercise.byKey).optional(exercise.key, (key) => encodeKey(input, key, at));
  else demandNoKey(exercise.key, exercise.byKey, at);
  return input.repeated(exercise.children, (child) => input.raw(hashOfChild(child))).sha256();
}

function fetchHash(fetch: Fetch, scheme: HashScheme, at: string): Uint8Array {
  demandLfVersion(fetch.lfVersion, scheme, `${at} lfVersion`);
  const input = startNode(scheme).text(fetch.lfVersion).byte(NODE_TAG.fetch);
  encodeContract(input, fetch, at);
  encodeTexts(input, fetch.signatories, fetch.stakeholders);
  input.optional(fetch.interfaceId, (id) => encodeIdentifier(input, id));
  encodeTexts(input, fetch.actingParties);
  if (scheme === 'V3') {
    return input
      .bool(fetch.byKey)
      .optional(fetch.key, (key) => encodeKey(input, key, at))
      .sha256();
  }
  demandNoKey(fetch.key, fetch.byKey, at);
  return input.sha256();
}

function encodeContract(
  input: HashInput,
  { contractId, packageName, templateId }: Pick<Create, 'contractId' | 'packageName' | 'templateId'>,
  at: string,
): void {
  encodeContractId(input, contractId, `${at} contractId`);
  input.text(packageName);
  encodeIdentifier(input, present(templateId, 'HASH_FIELD_MISSING', `${at} templateId`));
}

function encodeTexts(input: HashInput, ...lists: readonly (readonly string[])[]): void {
  for (const list of lists) input.repeated(list, (text) => input.text(text));
}

function encodeKey(input: HashInput, { key, maintainers }: GlobalKeyWithMaintainers, at: string): void {
  const place = `${at} key`;
  const global = present(key, 'HASH_FIELD_MISSING', place);
  demand(global.hash.length === SEED_BYTES, 'HASH_FIELD_MISSING', 'A key hash is not 32 bytes.', place);
  input.text(global.packageName);
  encodeIdentifier(input, present(global.templateId, 'HASH_FIELD_MISSING', place));
  encodeValue(input, global.key, place);
  input.raw(global.hash);
  encodeTexts(input, maintainers);
}

function demandLfVersion(version: string, scheme: HashScheme, at: string): void {
  const isKnown = LF_VERSIONS[scheme].includes(version);
  demand(isKnown, 'HASH_LF_VERSION_UNSUPPORTED', `Scheme ${scheme} does not hash this version.`, at, { version });
}

function demandNoKey(key: GlobalKeyWithMaintainers | undefined, byKey: boolean, at: string): void {
  demand(key === undefined && !byKey, 'HASH_FIELD_NOT_COVERED', 'Scheme V2 does not cover contract keys.', `${at} key`);
}
