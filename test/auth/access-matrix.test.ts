/**
 * Goal: for every field of the schema and every role it is written down who may use it, and it is so. Method: the matrix is generated from the schema and compared with a file; then each field's own resolver is called as
 * each role, with an object of its type, and has to refuse or not as the file says.
 *
 * A field without a line fails: look at who may see it (customers see what src/schema/customer-view.ts names), then write the lines with SLUICE_WRITE_ACCESS_MATRIX=1.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { GraphQLError, type GraphQLResolveInfo, isObjectType } from 'graphql';
import { beforeAll, describe, expect, test } from 'vitest';
import { OWNERS } from '../../src/schema/customer-view.ts';
import { isForCustomers, unknownCustomerFields } from '../../src/schema/customer-wall.ts';
import { createSchema } from '../../src/schema/index.ts';
import { ROLES } from '../../src/schema/role.ts';
import { fieldsOf, matrixOf, principalOfRole } from './access-matrix.ts';

const FILE = new URL('access-matrix.txt', import.meta.url);
const schema = createSchema();
let written: readonly string[] = [];

beforeAll(async () => {
  if (process.env['SLUICE_WRITE_ACCESS_MATRIX'] === '1') await writeFile(FILE, `${matrixOf(schema).join('\n')}\n`);
  written = (await readFile(FILE, 'utf8')).trimEnd().split('\n');
});

test('Z26: every field has its line, and no line is of a field that is gone', () => {
  expect(matrixOf(schema)).toEqual(written);
});

test('Z26: what customers may see is all in the schema', () => {
  // Declared ahead of the fields they name, nothing else may be.
  expect(unknownCustomerFields(schema)).toEqual([]);
});

test('Z26: what customers see of treasuries, attempts, people and policies is nothing', () => {
  const forbidden =
    /^(Treasury|Holding|Balance$|BalanceEdge|BalanceConnection|WithdrawalAttempt|WithdrawalPolicy|WithdrawalApproval|Desk|Policy|Approval|Freeze|Halt|Ingestion|Registry|Participant|Token|Audit|Verification|Screening|Quarantined|Offer)/;
  const seen = written.filter((line) => / .*\bcustomer\b/.test(line));

  expect(seen.filter((line) => forbidden.test(line))).toEqual([]);
  expect(seen.filter((line) => line.startsWith('Mutation.'))).toEqual([]);
  expect(written.filter((line) => line.startsWith('Mutation.') && line.includes('auditor'))).toEqual([]);
});

/** As an object of every type that is somebody's would look. */
const rowOf = (owner: string): Readonly<Record<string, Record<string, unknown>>> => ({
  Account: { network: 'testnet', owner },
  DepositAccount: { network: 'testnet', account: owner },
  Withdrawal: { account: { network: 'testnet', owner } },
  Transfer: { attribution: { account: { network: 'testnet', owner } } },
});

/** What a resolver of its own would need to answer is not there: whoever comes to it has passed, and fails otherwise than by being refused. */
async function isRefused(
  name: string,
  field: ReturnType<typeof fieldsOf>[number][1],
  role: (typeof ROLES)[number],
  source: unknown,
): Promise<boolean> {
  const context = { principal: principalOfRole(role) };
  const info = {
    parentType: schema.getType(name),
    fieldName: field.name,
    path: { key: field.name, prev: undefined, typename: name },
    returnType: field.type,
    schema,
    fieldNodes: [],
    fragments: {},
    rootValue: null,
    operation: {},
    variableValues: {},
  } as unknown as GraphQLResolveInfo;
  const run = name === 'Subscription' ? field.subscribe : field.resolve;
  try {
    await run?.(source, {}, context, info);
    return false;
  } catch (error) {
    return error instanceof GraphQLError && error.extensions['code'] === 'FORBIDDEN';
  }
}

describe('Z25: each field refuses each role as its line says', () => {
  test.each(ROLES)('%s', async (role) => {
    const wrong: string[] = [];
    for (const [type, field] of fieldsOf(schema)) {
      const line = written.find((one) => one.startsWith(`${type.name}.${field.name}: `)) ?? '';
      const isAllowed = line.split(': ')[1]?.split(' ').includes(role) === true;
      const source = rowOf('alice')[type.name] ?? {};
      if ((await isRefused(type.name, field, role, source)) === isAllowed) wrong.push(`${type.name}.${field.name}`);
    }
    expect(wrong).toEqual([]);
  });

  test('a field of what is another customer’s is refused, however it was come by', async () => {
    const open: string[] = [];
    for (const [type, field] of fieldsOf(schema)) {
      if (OWNERS[type.name] === undefined) continue;
      const isOwn = await isRefused(type.name, field, 'customer', rowOf('alice')[type.name]);
      if (isForCustomers(type.name, field.name)) expect(isOwn, `${type.name}.${field.name}`).toBe(false);
      if (!(await isRefused(type.name, field, 'customer', rowOf('bob')[type.name])))
        open.push(`${type.name}.${field.name}`);
    }
    expect(open).toEqual([]);
  });

  test('an owned type whose row no longer says whose it is shows nothing', async () => {
    for (const name of Object.keys(OWNERS).filter((type) => type !== 'Transfer')) {
      const type = schema.getType(name);
      const fields = isObjectType(type) ? Object.values(type.getFields()) : [];
      for (const field of fields)
        expect(await isRefused(name, field, 'customer', {}), `${name}.${field.name}`).toBe(true);
    }
  });
});
