/**
 * Every mutation runs as somebody: whatever it changes carries who asked, by which mutation, and the hash of what was asked. Done over the
 * finished schema, once, so that no mutation can be added without it; the entries themselves are the database's doing (migrations/0025).
 */
import { createHash } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import { actAs } from '../db/acting.ts';
import type { Principal } from './principal.ts';

/** Changes the resolvers of `schema` in place. */
export function auditMutations(schema: GraphQLSchema): void {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const { resolve } = field;
    if (resolve === undefined) continue;
    field.resolve = (source, args: unknown, context: { readonly principal: Principal }, info) =>
      actAs({ principal: context.principal.name, action: field.name, inputHash: inputHashOf(args) }, () =>
        resolve(source, args, context, info),
      );
  }
}

/** SHA-256 over the arguments as JSON with sorted keys, whole numbers as text: equal for equal arguments, however they were sent. */
export function inputHashOf(args: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(args)))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, part]) => [key, sorted(part)]),
  );
}
