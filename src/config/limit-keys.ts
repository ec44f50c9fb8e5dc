/** What one client may ask of the API, and who may ask at all: the part of the environment's variables that bounds it. */
import { optional, withDefault } from './key.ts';
import * as values from './values.ts';

export const LIMIT_KEYS = {
  allowedHosts: withDefault('', {
    variable: 'SLUICE_ALLOWED_HOSTS',
    type: 'comma list of host names',
    meaning:
      'Names by which the API is reached, without port; a request for another is refused, so that nobody points a name of his own at it. Empty: any with keys, loopback names without.',
    schema: values.wordList,
  }),
  allowedOrigins: withDefault('', {
    variable: 'SLUICE_ALLOWED_ORIGINS',
    type: 'comma list of origins, e.g. `https://console.example`',
    meaning: 'Pages of which origins may ask, over HTTP and WebSocket, beside pages of the API’s own.',
    schema: values.origins,
  }),
  isIntrospectionOn: withDefault('on', {
    variable: 'SLUICE_INTROSPECTION',
    type: 'on or off',
    meaning:
      'Whether the schema may be asked about itself, by whoever has the scope `read`. Off, `/schema.graphql` still has it for them.',
    schema: values.onOrOff,
  }),
  isSuggesting: withDefault('off', {
    variable: 'SLUICE_SUGGESTIONS',
    type: 'on or off',
    meaning:
      'Whether a misspelt field is answered with the names it may have meant. On in development, where no keys are configured.',
    schema: values.onOrOff,
  }),
  trustedDocuments: optional({
    variable: 'SLUICE_TRUSTED_DOCUMENTS',
    type: 'path',
    meaning:
      'A JSON file of documents by their SHA-256 (hex), read at the start: `{"<sha256>": "query …"}`. A client may send the hash as `extensions.persistedQuery.sha256Hash` instead of the document.',
    schema: values.path,
  }),
  trustedDocumentsFor: withDefault('nobody', {
    variable: 'SLUICE_TRUSTED_DOCUMENTS_FOR',
    type: 'nobody, customers or everybody',
    meaning:
      'Who may send the documents of `SLUICE_TRUSTED_DOCUMENTS` only: nobody, clients that read for one customer, or all. Any other document of theirs is refused with 403.',
    schema: values.oneOf(['nobody', 'customers', 'everybody']),
  }),
  queryTokens: limit('2000', {
    variable: 'SLUICE_QUERY_TOKENS',
    min: 100,
    max: 20_000,
    meaning: 'Words and signs of one document, enforced by the parser. GraphiQL’s introspection has some 300.',
  }),
  queryDepth: limit('12', {
    variable: 'SLUICE_QUERY_DEPTH',
    min: 3,
    max: 50,
    meaning: 'Fields within fields of one operation.',
  }),
  queryFields: limit('500', {
    variable: 'SLUICE_QUERY_FIELDS',
    min: 10,
    max: 10_000,
    meaning: 'Fields of one operation, those of fragments counted wherever they are spread.',
  }),
  queryBreadth: limit('150', {
    variable: 'SLUICE_QUERY_BREADTH',
    min: 10,
    max: 10_000,
    meaning: 'Fields beside each other under one field, those of fragments among them.',
  }),
  queryAliases: limit('30', {
    variable: 'SLUICE_QUERY_ALIASES',
    min: 0,
    max: 1_000,
    meaning: 'Aliases of one operation.',
  }),
  queryDirectives: limit('50', {
    variable: 'SLUICE_QUERY_DIRECTIVES',
    min: 0,
    max: 1_000,
    meaning: 'Directives of one operation.',
  }),
  queryCost: limit('20000', {
    variable: 'SLUICE_QUERY_COST',
    min: 100,
    max: 1_000_000,
    meaning:
      'Values that an answer may hold at most: a field counts one, and what is below a list once for each row of the page.',
  }),
  bodyBytes: limit('102400', {
    variable: 'SLUICE_BODY_BYTES',
    min: 4_096,
    max: 10_485_760,
    unit: 'bytes',
    meaning: 'Of the body of one request. A WebSocket message may have 64 KiB at most, or this where it is less.',
  }),
  executionSeconds: limit('15', {
    variable: 'SLUICE_EXECUTION_SECONDS',
    min: 1,
    max: 300,
    unit: 'seconds',
    meaning:
      'How long one query or mutation may take. Then its SQL is cancelled and it is answered `DEADLINE_EXCEEDED`; so is the SQL of a client that went away.',
  }),
  customerSockets: limit('10', {
    variable: 'SLUICE_CUSTOMER_SOCKETS',
    min: 1,
    max: 100_000,
    meaning: 'WebSockets and SSE streams at the same time of one client that reads for one customer only.',
  }),
  customerSubscriptions: limit('20', {
    variable: 'SLUICE_CUSTOMER_SUBSCRIPTIONS',
    min: 1,
    max: 100_000,
    meaning: 'Subscriptions at the same time of such a client, over all its sockets.',
  }),
  customerOperations: limit('10', {
    variable: 'SLUICE_CUSTOMER_OPERATIONS',
    min: 1,
    max: 100_000,
    meaning: 'Queries and mutations in flight of such a client.',
  }),
  customerRequestsPerSecond: limit('20', {
    variable: 'SLUICE_CUSTOMER_REQUESTS_PER_SECOND',
    min: 1,
    max: 1_000_000,
    meaning: 'Operations of such a client in a second, in the long run; five times as many at once.',
  }),
  serviceSockets: limit('1000', {
    variable: 'SLUICE_SERVICE_SOCKETS',
    min: 1,
    max: 100_000,
    meaning: 'As `SLUICE_CUSTOMER_SOCKETS`, of any other client.',
  }),
  serviceSubscriptions: limit('2000', {
    variable: 'SLUICE_SERVICE_SUBSCRIPTIONS',
    min: 1,
    max: 100_000,
    meaning: 'As `SLUICE_CUSTOMER_SUBSCRIPTIONS`, of any other client.',
  }),
  serviceOperations: limit('200', {
    variable: 'SLUICE_SERVICE_OPERATIONS',
    min: 1,
    max: 100_000,
    meaning: 'As `SLUICE_CUSTOMER_OPERATIONS`, of any other client.',
  }),
  serviceRequestsPerSecond: limit('2000', {
    variable: 'SLUICE_SERVICE_REQUESTS_PER_SECOND',
    min: 1,
    max: 1_000_000,
    meaning: 'As `SLUICE_CUSTOMER_REQUESTS_PER_SECOND`, of any other client.',
  }),
} as const;

function limit(
  text: string,
  { min, max, ...declaration }: { variable: string; min: number; max: number; unit?: string; meaning: string },
) {
  return withDefault(text, { ...declaration, type: `${min}–${max}`, schema: values.wholeNumber(min, max) });
}
