/**
 * Operations as text with the types of their results and variables. The types come from the schema (src/gen/schema.ts, made by `npm run generate`): an operation that the schema
 * no longer has the fields for fails the type check where a result is used, and a test validates every one of them besides.
 */
import type { DocumentDecoration, initGraphQLTada } from 'gql.tada';
import type { introspection } from './gen/schema.ts';

/** Scalars travel as text: numbers would lose digits. */
type Scalars = { BigInt: string; Cursor: string; Decimal: string; RecordTime: string; ID: string; JSON: unknown };

/** A query, mutation or subscription that gives a `Result` for `Variables`. */
export type Operation<Result, Variables> = DocumentDecoration<Result, Variables>;
export type { ResultOf, VariablesOf } from 'gql.tada';

/**
 * Makes an operation or a fragment; its types follow from its text.
 *
 *     const BALANCES = graphql(`query ($first: Int!) { balances(first: $first) { nodes { total } } }`);
 *
 * @param fragments those that the text spreads.
 */
// gql.tada brings the types alone, and nothing of it is loaded: at run time an operation is its text.
export const graphql = operationOf as unknown as initGraphQLTada<{
  introspection: introspection;
  scalars: Scalars;
  disableMasking: true;
}>;

class OperationText {
  readonly texts: ReadonlySet<string>;

  constructor(text: string, fragments: readonly OperationText[]) {
    this.texts = new Set([text, ...fragments.flatMap((fragment) => [...fragment.texts])]);
  }
}

function operationOf(text: string, fragments: readonly OperationText[] = []): OperationText {
  return new OperationText(text, fragments);
}

/** @throws TypeError: it was not made by {@link graphql}. */
export function textOf(operation: Operation<unknown, never> | object): string {
  if (!(operation instanceof OperationText))
    throw new TypeError('Not an operation: make one with the function graphql.');
  return [...operation.texts].join('\n');
}
