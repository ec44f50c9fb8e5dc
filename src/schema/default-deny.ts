/** Access is denied unless allowed: a schema with a field that demands no scope is not built. */
import { type GraphQLField, type GraphQLObjectType, type GraphQLSchema, isObjectType } from 'graphql';
import { assert } from '../env/errors.ts';

/** @throws AssertionError naming the fields that demand no scope, neither by themselves nor by their type. */
export function assertEveryFieldDemandsScope(schema: GraphQLSchema): void {
  const open = fieldsWithoutScope(schema);
  assert(open.length === 0, `Fields that demand no scope: ${open.join(', ')}.`, { fields: open });
}

/** @returns `Type.field` of every field of every object type that anybody could read. */
export function fieldsWithoutScope(schema: GraphQLSchema): string[] {
  return Object.values(schema.getTypeMap())
    .filter((type): type is GraphQLObjectType => isObjectType(type) && !type.name.startsWith('__'))
    .filter((type) => !demandsScope(type))
    .flatMap((type) =>
      Object.values(type.getFields())
        .filter((field) => !demandsScope(field))
        .map((field) => `${type.name}.${field.name}`),
    );
}

/** Reads the options the type or field was declared with, where Pothos keeps them. */
function demandsScope(declared: GraphQLObjectType | GraphQLField<unknown, unknown>): boolean {
  const options: unknown = declared.extensions['pothosOptions'];
  if (typeof options !== 'object' || options === null || !('authScopes' in options)) return false;
  const scopes: unknown = options.authScopes;
  return typeof scopes === 'object' && scopes !== null && Object.keys(scopes).length > 0;
}
