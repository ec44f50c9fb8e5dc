/**
 * How much a single operation may ask for, decided before anything runs and on every transport alike (HTTP, WebSocket and SSE share the
 * validation). Each fragment is measured once, however often it is spread, so measuring is linear in the document.
 */
import {
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeInfo,
  TypeMetaFieldDef,
  ValidationContext,
  type ValidationRule,
} from 'graphql';
import type { QueryLimits } from '../schema/api-limits.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../schema/connection.ts';
import type { ApiErrorCode } from '../schema/error-catalog.ts';

/** Rows assumed of a list without a page size: those lists are short by nature (treasury parties, accepted instruments). */
const PLAIN_LIST_ROWS = 10;
/** Rows that a list without pages gives at most, where it takes `first` (stuckWithdrawals). */
const FIRST_ROWS_MAX = 200;
/** Rows assumed of what the schema tells about itself, where it is not all its types. */
const INTROSPECTED_ROWS = 8;
/** Rows that an answer about the schema may have: the whole of it, as tools ask for it, has half. */
const INTROSPECTED_MAX = 100_000;

type Size = {
  readonly depth: number;
  /** Fields beside each other, at the widest. */
  readonly breadth: number;
  /** Own fields of the level that is looked at. */
  readonly width: number;
  readonly fields: number;
  readonly aliases: number;
  readonly directives: number;
  readonly cost: number;
  /** Rows of lists that the schema tells about itself. */
  readonly introspected: number;
};

const NOTHING: Size = {
  depth: 0,
  breadth: 0,
  width: 0,
  fields: 0,
  aliases: 0,
  directives: 0,
  cost: 0,
  introspected: 0,
};

type Bound = { readonly of: keyof Size; readonly max: number; readonly code: QueryLimitCode };

/** What an operation can be too much of. */
export type QueryLimitCode = Extract<ApiErrorCode, `QUERY_${string}`>;

const boundsOf = (limits: QueryLimits): readonly Bound[] => [
  { of: 'depth', max: limits.depthMax, code: 'QUERY_TOO_DEEP' },
  { of: 'fields', max: limits.fieldsMax, code: 'QUERY_TOO_LARGE' },
  { of: 'breadth', max: limits.breadthMax, code: 'QUERY_TOO_WIDE' },
  { of: 'aliases', max: limits.aliasesMax, code: 'QUERY_TOO_MANY_ALIASES' },
  { of: 'directives', max: limits.directivesMax, code: 'QUERY_TOO_MANY_DIRECTIVES' },
  { of: 'cost', max: limits.costMax, code: 'QUERY_TOO_COSTLY' },
  { of: 'introspected', max: INTROSPECTED_MAX, code: 'QUERY_TOO_COSTLY' },
];

/**
 * A validation rule; answers status 400 and names the limit. Fragments that no operation spreads are measured as well: other rules look into them,
 * and some of those take time by the square of what stands beside each other.
 */
export function createQueryLimitsRule(limits: QueryLimits): ValidationRule {
  const bounds = boundsOf(limits);
  return function queryLimits(context: ValidationContext): ASTVisitor {
    const measure = createMeasure(context);
    const check = (
      node: OperationDefinitionNode | FragmentDefinitionNode,
      type: GraphQLNamedType | undefined,
    ): false => {
      const found = measure(node.selectionSet, type);
      const size = plus(
        { ...found, breadth: Math.max(found.breadth, found.width) },
        { ...NOTHING, directives: node.directives?.length ?? 0 },
      );
      for (const { of, max, code } of bounds) {
        if (size[of] <= max) continue;
        context.reportError(
          new GraphQLError(`The operation is too large: ${of} ${size[of]}, at most ${max}.`, {
            nodes: node,
            // Without `spec` the status holds for every accepted media type.
            extensions: { code, limit: max, http: { status: 400, spec: false } },
          }),
        );
      }
      return false;
    };
    return {
      OperationDefinition: (node) => check(node, context.getSchema().getRootType(node.operation) ?? undefined),
      FragmentDefinition: (node) => check(node, context.getSchema().getType(node.typeCondition.name.value)),
    };
  };
}

/** What an operation of a valid document costs, counted as its bound is. Looked at once, for as long as the document lives. */
export type CostOf = (document: DocumentNode, operation: OperationDefinitionNode) => number;

export function createCostOf(schema: GraphQLSchema): CostOf {
  const known = new WeakMap<OperationDefinitionNode, number>();
  return (document, operation) => {
    const before = known.get(operation);
    if (before !== undefined) return before;
    const context = new ValidationContext(schema, document, new TypeInfo(schema), () => undefined);
    const { cost } = createMeasure(context)(
      operation.selectionSet,
      schema.getRootType(operation.operation) ?? undefined,
    );
    known.set(operation, cost);
    return cost;
  };
}

type Measure = (selectionSet: SelectionSetNode, parent: GraphQLNamedType | undefined) => Size;

