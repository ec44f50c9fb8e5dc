/** GraphQL as yoga runs it, with our limits and our errors; shared by HTTP, SSE and WebSocket. */
import type { GraphQLSchema } from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import { apiError } from '../schema/api-error.ts';
import type { ApiContext, ApiServices } from '../schema/context.ts';
import type { Principal } from '../schema/principal.ts';
import type { Answers } from './answers.ts';
import type { ClientLimiter } from './client-limits.ts';
import { createDocumentCache } from './document-cache.ts';
import type { ErrorMasking } from './error-masking.ts';
import { createOperationDeadline } from './operation-deadline.ts';
import { createOperationLimits } from './operation-limits.ts';
import type { TrustedDocuments } from './trusted-documents.ts';

/** What the transport knows and resolvers are given. */
export type TransportContext = {
  readonly principal: Principal;
  /** Aborts when nobody is there to read the answer. Left out: that is not known. */
  readonly gone?: AbortSignal;
};

export type GraphQLHandler = YogaServerInstance<TransportContext, ApiContext>;

export const GRAPHQL_PATH = '/graphql';

/**
 * Subscriptions are the fan-out’s (event-streams.ts, websocket.ts). Yoga would stream them to whoever accepts anything at all, and there nobody counts
 * them, paces them, or ends them with the credential they were opened with.
 */
const withoutSubscriptions: Plugin = {
  onSubscribe: ({ setResultAndStopExecution }) => {
    const message =
      'Subscriptions come as an event stream (accept: text/event-stream, with the document itself) or over WebSocket.';
    const refusal = apiError('EVENT_STREAM_NEEDED', message, { http: { status: 406, spec: false } });
    setResultAndStopExecution({ errors: [refusal] });
  },
};

export function createGraphQLHandler(options: {
  readonly schema: GraphQLSchema;
  readonly services: ApiServices;
  readonly masking: ErrorMasking;
  readonly answers: Answers;
  readonly limiter: ClientLimiter;
  /** Null: any document may be sent. */
  readonly trusted: TrustedDocuments | null;
  readonly isIntrospectionOn: boolean;
}): GraphQLHandler {
  const { schema, services, masking, answers, limiter } = options;
  const { limits } = services;
  return createYoga<TransportContext, ApiServices>({
    schema,
    context: () => services,
    graphqlEndpoint: GRAPHQL_PATH,
    // The deadline is around whatever the others do to execute.
    plugins: [
      createOperationLimits({ ...options, limits }),
      answers.plugin,
      createOperationDeadline({ limits, limiter }),
      withoutSubscriptions,
    ],
    parserAndValidationCache: { documentCache: createDocumentCache(), errorCache: createDocumentCache() },
    maskedErrors: { maskError: (error) => masking.mask(error) },
    // The body was read, and counted, before (request-body.ts).
    maxRequestBodySize: false,
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
