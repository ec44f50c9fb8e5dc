/**
 * What the API bounds, as one object: the server enforces it before execution on every transport (src/server), and clients read it as
 * `serviceConfig`. Made from configuration by src/cli/api-limits.ts.
 */
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from './connection.ts';

/** Of one operation. What is counted, src/server/query-limits.ts says. */
export type QueryLimits = {
  readonly tokensMax: number;
  readonly depthMax: number;
  readonly fieldsMax: number;
  readonly breadthMax: number;
  readonly aliasesMax: number;
  readonly directivesMax: number;
  readonly costMax: number;
};

/** Of one client, over all its sockets of this process. */
export type ClientLimits = {
  /** WebSockets and SSE streams at the same time. */
  readonly socketsMax: number;
  readonly subscriptionsMax: number;
  /** Queries and mutations in flight. */
  readonly operationsMax: number;
  /** Operations begun in a second, in the long run. */
  readonly requestsPerSecond: number;
  /** As many may begin at once after a pause. */
  readonly requestsBurst: number;
};

export type ApiLimits = {
  readonly query: QueryLimits;
  readonly pageSizeDefault: number;
  readonly pageSizeMax: number;
  /** Bytes of an HTTP request's body. */
  readonly bodyBytesMax: number;
  /** Bytes of one WebSocket message. */
  readonly messageBytesMax: number;
  /** Milliseconds of one query or mutation. */
  readonly executionMsMax: number;
  /** Of clients that read for one customer. */
  readonly customer: ClientLimits;
  /** Of all others. */
  readonly service: ClientLimits;
};

/** The limits where nothing is configured. */
export const API_LIMITS_DEFAULT: ApiLimits = {
  query: {
    tokensMax: 2_000, // GraphiQL's introspection has about 300.
    depthMax: 12, // The schema's deepest useful path has 9.
    fieldsMax: 500,
    breadthMax: 150,
    aliasesMax: 30, // A hundred differently named copies of one expensive field are no query.
    directivesMax: 50,
    costMax: 20_000,
  },
  pageSizeDefault: PAGE_SIZE_DEFAULT,
  pageSizeMax: PAGE_SIZE_MAX,
  bodyBytesMax: 100 * 1024, // Far above any document of that many tokens with its variables.
  messageBytesMax: 64 * 1024, // A frame of it is all that is ever buffered.
  executionMsMax: 15_000,
  customer: {
    socketsMax: 10,
    subscriptionsMax: 20,
    operationsMax: 10,
    requestsPerSecond: 20,
    requestsBurst: 100,
  },
  service: {
    socketsMax: 1_000,
    subscriptionsMax: 2_000,
    operationsMax: 200,
    requestsPerSecond: 2_000,
    requestsBurst: 10_000,
  },
};
