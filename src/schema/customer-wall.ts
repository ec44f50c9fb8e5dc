/**
 * Three walls around a customer, put around every field of the finished schema, so that no field can be added without them:
 *
 *   fields    one that customer-view.ts does not name is refused
 *   answers   an object that is somebody else's is taken out of the answer: null, as if it were not there, where null is allowed, and an error where it is not
 *   parents   a field of an object that is somebody else's is refused, however it was come by
 *
 * Lists are bounded before, by the reach that whatever reads them takes (src/read/reach.ts): what is taken out here would leave a hole. An auditor stands before one wall: he changes nothing.
 */
import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { assert } from '../env/errors.ts';
import { type Reach, reaches } from '../read/reach.ts';
import { apiError } from './api-error.ts';
import { CUSTOMER_FIELDS, INHERITED, OPEN_NODES, OWNERS } from './customer-view.ts';
import { parseGlobalId } from './global-id.ts';
import type { Principal } from './principal.ts';

type Asker = { readonly principal: Principal };
type Field = GraphQLField<unknown, Asker>;
type Customer = Extract<Reach, { kind: 'ACCOUNT' }>;
type Resolve = (source: unknown, args: Record<string, unknown>, context: Asker, info: GraphQLResolveInfo) => unknown;

/** Changes the resolvers and descriptions of `schema` in place. @throws AssertionError for a name in the list that the schema does not have. */
export function wallCustomers(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) wall(schema, type, field);
  }
}

export function isForCustomers(type: string, field: string): boolean {
  return CUSTOMER_FIELDS[type]?.includes(field) === true;
}

/** @returns names of the list that the schema does not have, as `Type.field`: it changed, and somebody has to look. */
export function unknownCustomerFields(schema: GraphQLSchema): string[] {
  return Object.entries(CUSTOMER_FIELDS).flatMap(([name, fields]) => {
    const type = schema.getType(name);
    const known = isObjectType(type) ? type.getFields() : {};
    return fields.filter((field) => !Object.hasOwn(known, field)).map((field) => `${name}.${field}`);
  });
}

function wall(schema: GraphQLSchema, type: GraphQLObjectType, field: Field): void {
  const isAllowed = isForCustomers(type.name, field.name);
  const isMutation = schema.getMutationType() === type;
  const { resolve = defaultFieldResolver, subscribe } = field;
  const ownerOf = OWNERS[type.name];
  const refused = () => apiError('FORBIDDEN', `Your principal may not see ${type.name}.${field.name}.`);
  if (isAllowed) field.description = withOwn(field.description);

  const walled = (inner: Resolve, confined: boolean): Resolve => {
    return (source, args, context, info) => {
      const { reach, scopes } = context.principal;
      if (reach.kind === 'EVERYTHING') {
        if (isMutation && scopes.has('audit')) throw refused();
        return inner(source, args, context, info);
      }
      if (!isAllowed) throw refused();
      if (ownerOf !== undefined) {
        const owner = ownerOf(source);
        // A transfer that went out is attributed to nobody, and was come by through a withdrawal of his.
        if (owner === null ? type.name !== 'Transfer' : !reaches(reach, owner)) throw refused();
      }
      return confined
        ? answerTo(reach, { schema, type, field, args }, () => inner(source, args, context, info), refused)
        : inner(source, args, context, info);
    };
  };
  field.resolve = walled(resolve, true);
  if (subscribe !== undefined) field.subscribe = walled(subscribe, false);
}

type Asked = {
  readonly schema: GraphQLSchema;
  readonly type: GraphQLObjectType;
  readonly field: Field;
  readonly args: Record<string, unknown>;
};

/** What `ask` brings, less what is not the customer's. */
function answerTo(
  reach: Customer,
  { schema, type, field, args }: Asked,
  ask: () => unknown,
  refused: () => Error,
): unknown {
  const named = getNamedType(field.type).name;
  if (named === 'Node') return nodesTo(reach, args, ask, refused);
  const ownerOf = OWNERS[named];
  if (ownerOf === undefined || INHERITED.has(`${type.name}.${field.name}`)) return ask();
  assert(isObjectType(schema.getType(named)), `${named} is no object type.`);
  return then(ask(), (answer) => confine(field.type, answer, (row) => reaches(reach, ownerOf(row)), refused));
}

/** `node` and `nodes`: the type is in the id. What customers never see is not even asked for. */
function nodesTo(
  reach: Customer,
  { id, ids }: Record<string, unknown>,
  ask: () => unknown,
  refused: () => Error,
): unknown {
  const typeOf = (given: unknown): string => parseGlobalId(String(given)).type;
  const isSeen = (name: string): boolean => OPEN_NODES.has(name) || OWNERS[name] !== undefined;
  const isHis = (name: string, row: unknown): boolean =>
    OPEN_NODES.has(name) || reaches(reach, OWNERS[name]?.(row) ?? null);
  if (!Array.isArray(ids)) {
    const name = typeOf(id);
    if (!isSeen(name)) return null;
    return then(ask(), (row) => (isNothing(row) || isHis(name, row) ? row : null));
  }
  const names = ids.map(typeOf);
  return then(ask(), (rows) => {
    if (!Array.isArray(rows) || rows.length !== names.length) throw refused();
    return rows.map((row: unknown, index) =>
      then(row, (one) => (isNothing(one) || isHis(names[index] ?? '', one) ? one : null)),
    );
  });
}

function confine(
  type: GraphQLOutputType,
  answer: unknown,
  isHis: (row: unknown) => boolean,
  refused: () => Error,
): unknown {
  const inner = isNonNullType(type) ? type.ofType : type;
  if (isNothing(answer)) return answer;
  if (isListType(inner)) {
    if (!Array.isArray(answer)) throw refused();
    return answer.map((item: unknown) => then(item, (one) => confine(inner.ofType, one, isHis, refused)));
  }
  if (isHis(answer)) return answer;
  if (isNonNullType(type)) throw refused();
  return null;
}

/** Errors stand in the place of rows that a loader did not find. */
function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value instanceof Error;
}

function then(value: unknown, next: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(next) : next(value);
}

function withOwn(description: string | null | undefined): string {
  return (description ?? '').replace(/(Scopes?: [^.]*)\. Since/, '$1; or `own`. Since');
}
