/** GraphQL as yoga runs it, with our limits and our errors; shared by HTTP, SSE and WebSocket. */
import { type GraphQLSchema, parse } from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { ApiContext, ApiServices } from '../schema/context.ts';
import type { Principal } from '../schema/principal.ts';
import type { Answers } from './answers.ts';
import type { ErrorMasking } from './error-masking.ts';
import { QUERY_TOKENS_MAX, queryLimitsRule } from './query-limits.ts';

/** What the transport knows and resolvers are given. */
export type TransportContext = { readonly principal: Principal };

export type GraphQLHandler = YogaServerInstance<TransportContext, ApiContext>;

export const GRAPHQL_PATH = '/graphql';
/** Bytes of a request's body: far above any document within {@link QUERY_TOKENS_MAX} with its variables. */
export const BODY_BYTES_MAX = 100 * 1024;

export function createGraphQLHandler(options: {
  readonly schema: GraphQLSchema;
  readonly services: ApiServices;
  readonly masking: ErrorMasking;
  readonly answers: Answers;
}): GraphQLHandler {
  const { schema, services, masking, answers } = options;
  return createYoga<TransportContext, ApiServices>({
    schema,
    context: () => services,
    graphqlEndpoint: GRAPHQL_PATH,
    plugins: [limits, answers.plugin],
    maskedErrors: { maskError: (error) => masking.mask(error) },
    maxRequestBodySize: BODY_BYTES_MAX,
    // Yoga's defaults suit a public demo; ours suit an exchange.
    batching: false,
    cors: false,
    multipart: false,
    landingPage: false,
    graphiql: false,
    logging: false,
    healthCheckEndpoint: '/unused-yoga-health',
  });
}

const limits: Plugin = {
  onParse: ({ setParseFn }) => {
    setParseFn((source, parseOptions) => parse(source, { ...parseOptions, maxTokens: QUERY_TOKENS_MAX }));
  },
  onValidate: ({ addValidationRule }) => {
    addValidationRule(queryLimitsRule);
  },
};
