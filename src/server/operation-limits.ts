/**
 * What every operation passes before anything of it runs, whatever carries it: HTTP, SSE and WebSocket share these hooks of yoga's. The client's
 * rate, the words of the document, whether it is one of the trusted ones, its size, and whether it may ask about the schema.
 */
import { createHash } from 'node:crypto';
import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  type ValidationRule,
  validate,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { apiError } from '../schema/api-error.ts';
import type { ApiLimits, QueryLimits } from '../schema/api-limits.ts';
import type { Principal } from '../schema/principal.ts';
import { type ClientLimiter, isCustomerOf, type LimitRefusal } from './client-limits.ts';
import type { ErrorMasking } from './error-masking.ts';
import { createQueryLimitsRule } from './query-limits.ts';
import type { TrustedDocuments } from './trusted-documents.ts';

export type OperationLimitsOptions = {
  readonly limits: ApiLimits;
  readonly limiter: ClientLimiter;
  readonly masking: ErrorMasking;
  /** Null: any document may be sent. */
  readonly trusted: TrustedDocuments | null;
  /** Whether those who read everything may ask the schema about itself; a customer never may. */
  readonly isIntrospectionOn: boolean;
};

type Asking = { readonly principal: Principal };

export function createOperationLimits(options: OperationLimitsOptions): Plugin<Asking> {
  const { limits, limiter, trusted, isIntrospectionOn, masking } = options;
  const validateOperation = createOperationValidation(limits.query);

  return {
    onParams: ({ params, setParams }) => {
      const hash = hashOf(params.extensions);
      if (hash === null || params.query != null) return;
      const query = trusted?.textOf(hash);
      if (query == null) throw untrusted();
      setParams({ ...params, query });
    },
    onParse: ({ context, params, setParseFn }) => {
      const { principal } = context;
      const refusal = limiter.begin(principal);
      if (refusal !== null) throw limitError(refusal);
      if (trusted?.isDemandedOf(principal) === true && !trusted.has(sha256(String(params.source)))) {
        throw untrusted();
      }
      setParseFn((source, parseOptions) => {
        const document = parse(source, { ...parseOptions, maxTokens: limits.query.tokensMax });
        refuseManyLines(document.loc?.source.body ?? '', limits.query);
        return document;
      });
    },
    onValidate: ({ context, setValidationFn, addValidationRule }) => {
      // A rule of its own name: the results of validation are kept by document and the names of the rules.
      if (!isIntrospectionOn || !mayIntrospect(context.principal)) addValidationRule(NoSchemaIntrospectionCustomRule);
      // Yoga shows the errors of validation as they are.
      setValidationFn((schema: GraphQLSchema, document: DocumentNode, rules?: readonly ValidationRule[]) =>
        validateOperation(schema, document, rules).map((error) => masking.mask(error, 'GRAPHQL_VALIDATION_FAILED')),
      );
    },
  };
}

/** Validation with the size of a document looked at first and alone: the other rules take time by the size of what they are shown. */
export function createOperationValidation(limits: QueryLimits) {
  const sizeRule = createQueryLimitsRule(limits);
  return (
    schema: GraphQLSchema,
    document: DocumentNode,
    rules?: readonly ValidationRule[],
  ): readonly GraphQLError[] => {
    const tooLarge = validate(schema, document, [sizeRule], { maxErrors: ERRORS_MAX });
    return tooLarge.length > 0 ? tooLarge : validate(schema, document, rules, { maxErrors: ERRORS_MAX });
  };
}

/** Nobody reads more; and for each one the lines up to its places are counted. */
const ERRORS_MAX = 20;

/**
 * Empty lines are no words, and a body of nothing else has a hundred thousand. Each error of the document counts the lines before it, so a document has no
 * more lines than it may have words.
 */
function refuseManyLines(text: string, { tokensMax }: QueryLimits): void {
  let lines = 1;
  for (const _ of text.matchAll(LINE_END)) {
    lines += 1;
    if (lines > tokensMax) {
      throw apiError('GRAPHQL_PARSE_FAILED', `The document has more than ${tokensMax} lines.`, {
        http: { status: 400, spec: true },
      });
    }
  }
}

const LINE_END = /\r\n|[\n\r]/g;

function mayIntrospect(principal: Principal): boolean {
  return principal.scopes.has('read') && !isCustomerOf(principal);
}

/** Why a client may not have more right now, as it reads it: HTTP answers 429 with the time to wait. */
export function limitError({ code, limit, retryAfterSeconds }: LimitRefusal): GraphQLError {
  const headers = retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) };
  return apiError(code, MESSAGES[code], {
    limit,
    ...(retryAfterSeconds === null ? {} : { retryAfterSeconds }),
    http: { status: 429, spec: false, headers },
  });
}

const MESSAGES: Readonly<Record<LimitRefusal['code'], string>> = {
  TOO_MANY_SOCKETS: 'Your client has as many sockets open as it may.',
  TOO_MANY_SUBSCRIPTIONS: 'Your client has as many subscriptions open as it may.',
  TOO_MANY_OPERATIONS: 'Your client has as many operations in flight as it may.',
  RATE_LIMITED: 'Your client asks faster than it may.',
};

function untrusted(): GraphQLError {
  return apiError('DOCUMENT_NOT_TRUSTED', 'Only registered documents may be sent with your credential.', {
    http: { status: 403, spec: false },
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** Of a request that names its document by the hash alone, as persisted operations do. */
function hashOf(extensions: unknown): string | null {
  if (typeof extensions !== 'object' || extensions === null || !('persistedQuery' in extensions)) return null;
  const { persistedQuery } = extensions;
  if (typeof persistedQuery !== 'object' || persistedQuery === null || !('sha256Hash' in persistedQuery)) return null;
  return typeof persistedQuery.sha256Hash === 'string' ? persistedQuery.sha256Hash : null;
}
