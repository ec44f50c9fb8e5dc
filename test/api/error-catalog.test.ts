/** Every code has an entry that says why and what to do, and every type of a refusal is in the list that docs/errors.md is made from. */
import { isInterfaceType, isObjectType } from 'graphql';
import { expect, test } from 'vitest';
import { API_ERRORS, CLOSE_CODES } from '../../src/schema/error-catalog.ts';
import { createSchema } from '../../src/schema/index.ts';
import { listRefusals } from '../../src/schema/refusal-catalog.ts';

const schema = createSchema();
const refusals = listRefusals();

test('every type that implements Error is in the catalog, and nothing else', () => {
  const error = schema.getType('Error');
  const types = isInterfaceType(error) ? schema.getImplementations(error).objects.map(({ name }) => name) : [];

  expect([...refusals.keys()].sort()).toEqual([...types].sort());
});

test.each([...refusals])('the codes of %s are those that its description names', (name, family) => {
  const type = schema.getType(name);
  const description = (isObjectType(type) ? type.description : '') ?? '';
  const named = [...description.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, code]) => code);

  expect(new Set(named)).toEqual(new Set(family.map(({ code }) => code)));
});

test('every entry says what, why and what to do, in whole sentences', () => {
  const entries = [
    ...Object.entries(API_ERRORS),
    ...[...refusals.values()].flat().map(({ code, message, advice }) => [code, { message, ...advice }] as const),
  ];
  for (const [code, { message, why, fix }] of entries) {
    expect(code).toMatch(/^[A-Z][A-Z_]+$/);
    for (const text of [message, why, fix]) expect(text, code).toMatch(/^\S.*[.…]$/s);
  }
});

test('a code that closes a WebSocket is one that is listed', () => {
  for (const [code, { close }] of Object.entries(API_ERRORS)) {
    if (close !== null) expect(Object.keys(CLOSE_CODES), code).toContain(String(close));
  }
});
