/**
 * Damage to prepared transactions: anything a node could change, from a flipped bit to a second payout. Seeded, so a case can be run again.
 */
import type { Random } from '../../src/env/random.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { CUSTOMER, STRANGER, TREASURY } from './sample-values.ts';

type Holder = Record<string | number, unknown>;
type Site = { readonly holder: Holder; readonly key: string | number };

const isObject = (value: unknown): value is Holder =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
export const pick = <T>(random: Random, items: readonly T[]): T => {
  if (items.length === 0) throw new Error('Nothing to pick from.');
  return items[Math.floor(random.next() * items.length)]!;
};

/** Every field and element of `root` that satisfies `wanted`. */
function sitesOf(root: unknown, wanted: (value: unknown, site: Site) => boolean): readonly Site[] {
  const sites: Site[] = [];
  const visit = (holder: Holder): void => {
    for (const key of Array.isArray(holder) ? holder.keys() : Object.keys(holder)) {
      if (key === '_unknownFields' || key === '$case') continue;
      const value = holder[key];
      if (wanted(value, { holder, key })) sites.push({ holder, key });
      if (isObject(value)) visit(value);
    }
  };
  if (isObject(root)) visit(root);
  return sites;
}

function change(site: Site, to: unknown): void {
  site.holder[site.key] = to;
}

const exercises = (prepared: PreparedTransaction): Exercise[] =>
  prepared.transaction!.nodes.flatMap(({ versionedNode }) => {
    const node = versionedNode?.value.nodeType;
    return node?.$case === 'exercise' ? [node.value] : [];
  });
const rootArgument = (prepared: PreparedTransaction): unknown => {
  const [rootId] = prepared.transaction!.roots;
  const node = prepared.transaction!.nodes.find(({ nodeId }) => nodeId === rootId)?.versionedNode?.value.nodeType;
  return node?.$case === 'exercise' ? node.value.chosenValue : undefined;
};
const creates = (prepared: PreparedTransaction): Create[] =>
  prepared.transaction!.nodes.flatMap(({ versionedNode }) => {
    const node = versionedNode?.value.nodeType;
    return node?.$case === 'create' ? [node.value] : [];
  });
const parents = (prepared: PreparedTransaction): Exercise[] =>
  exercises(prepared).filter(({ children }) => children.length > 0);
const nextNodeId = (prepared: PreparedTransaction): number => prepared.transaction!.nodes.length;
const copy = <T>(value: T): T => structuredClone(value);

export type Mutation = (prepared: PreparedTransaction, random: Random) => void;

const parties = [STRANGER, CUSTOMER, TREASURY];

/** Adds a copy of an existing node under an exercise, or as a root. */
function addNode(prepared: PreparedTransaction, random: Random, siblings: string[], owner?: string): void {
  const transaction = prepared.transaction!;
  const node = copy(pick(random, transaction.nodes));
  const type = node.versionedNode!.value.nodeType!;
  const nodeId = nextNodeId(prepared);
  node.nodeId = String(nodeId);
  if (type.$case === 'exercise') type.value.children = [];
  if (type.$case === 'create') {
    type.value.contractId = `00${Buffer.from(random.bytes(32)).toString('hex')}`;
    if (owner !== undefined) for (const site of partySites(type.value)) change(site, owner);
  }
  transaction.nodes.push(node);
  if (type.$case !== 'fetch') transaction.nodeSeeds.push({ nodeId, seed: random.bytes(32) });
  siblings.push(String(nodeId));
}

const partySites = (root: unknown): readonly Site[] =>
  sitesOf(root, (value) => typeof value === 'string' && value.includes('::1220') && !value.startsWith('global'));

