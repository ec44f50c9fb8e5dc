/**
 * Who may use which field, as the schema says and as it is. The generated lines are compared with access-matrix.txt: a new field has no line there, and somebody has to look at who may see it before he adds one.
 */
import { type GraphQLField, type GraphQLObjectType, type GraphQLSchema, isObjectType } from 'graphql';
import { isForCustomers } from '../../src/schema/customer-wall.ts';
import { grantsOf } from '../../src/schema/grants.ts';
import { type Principal, principalOf, type Scope } from '../../src/schema/principal.ts';
import { ROLE_SCOPES, ROLES, type Role } from '../../src/schema/role.ts';

export const principalOfRole = (role: Role, owner = 'alice'): Principal =>
  principalOf(
    role,
    ROLE_SCOPES[role],
    role === 'customer' ? { reach: { kind: 'ACCOUNT', network: 'testnet', owner } } : {},
  );

type Demand = Readonly<Record<string, unknown>>;

/** Whether grants meet what a field demands, in the words that fields demand with: scopes by name, `$any`, `$all`. Several names beside each other mean any of them. */
function meets(demand: Demand, grants: Readonly<Record<Scope, boolean>>): boolean {
  return Object.entries(demand).some(([name, value]) => {
    if (name === '$any') return meets(value as Demand, grants);
    if (name === '$all') return Object.keys(value as Demand).every((scope) => grants[scope as Scope]);
    return value === true && grants[name as Scope];
  });
}

function demandOf(declared: GraphQLObjectType | GraphQLField<unknown, unknown>): Demand | null {
  const { authScopes } = (declared.extensions['pothosOptions'] ?? {}) as { readonly authScopes?: Demand };
  return authScopes ?? null;
}

export function mayUse(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  field: GraphQLField<unknown, unknown>,
  role: Role,
): boolean {
  const grants = grantsOf(principalOfRole(role));
  if (role === 'customer' && !isForCustomers(type.name, field.name)) return false;
  if (role === 'auditor' && type === schema.getMutationType()) return false;
  return [demandOf(type), demandOf(field)].every((demand) => demand === null || meets(demand, grants));
}

export function fieldsOf(schema: GraphQLSchema): (readonly [GraphQLObjectType, GraphQLField<unknown, unknown>])[] {
  return Object.values(schema.getTypeMap())
    .filter((type): type is GraphQLObjectType => isObjectType(type) && !type.name.startsWith('__'))
    .flatMap((type) => Object.values(type.getFields()).map((field) => [type, field] as const))
    .sort(([a, x], [b, y]) => (`${a.name}.${x.name}` < `${b.name}.${y.name}` ? -1 : 1));
}

/** One line per field: its name and the roles that may use it. */
export function matrixOf(schema: GraphQLSchema): string[] {
  return fieldsOf(schema).map(
    ([type, field]) =>
      `${type.name}.${field.name}: ${ROLES.filter((role) => mayUse(schema, type, field, role)).join(' ')}`,
  );
}