function createMeasure(context: ValidationContext): Measure {
  const schema = context.getSchema();
  const fragments = new Map<FragmentDefinitionNode, Size>();

  function ofSelectionSet(selectionSet: SelectionSetNode, parent: GraphQLNamedType | undefined): Size {
    let total = NOTHING;
    for (const selection of selectionSet.selections) {
      const own = { ...NOTHING, directives: selection.directives?.length ?? 0 };
      switch (selection.kind) {
        case Kind.FIELD:
          total = plus(total, plus(own, ofField(selection, parent)));
          break;
        case Kind.INLINE_FRAGMENT: {
          const type =
            selection.typeCondition === undefined ? parent : schema.getType(selection.typeCondition.name.value);
          total = plus(total, plus(own, ofSelectionSet(selection.selectionSet, type)));
          break;
        }
        case Kind.FRAGMENT_SPREAD: {
          const fragment = context.getFragment(selection.name.value);
          total = plus(total, plus(own, fragment == null ? NOTHING : ofFragment(fragment)));
          break;
        }
      }
    }
    return total;
  }

  function ofFragment(fragment: FragmentDefinitionNode): Size {
    const known = fragments.get(fragment);
    if (known !== undefined) return known;
    // Met again before it is measured, it contains itself: another rule refuses that, here it must only end.
    fragments.set(fragment, NOTHING);
    const size = ofSelectionSet(fragment.selectionSet, schema.getType(fragment.typeCondition.name.value));
    fragments.set(fragment, size);
    return size;
  }

  function ofField(node: FieldNode, parent: GraphQLNamedType | undefined): Size {
    const name = node.name.value;
    const own: Size = {
      ...NOTHING,
      depth: 1,
      breadth: 1,
      width: 1,
      fields: 1,
      aliases: node.alias === undefined ? 0 : 1,
      cost: 1,
    };
    if (node.selectionSet === undefined) return own;
    const field = fieldOf(parent, name);
    const type = field === undefined ? undefined : getNamedType(field.type);
    const below = ofSelectionSet(node.selectionSet, isCompositeType(type) ? type : undefined);
    const total: Size = {
      ...own,
      breadth: Math.max(below.breadth, below.width),
      fields: 1 + below.fields,
      aliases: own.aliases + below.aliases,
      directives: below.directives,
      introspected: below.introspected,
    };
    // The schema about itself reads no database: what is bounded is how long its answer is. By its types, so that nothing else escapes
    // under one of its names; how deep it goes is bounded by the types it tells of, and by a rule of graphql-js.
    if (field !== undefined && type !== undefined && isIntrospectionType(type)) {
      return isList(field.type)
        ? { ...total, introspected: introspectedRowsOf(field) * (1 + below.introspected) }
        : total;
    }
    return { ...total, depth: 1 + below.depth, cost: 1 + rowsOf(node, field) * below.cost };
  }

  function fieldOf(parent: GraphQLNamedType | undefined, name: string): GraphQLField<unknown, unknown> | undefined {
    if (parent === schema.getQueryType()) {
      if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef;
      if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef;
    }
    return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
  }

  function introspectedRowsOf(field: GraphQLField<unknown, unknown>): number {
    return field.name === 'types' ? Object.keys(schema.getTypeMap()).length : INTROSPECTED_ROWS;
  }

  return ofSelectionSet;
}

function plus(a: Size, b: Size): Size {
  return {
    depth: Math.max(a.depth, b.depth),
    breadth: Math.max(a.breadth, b.breadth),
    width: a.width + b.width,
    fields: a.fields + b.fields,
    aliases: a.aliases + b.aliases,
    directives: a.directives + b.directives,
    cost: a.cost + b.cost,
    introspected: a.introspected + b.introspected,
  };
}

/** How many rows a field may have at most, as far as the document tells. */
function rowsOf(node: FieldNode, field: GraphQLField<unknown, unknown> | undefined): number {
  if (field === undefined) return 1;
  const isPaged = field.args.some((arg) => arg.name === 'first') && field.args.some((arg) => arg.name === 'last');
  if (isPaged) {
    const sizes = node.arguments?.filter(({ name }) => name.value === 'first' || name.value === 'last') ?? [];
    const rows = sizes.map(({ value }) => {
      if (value.kind === Kind.INT) return Number(value.value);
      return value.kind === Kind.NULL ? PAGE_SIZE_DEFAULT : PAGE_SIZE_MAX;
    });
    return Math.max(1, rows.length === 0 ? PAGE_SIZE_DEFAULT : Math.max(...rows));
  }
  if (field.args.some((arg) => arg.name === 'ids')) return PAGE_SIZE_MAX;
  // The first of a plain list, and of that as many as are asked for.
  if (field.args.some((arg) => arg.name === 'first')) return firstRowsOf(node);
  // `nodes` and `edges` are the rows of their connection, counted there.
  if (field.name === 'nodes' || field.name === 'edges') return 1;
  return isList(field.type) ? PLAIN_LIST_ROWS : 1;
}

function firstRowsOf(node: FieldNode): number {
  const value = node.arguments?.find(({ name }) => name.value === 'first')?.value;
  return value?.kind === Kind.INT ? Math.max(1, Number(value.value)) : FIRST_ROWS_MAX;
}

function isList(type: GraphQLOutputType): boolean {
  return isListType(isNonNullType(type) ? type.ofType : type);
}
