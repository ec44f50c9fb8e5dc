/** The guide for support holds what the schema has: every document in it is valid, every mutation and query it names exists, and so does every command. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import { DESK_REFUSAL_CODES } from '../../src/deposits/desk-refusal.ts';
import { createSchema } from '../../src/schema/index.ts';

const guide = readFileSync(resolve(import.meta.dirname, '../../docs/guides/deposits.md'), 'utf8');
const schema = createSchema();
const documents = [...guide.matchAll(/```graphql\n(.*?)```/gs)].map(([, document = '']) => document);

describe('docs/guides/deposits.md', () => {
  test('has documents', () => expect(documents.length).toBeGreaterThan(7));

  test.each(documents)('this document is valid: %s', (document) => {
    expect(validate(schema, parse(document)).map(({ message }) => message)).toEqual([]);
  });

  test('names only mutations, queries and refusals that there are', () => {
    const fields = new Set([
      ...Object.keys(schema.getQueryType()?.getFields() ?? {}),
      ...Object.keys(schema.getMutationType()?.getFields() ?? {}),
    ]);
    const called = [...guide.matchAll(/`([a-z]+[A-Z]?\w*)\(/g)].map(([, name = '']) => name);
    expect(called.length).toBeGreaterThan(5);
    for (const name of called) expect(fields, name).toContain(name);
    for (const name of ['refuseDeskDecision', 'unparkOffer', 'parkOffer', 'retryOfferNow', 'acceptOffer']) {
      expect(guide).toContain(`\`${name}\``);
      expect(fields).toContain(name);
    }
    const [, refusals = ''] = /\*\*Refusals\*\*(.*?)\n\n/s.exec(guide) ?? [];
    const codes = [...refusals.matchAll(/`([A-Z_]+)`/g)].map(([, code = '']) => code);
    expect(codes.length).toBeGreaterThan(4);
    for (const code of codes) expect(DESK_REFUSAL_CODES).toContain(code);
  });
});
