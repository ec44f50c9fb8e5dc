/**
 * What makes two subscriptions the same: the document, the operation, the variables and all that its principal may see. Where each of them starts does not count: that is its own affair.
 *
 * A wrong "the same" would show one customer another's money, so everything counts that is not known to make no difference: of a principal all but the end of its credential.
 */
import {
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  isLeafType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  visit,
} from 'graphql';
import type { Principal } from '../schema/principal.ts';

/** The argument that says where a subscription starts. */
const START_ARGUMENT = 'after';

export type Operation = {
  readonly document: DocumentNode;
  /** The document’s text. */
  readonly query: string;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
};

/** @returns a text that is the same for operations whose every answer to the same event is the same. */
export function subscriptionKey(operation: Operation, principal: Principal): string {
  const start = startVariableOf(operation);
  const variables = Object.entries(operation.variables).filter(([name]) => name !== start);
  const { expiresAt: _expiresAt, ...authority } = principal;
  return canonical([operation.query, operation.operationName, Object.fromEntries(variables), authority]);
}

/** The variable that does nothing but say where to start; null: there is none. */
function startVariableOf({ document, operationName }: Operation): string | null {
  const field = rootFieldOf(getOperationAST(document, operationName));
  const value = field?.arguments?.find(({ name }) => name.value === START_ARGUMENT)?.value;
  if (value?.kind !== Kind.VARIABLE) return null;
  let uses = 0;
  visit(document, {
    VariableDefinition: () => undefined,
    Variable: (node, _key, parent) => {
      const isDefinition =
        parent !== undefined && !Array.isArray(parent) && 'kind' in parent && parent.kind === Kind.VARIABLE_DEFINITION;
      if (!isDefinition && node.name.value === value.name.value) uses++;
    },
  });
  return uses === 1 ? value.name.value : null;
}

/** Null where it hides in a fragment: such an operation is shared with its exact likes alone. */
function rootFieldOf(operation: OperationDefinitionNode | null | undefined): FieldNode | null {
  const [selection, ...others] = operation?.selectionSet.selections ?? [];
  return selection?.kind === Kind.FIELD && others.length === 0 ? selection : null;
}

/**
 * Whether every answer is made of the event alone: only leaves of the item are asked for, which are facts as recorded. Anything below may be read from the database as it is then.
 */
export function asksFactsAlone(schema: GraphQLSchema, { document, operationName }: Operation): boolean {
  const field = rootFieldOf(getOperationAST(document, operationName));
  const type = field === null ? undefined : schema.getSubscriptionType()?.getFields()[field.name.value]?.type;
  const item = type === undefined ? undefined : getNamedType(type);
  if (field?.selectionSet === undefined || item === undefined) return false;
  return onlyFields(field.selectionSet).every(
    (name) =>
      name === '__typename' ||
      ('getFields' in item &&
        item.getFields()[name] !== undefined &&
        isLeafType(getNamedType(item.getFields()[name]?.type))),
  );
}

/** Names of the fields; one that nobody has where something else than a plain field is selected. */
function onlyFields({ selections }: SelectionSetNode): string[] {
  return selections.map((selection) => (selection.kind === Kind.FIELD ? selection.name.value : ''));
}

/** JSON with the keys of objects and the members of sets in one order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof Set) return { set: [...inner].sort() };
    if (typeof inner === 'bigint') return { bigint: inner.toString() };
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