/** Named damage, each aimed at one wall. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'a party in the root argument': (prepared, random) =>
    change(pick(random, partySites(rootArgument(prepared))), pick(random, parties)),
  'a party anywhere': (prepared, random) => change(pick(random, partySites(prepared)), pick(random, parties)),
  'the same party everywhere': (prepared, random) => {
    const { holder, key } = pick(random, partySites(prepared));
    const [from, to] = [holder[key], pick(random, parties)];
    for (const site of partySites(prepared)) if (site.holder[site.key] === from) change(site, to);
  },
  'an amount': (prepared, random) => {
    const sites = sitesOf(prepared, (value) => typeof value === 'string' && /^\d+\.\d{10}$/.test(value));
    const site = pick(random, sites);
    const text = String(site.holder[site.key]);
    change(
      site,
      pick(random, [
        `1${text}`,
        text.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10)),
        text.slice(0, -1),
        '0.0000000000',
        `-${text}`,
      ]),
    );
  },
  'an amount moved from one holding to another': (prepared, random) => {
    const amounts = creates(prepared).flatMap((create) =>
      sitesOf(
        create.argument,
        (value, { key }) => typeof value === 'string' && key === 'value' && /^\d+\.\d{10}$/.test(value),
      ),
    );
    const [from, to] = [pick(random, amounts), pick(random, amounts)];
    const text = String(from.holder[from.key]);
    change(from, to.holder[to.key]);
    change(to, text);
  },
  'inputs dropped or doubled': (prepared, random) => {
    const lists = sitesOf(rootArgument(prepared), (value) => Array.isArray(value) && value.length > 0);
    const site = pick(random, lists);
    const items = site.holder[site.key] as unknown[];
    change(site, pick(random, [[], items.slice(1), [...items, items[0]], items.toReversed()]));
  },
  'a contract id': (prepared, random) => {
    const sites = sitesOf(prepared, (value) => typeof value === 'string' && /^00[0-9a-f]{64}/.test(value));
    change(
      pick(random, sites),
      pick(
        random,
        sites.map((site) => site.holder[site.key]),
      ),
    );
  },
  'a time': (prepared, random) => {
    const sites = sitesOf(prepared, (value) => typeof value === 'bigint' && value > 10n ** 15n);
    const site = pick(random, sites);
    const by = pick(random, [1n, -1n, 3_600_000_000n, -86_400_000_000n, 10n ** 17n]);
    change(site, BigInt.asUintN(63, (site.holder[site.key] as bigint) + by));
  },
  'the last record time gone or another': (prepared, random) => {
    const { metadata } = prepared;
    const time = metadata!.maxRecordTime ?? 0n;
    metadata!.maxRecordTime = pick(random, [undefined, time + 1n, time - 1n, 2n ** 63n - 1n, 0n]);
  },
  'the synchronizer': (prepared, random) => {
    const { metadata } = prepared;
    const [name, key] = metadata!.synchronizerId.split('::');
    metadata!.synchronizerId = pick(random, [
      `${name}::${key}`,
      `${name}::${key}::34-5`,
      `${name}::${key}::35-6`,
      `x${name}::${key}::35-5`,
      `${metadata!.synchronizerId}0`,
      `${metadata!.synchronizerId} `,
      '',
    ]);
    if (metadata!.synchronizerId === `${name}::${key}::35-5`) metadata!.synchronizerId += '-1';
  },
  'who acts': (prepared, random) => {
    const submitter = prepared.metadata!.submitterInfo!;
    submitter.actAs = pick(random, [
      [],
      [STRANGER],
      [...submitter.actAs, STRANGER].toSorted(),
      [...submitter.actAs, ...submitter.actAs],
    ]);
  },
  'the command id': (prepared) => {
    prepared.metadata!.submitterInfo!.commandId += '-2';
  },
  'another root': (prepared, random) => addNode(prepared, random, prepared.transaction!.roots),
  'another node below': (prepared, random) => addNode(prepared, random, pick(random, parents(prepared)).children),
  'another node below, for somebody else': (prepared, random) =>
    addNode(prepared, random, pick(random, parents(prepared)).children, pick(random, parties)),
  'a node that hangs nowhere': (prepared, random) => addNode(prepared, random, []),
  'a child dropped': (prepared, random) => {
    const { children } = pick(random, parents(prepared));
    children.splice(Math.floor(random.next() * children.length), 1);
  },
  'a whole subtree dropped': (prepared, random) => {
    const { children } = pick(random, parents(prepared));
    const [dropped] = children.splice(Math.floor(random.next() * children.length), 1);
    const transaction = prepared.transaction!;
    const gone = new Set<string>();
    const pending = [dropped!];
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      gone.add(id);
      const node = transaction.nodes.find(({ nodeId }) => nodeId === id)?.versionedNode?.value.nodeType;
      if (node?.$case === 'exercise') pending.push(...node.value.children);
    }
    transaction.nodes = transaction.nodes.filter(({ nodeId }) => !gone.has(nodeId));
    transaction.nodeSeeds = transaction.nodeSeeds.filter(({ nodeId }) => !gone.has(String(nodeId)));
  },
  'children swapped': (prepared, random) => {
    const { children } = pick(random, parents(prepared));
    const [from, to] = [0, 0].map(() => Math.floor(random.next() * children.length)) as [number, number];
    [children[from], children[to]] = [children[to]!, children[from]!];
  },
  'a child of two parents': (prepared, random) => {
    const { children } = pick(random, parents(prepared));
    pick(random, exercises(prepared)).children.push(pick(random, children));
  },
  'a seed': (prepared, random) => {
    pick(random, prepared.transaction!.nodeSeeds).seed = random.bytes(pick(random, [32, 31, 0]));
  },
  'a seed gone': (prepared, random) => {
    const { nodeSeeds } = prepared.transaction!;
    nodeSeeds.splice(Math.floor(random.next() * nodeSeeds.length), 1);
  },
  'parties in another order': (prepared, random) => {
    const lists = sitesOf(
      prepared,
      (value) => Array.isArray(value) && value.length > 1 && value.every((item) => typeof item === 'string'),
    );
    const site = pick(random, lists);
    change(site, (site.holder[site.key] as string[]).toReversed());
  },
  'a party added': (prepared, random) => {
    const lists = sitesOf(
      prepared,
      (value) =>
        Array.isArray(value) &&
        value.length > 0 &&
        value.every((item) => typeof item === 'string' && item.includes('::')),
    );
    const site = pick(random, lists);
    change(site, [...new Set([...(site.holder[site.key] as string[]), pick(random, parties)])].toSorted());
  },
  'a choice': (prepared, random) => {
    const exercise = pick(random, exercises(prepared));
    exercise.choiceId = pick(random, [
      'Archive',
      'TransferFactory_Transfer',
      'AmuletRules_BuyMemberTraffic',
      'TransferPreapproval_SendV2',
      `${exercise.choiceId}2`,
    ]);
  },
  'consuming or not': (prepared, random) => {
    const exercise = pick(random, exercises(prepared));
    exercise.consuming = !exercise.consuming;
  },
  'a name of a template or interface': (prepared, random) => {
    const sites = sitesOf(
      prepared,
      (_value, { key }) => key === 'moduleName' || key === 'entityName' || key === 'packageName',
    );
    const site = pick(random, sites);
    change(site, `${String(site.holder[site.key])}X`);
  },
  'an unknown field at any depth': (prepared, random) => {
    const sites = sitesOf(prepared, (value) => isObject(value) && !Array.isArray(value) && '_unknownFields' in value);
    const site = pick(random, sites);
    Object.assign(site.holder[site.key] as Holder, {
      _unknownFields: { [pick(random, [802, 16_002])]: [new Uint8Array([2, 1, 1])] },
    });
  },
  'a metadata entry of the transfer': (prepared, random) => {
    const entries = sitesOf(
      rootArgument(prepared),
      (_value, { holder }) => Array.isArray(holder) && holder.some((entry) => isObject(entry) && 'key' in entry),
    );
    const site = pick(random, entries);
    const list = site.holder as unknown as { key: string }[];
    pick(random, [
      () => list.push({ ...copy(list[0]!), key: 'another' }),
      () => list.push(copy(list[0]!)),
      () => list.splice(0, 1),
      () => Object.assign(list[0]!, { key: 'renamed' }),
    ])();
  },
  'an input contract': (prepared, random) => {
    const contracts = prepared.metadata!.inputContracts;
    const index = Math.floor(random.next() * contracts.length);
    pick(random, [
      () => contracts.splice(index, 1),
      () => contracts.push(copy(contracts[index]!)),
      () =>
        contracts.push({
          ...copy(contracts[index]!),
          contract: {
            $case: 'v1',
            value: { ...contracts[index]!.contract!.value, contractId: `00${'ab'.repeat(32)}` },
          },
        }),
    ])();
  },
  'key mappings': (prepared) => {
    prepared.metadata!.globalKeyMapping = [{ key: undefined }];
  },
  'the kind of result': (prepared, random) => {
    const sites = sitesOf(prepared, (value, { key }) => key === 'constructor' && typeof value === 'string');
    change(
      pick(random, sites),
      pick(random, [
        'TransferInstructionResult_Pending',
        'TransferInstructionResult_Completed',
        'TransferInstructionResult_Failed',
      ]),
    );
  },
  'an event blob': (prepared, random) => {
    pick(random, prepared.metadata!.inputContracts).eventBlob = random.bytes(5);
  },
  'any text': (prepared, random) => {
    const site = pick(
      random,
      sitesOf(prepared, (value) => typeof value === 'string'),
    );
    change(site, pick(random, ['', 'x', `${String(site.holder[site.key])}0`]));
  },
  'any number': (prepared, random) => {
    const site = pick(
      random,
      sitesOf(prepared, (value) => typeof value === 'bigint' || typeof value === 'number'),
    );
    const value = site.holder[site.key];
    change(site, typeof value === 'bigint' ? value + 1n : Number(value) + 1);
  },
  'any truth': (prepared, random) => {
    const site = pick(
      random,
      sitesOf(prepared, (value) => typeof value === 'boolean'),
    );
    change(site, site.holder[site.key] !== true);
  },
  'any list': (prepared, random) => {
    const site = pick(
      random,
      sitesOf(prepared, (value) => Array.isArray(value) && value.length > 0),
    );
    const items = site.holder[site.key] as unknown[];
    const index = Math.floor(random.next() * items.length);
    change(site, pick(random, [items.toSpliced(index, 1), [...items, copy(items[index])], items.toReversed()]));
  },
  'any part gone': (prepared, random) => {
    // Elements of lists and contents of a chosen case cannot be absent on the wire.
    const parts = sitesOf(
      prepared,
      (value, { holder }) => isObject(value) && !Array.isArray(value) && !Array.isArray(holder) && !('$case' in holder),
    );
    change(pick(random, parts), undefined);
  },
};

/** Damage to the bytes themselves: flipped, lost, repeated or foreign ones. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = Math.floor(random.next() * bytes.length);
  const length = 1 + Math.floor(random.next() * 12);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  return pick(random, [
    () => bytes.map((byte, index) => (index === at ? byte ^ (1 << Math.floor(random.next() * 8)) : byte)),
    () => new Uint8Array(Buffer.concat([head, tail.subarray(length)])),
    () => new Uint8Array(Buffer.concat([head, tail.subarray(0, length), tail])),
    () => new Uint8Array(Buffer.concat([head, random.bytes(length), tail])),
    () => head.slice(),
    () => new Uint8Array(Buffer.concat([bytes, tail])),
  ])();
}
