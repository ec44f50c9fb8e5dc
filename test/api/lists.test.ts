/**
 * Every list of the schema costs the same number of statements with one row of everything as with twenty. The queries are made from the
 * schema: each field that `Query` has, with all that its objects have, three levels deep. A list that the scene leaves empty proves nothing, so
 * it fails unless it is named below with the reason.
 */
import {
  type GraphQLField,
  type GraphQLObjectType,
  getNamedType,
  isCompositeType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { API_LIMITS_DEFAULT } from '../../src/schema/api-limits.ts';
import { createSchema } from '../../src/schema/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { type CountedDatabase, countStatements } from '../support/counted.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { fillWideScene } from '../support/wide-scene.ts';

const DEPTH = 3;
const FEW = 1;
const MANY = 20;

/** Lists that are not measured, each with the reason. */
const UNMEASURED: Readonly<Record<string, string>> = {
  'VerifiedInstrument.differences': 'four levels deep, and a column of its row',
  'WithdrawalPreflight.checks': 'asks registries and participants; its statements are counted in preflight.test.ts',
  'WithdrawalPreflight.funds': 'as its checks',
  'Account.balancesAsOf': 'needs a time: measured by itself',
};

/** What fields of `Query` need told. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  accountJournal: 'customer: "customer-1"',
  balancesAsOf: `asOf: { recordTime: "2026-11-22T00:00:00.000900Z" }`,
  explain: 'updateId: "update-1"',
  deskCase: 'transferId: "tr_1"',
  offer: 'transferId: "tr_1"',
  postTransfer: 'postTransferId: "pt_1"',
  proofOfTransfer: 'transferId: "tr_1"',
  transfer: 'transferId: "tr_1"',
  withdrawal: 'withdrawalId: "wd_1UNRESOLVED"',
};

const schema = createSchema();

type Scene = { readonly database: TestDatabase; readonly counted: CountedDatabase; readonly api: TestApi };
let few: Scene;
let many: Scene;

async function startScene(count: number): Promise<Scene> {
  const database = await createTestDatabase();
  await fillWideScene(database.db, count);
  const counted = countStatements(database);
  const query = Object.fromEntries(Object.keys(API_LIMITS_DEFAULT.query).map((limit) => [limit, 10_000_000]));
  const limits = { ...API_LIMITS_DEFAULT, query: { ...API_LIMITS_DEFAULT.query, ...query } };
  return { database, counted, api: await startApi(database, { db: counted.db, limits }) };
}

beforeAll(async () => {
  few = await startScene(FEW);
  many = await startScene(MANY);
});

afterAll(async () => {
  for (const { api, counted, database } of [few, many]) {
    await api.stop();
    await counted.close();
    await database.close();
  }
});

type Field = GraphQLField<unknown, unknown>;

const isConnection = (field: Field): boolean => getNamedType(field.type).name.endsWith('Connection');
const isList = (field: Field): boolean => isListType(isNonNullType(field.type) ? field.type.ofType : field.type);
const needsArguments = (field: Field): boolean =>
  field.args.some((arg) => isNonNullType(arg.type) && arg.defaultValue === undefined);

/** Everything that an object of `type` has, `depth` levels of objects below it; what needs arguments is left out. */
function selectionOf(type: GraphQLObjectType, depth: number): string {
  const parts = Object.values(type.getFields())
    .filter((field) => !needsArguments(field))
    .map((field) => {
      const named = getNamedType(field.type);
      if (!isCompositeType(named)) return field.name;
      if (depth === 0 || !isObjectType(named)) return '';
      return `${field.name}${isConnection(field) ? `(first: ${MANY})` : ''} { ${selectionOf(named, depth - 1)} }`;
    });
  return ['__typename', ...parts].filter((part) => part !== '').join(' ');
}

function queryOf(field: Field): string {
  const named = getNamedType(field.type);
  if (!isObjectType(named)) throw new Error(`${field.name} lists no objects.`);
  const args = [ARGUMENTS[field.name] ?? '', isConnection(field) ? `first: ${MANY}` : ''].filter((part) => part !== '');
  const node = named.getFields()['nodes'];
  const row = node === undefined ? undefined : getNamedType(node.type);
  const selection =
    isConnection(field) && isObjectType(row)
      ? `nodes { ${selectionOf(row, DEPTH - 1)} }`
      : selectionOf(named, DEPTH - 1);
  return `{ ${field.name}${args.length === 0 ? '' : `(${args.join(', ')})`} { ${selection} } }`;
}

const ROOTS = Object.values(schema.getQueryType()?.getFields() ?? {})
  .filter((field) => isObjectType(getNamedType(field.type)))
  .filter((field) => !needsArguments(field) || ARGUMENTS[field.name] !== undefined);

/** Lists of objects found in an answer: how many rows each had at most. */
function countLists(value: unknown, place: string, found: Map<string, number>): void {
  if (Array.isArray(value)) {
    found.set(place, Math.max(found.get(place) ?? 0, value.length));
    for (const item of value) countLists(item, place, found);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const type = '__typename' in value ? String(value.__typename) : null;
  for (const [key, part] of Object.entries(value)) countLists(part, type === null ? place : `${type}.${key}`, found);
}

const filled = new Map<string, number>();

async function statementsOf({ api, counted }: Scene, query: string): Promise<{ count: number; data: unknown }> {
  counted.forget();
  const { data, errors } = await api.query(query);
  expect(errors).toBeUndefined();
  return { count: counted.statements.length, data };
}

test.each(ROOTS.map((field) => [field.name, field] as const))(
  '%s costs as many statements with many rows as with one',
  async (name, field) => {
    const query = queryOf(field);

    const one = await statementsOf(few, query);
    const twenty = await statementsOf(many, query);

    countLists(twenty.data, `Query.${name}`, filled);
    expect(twenty.count).toBe(one.count);
  },
);

/** Every list of objects that a query can reach, but the pages themselves. */
function listsOfSchema(): string[] {
  const seen = new Set<string>();
  const lists: string[] = [];
  const walk = (type: GraphQLObjectType): void => {
    if (seen.has(type.name)) return;
    seen.add(type.name);
    for (const field of Object.values(type.getFields())) {
      const named = getNamedType(field.type);
      if (!isObjectType(named)) continue;
      if ((isList(field) || isConnection(field)) && !type.name.endsWith('Connection'))
        lists.push(`${type.name}.${field.name}`);
      walk(named);
    }
  };
  const query = schema.getQueryType();
  if (query != null) walk(query);
  return lists;
}

test('what accounts had costs as many statements for many as for one', async () => {
  const query =
    '{ accounts(first: 20) { nodes { balancesAsOf(asOf: { recordTime: "2026-11-22T00:00:00.000900Z" }) { amount instrument { id } } } } }';

  const one = await statementsOf(few, query);
  const twenty = await statementsOf(many, query);

  expect(twenty.count).toBe(one.count);
  expect(JSON.stringify(twenty.data).match(/amount/g)?.length).toBeGreaterThanOrEqual(MANY);
});

test('no list is measured empty, or not at all', () => {
  const lists = listsOfSchema();
  const unmeasured = lists.filter((place) => (filled.get(place) ?? 0) === 0);

  expect(unmeasured.filter((place) => UNMEASURED[place] === undefined)).toEqual([]);
  expect(Object.keys(UNMEASURED).filter((place) => !unmeasured.includes(place))).toEqual([]);
  expect(lists.length).toBeGreaterThan(30);
  expect(ROOTS.length).toBeGreaterThan(25);
});
