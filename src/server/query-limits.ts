/**
 * How much a single operation may ask for, decided before anything runs and on every transport alike (HTTP, WebSocket and SSE share the
 * validation). Each fragment is measured once, however often it is spread, so measuring is linear in the document.
 */
import {
  type ASTVisitor,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLOutputType,
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../schema/connection.ts';

/** Lexical tokens of a document; introspection by GraphiQL has about 300. Enforced by the parser. */
export const QUERY_TOKENS_MAX = 2_000;
/** Fields within fields; the schema's deepest useful path has 9. */
export const QUERY_DEPTH_MAX = 12;
/** Fields of one operation, fragments counted where they are spread. */
export const QUERY_FIELDS_MAX = 500;
/** Aliases of one operation: a hundred differently named copies of one expensive field are no query. */
export const QUERY_ALIASES_MAX = 30;
/** Directives of one operation. */
export const QUERY_DIRECTIVES_MAX = 50;
/** Values that an answer may hold at most: a field costs 1, and what is below a list counts once for each row it may have. */
export const QUERY_COST_MAX = 20_000;

/** Rows assumed of a list without a page size: those lists are short by nature (treasury parties, accepted instruments). */
const PLAIN_LIST_ROWS = 10;

type Size = {
  readonly depth: number;
  readonly fields: number;
  readonly aliases: number;
  readonly directives: number;
  readonly cost: number;
};

const NOTHING: Size = { depth: 0, fields: 0, aliases: 0, directives: 0, cost: 0 };

const LIMITS = [
  { of: 'depth', max: QUERY_DEPTH_MAX, code: 'QUERY_TOO_DEEP' },
  { of: 'fields', max: QUERY_FIELDS_MAX, code: 'QUERY_TOO_LARGE' },
  { of: 'aliases', max: QUERY_ALIASES_MAX, code: 'QUERY_TOO_MANY_ALIASES' },
  { of: 'directives', max: QUERY_DIRECTIVES_MAX, code: 'QUERY_TOO_MANY_DIRECTIVES' },
  { of: 'cost', max: QUERY_COST_MAX, code: 'QUERY_TOO_COSTLY' },
] as const;

/** A validation rule; answers status 400 and names the limit. */
export const queryLimitsRule: ValidationRule = (context: ValidationContext): ASTVisitor => {
  const measure = createMeasure(context);
  return {
    OperationDefinition: (operation) => {
      const root = context.getSchema().getRootType(operation.operation);
      const size = plus(measure(operation.selectionSet, root ?? undefined), {
        ...NOTHING,
        directives: operation.directives?.length ?? 0,
      });
      for (const { of, max, code } of LIMITS) {
        if (size[of] <= max) continue;
        context.reportError(
          new GraphQLError(`The operation is too large: ${of} ${size[of]}, at most ${max}.`, {
            nodes: operation,
            // Without `spec` the status holds for every accepted media type.
            extensions: { code, limit: max, http: { status: 400, spec: false } },
          }),
        );
      }
    },
  };
};

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
    const own = { depth: 1, fields: 1, aliases: node.alias === undefined ? 0 : 1, directives: 0, cost: 1 };
    const name = node.name.value;
    // The schema about itself: graphql-js bounds its depth by a rule of its own, and it reads no database. Only at the root of a query,
    // so that nothing else escapes under its name.
    if ((name === '__schema' || name === '__type') && parent === schema.getQueryType()) {
      return own;
    }
    if (node.selectionSet === undefined) return own;
    const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
    const type = field === undefined ? undefined : getNamedType(field.type);
    const below = ofSelectionSet(node.selectionSet, isCompositeType(type) ? type : undefined);
    return {
      depth: 1 + below.depth,
      fields: 1 + below.fields,
      aliases: own.aliases + below.aliases,
      directives: below.directives,
      cost: 1 + rowsOf(node, field) * below.cost,
    };
  }

  return ofSelectionSet;
}

function plus(a: Size, b: Size): Size {
  return {
    depth: Math.max(a.depth, b.depth),
    fields: a.fields + b.fields,
    aliases: a.aliases + b.aliases,
    directives: a.directives + b.directives,
    cost: a.cost + b.cost,
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
  // `nodes` and `edges` are the rows of their connection, counted there.
  if (field.name === 'nodes' || field.name === 'edges') return 1;
  return isList(field.type) ? PLAIN_LIST_ROWS : 1;
}

function isList(type: GraphQLOutputType): boolean {
  return isListType(isNonNullType(type) ? type.ofType : type);
}
