/** What is to be known of a document before it is run: whether it asks how fresh it is, and whether its answer may be given again. Looked at once per document. */
import {
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  getNamedType,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { AT_LEAST } from '../schema/at-least.ts';

/**
 * The short list: what a frontend or a service cannot do without for as long as a failover takes, and what does not tempt anybody to act on
 * it. What people decide by (the desk, approvals, halts, policies) is not on it.
 */
export const KEPT_FIELDS: ReadonlySet<string> = new Set([
  'account',
  'accounts',
  'balances',
  'depositAccounts',
  'freshness',
  'instruments',
  'tokens',
  'transfers',
  'treasuryParties',
  'viewer',
  'withdrawal',
  'withdrawals',
]);

export type AnswerPlan = {
  /** A `Freshness` is asked for somewhere. */
  readonly tellsFreshness: boolean;
  /** Every root field is on the short list, and nothing in it tells an age that would stand still. */
  readonly isKept: boolean;
  /** The document with nothing but the query's `freshness` left. Only where that is asked for. */
  readonly freshnessOnly: DocumentNode | null;
};

export function operationOf(document: DocumentNode, name: string | null | undefined): OperationDefinitionNode | null {
  const operations = document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  if (name == null) return operations.length === 1 ? (operations[0] ?? null) : null;
  return operations.find((operation) => operation.name?.value === name) ?? null;
}

/** @returns a function that remembers its answers for as long as the documents live. */
export function createAnswerPlans(schema: GraphQLSchema): (document: DocumentNode) => AnswerPlan {
  const known = new WeakMap<DocumentNode, AnswerPlan>();
  return (document) => {
    const plan = known.get(document) ?? planOf(schema, document);
    known.set(document, plan);
    return plan;
  };
}

function planOf(schema: GraphQLSchema, document: DocumentNode): AnswerPlan {
  const query = schema.getQueryType();
  const info = new TypeInfo(schema);
  let tellsFreshness = false;
  let isFreshnessAtRoot = false;
  let isKept = true;
  visit(
    document,
    visitWithTypeInfo(info, {
      OperationDefinition: ({ operation, directives }) => {
        if (operation !== 'query' || directives?.some(({ name }) => name.value === AT_LEAST) === true) isKept = false;
      },
      Field: ({ name: { value: name } }) => {
        const parent = info.getParentType();
        const isRoot = parent === query;
        const isFreshness = getNamedType(info.getType())?.name === 'Freshness';
        tellsFreshness ||= isFreshness;
        isFreshnessAtRoot ||= isRoot && isFreshness;
        if (name === '__typename') return;
        if (isRoot) isKept &&= KEPT_FIELDS.has(name);
        else if (isFreshness || (name === 'ageMs' && parent?.name !== 'Freshness')) isKept = false;
      },
    }),
  );
  return { tellsFreshness, isKept, freshnessOnly: isFreshnessAtRoot ? withFreshnessOnly(schema, document) : null };
}

function withFreshnessOnly(schema: GraphQLSchema, document: DocumentNode): DocumentNode {
  const info = new TypeInfo(schema);
  const isOther = (node: FieldNode): boolean =>
    info.getParentType() === schema.getQueryType() && node.name.value !== 'freshness';
  return visit(document, visitWithTypeInfo(info, { Field: (node) => (isOther(node) ? null : undefined) }));
}
