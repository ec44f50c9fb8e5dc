/**
 * Every error that the API gives outside the results of mutations, by its code: what it means, why it is, what to do, and how each transport
 * carries it. Nothing here gives a code that is not in this list; docs/errors.md is made from it and from the refusals of the schema
 * (error-interface.ts).
 */
type ApiErrorEntry = {
  /** What it says, without the facts of the case. */
  readonly message: string;
  readonly why: string;
  readonly fix: string;
  /** Whether the same request may succeed later without anything being changed in it. */
  readonly retryable: boolean;
  /** Of an answer that holds nothing else; 200 where other fields of the answer have data. */
  readonly status: number;
  /** The code a WebSocket is closed with; null: the socket lives on, and the operation ends with an `error` or `next` message. */
  readonly close: number | null;
};

const ANSWERED = { retryable: false, status: 200, close: null } as const;
const REFUSED = { retryable: false, status: 400, close: null } as const;
const LIMITED = { retryable: true, status: 429, close: null } as const;

export const API_ERRORS = {
  AMOUNT_INVALID: {
    ...REFUSED,
    message: 'Not an amount.',
    why: 'Amounts are exact: text of at most 28 integer digits and ten decimals, never a JSON number.',
    fix: 'Send it as a string, e.g. "12.5".',
  },
  AS_OF_NOT_KNOWN: {
    ...ANSWERED,
    message: 'The past that is asked for is not in this database.',
    why: 'It lies before what was read of the ledger, or has not been read yet; `availableRange` says from when to when can be asked.',
    fix: 'Ask for a time or a cursor within `availableRange`, or wait for it with `@atLeast`.',
  },
  BAD_REQUEST: {
    ...REFUSED,
    message: 'The body is no GraphQL request.',
    why: 'A request is a JSON object with `query`, and perhaps `operationName`, `variables` and `extensions`.',
    fix: 'Send one such object; a list of several is not taken.',
  },
  BAD_USER_INPUT: {
    ...REFUSED,
    message: 'A variable or argument has a value its type does not take.',
    why: 'The schema says what each argument takes.',
    fix: 'The message names the value; compare it with the type’s description.',
  },
  BODY_TOO_LARGE: {
    ...REFUSED,
    message: 'The body is too large.',
    why: 'A document and its variables need far less than the limit (`serviceConfig`).',
    fix: 'Send less at once.',
    status: 413,
  },
  CURSOR_AHEAD: {
    ...ANSWERED,
    message: 'The cursor is ahead of the log.',
    why: 'It comes from a log that went further than this one: another installation, or a database restored since.',
    fix: 'Resume from a cursor of the error’s facts, and drop what you know from after it.',
  },
  CURSOR_FROM_ANOTHER_LOG: {
    ...ANSWERED,
    message: 'The cursor is of another log.',
    why: 'The log was replaced, as by a restore of the database; what the cursor pointed at may be gone.',
    fix: 'Resume from the common point that the error names, and drop what you know from after it.',
  },
  CURSOR_INVALID: {
    ...ANSWERED,
    message: 'Not a cursor of the event log.',
    why: 'Cursors are opaque, and only what was given out is taken back.',
    fix: 'Pass a cursor exactly as it was received.',
  },
  DATE_INVALID: {
    ...REFUSED,
    message: 'Not a date.',
    why: 'Dates are written like 2026-11-22, and have to exist.',
    fix: 'Check year, month and day.',
  },
  DEADLINE_EXCEEDED: {
    message: 'It took too long.',
    why: 'An operation has so many seconds (`SLUICE_EXECUTION_SECONDS`); then its SQL is cancelled.',
    fix: 'Ask for less at once. A mutation may have been done all the same: repeat it with the same key, or read what became of it.',
    retryable: true,
    status: 503,
    close: null,
  },
  DOCUMENT_NOT_TRUSTED: {
    ...REFUSED,
    message: 'Only registered documents may be sent with this credential.',
    why: 'Credentials that leave the exchange, such as those of customers’ pages, are good for known questions only.',
    fix: 'Register the document in the file of `SLUICE_TRUSTED_DOCUMENTS`, and send exactly that text or its hash.',
    status: 403,
  },
  EVENT_STREAM_NEEDED: {
    ...REFUSED,
    message: 'A subscription is not answered this way.',
    why: 'It is answered as an event stream, or over WebSocket: there its end, its pace and its credential are looked after.',
    fix: 'Send `accept: text/event-stream` with the document itself, not with its hash, or use a WebSocket.',
    status: 406,
  },
  FILTER_INVALID: {
    ...ANSWERED,
    message: 'These conditions do not go together.',
    why: 'Each list serves the conditions and orders that its fields describe; amounts of several instruments do not compare.',
    fix: 'Change the conditions as the message says.',
  },
  FORBIDDEN: {
    ...ANSWERED,
    message: 'Your principal may not see this.',
    why: 'Each field needs a scope, which its description names, and your credential has not.',
    fix: 'Use a credential with the scope, or leave the field out.',
  },
  GRAPHQL_PARSE_FAILED: {
    ...REFUSED,
    message: 'The document is not GraphQL, or has too many words.',
    why: 'What is not understood whole is not run.',
    fix: 'The message names the place.',
  },
  GRAPHQL_VALIDATION_FAILED: {
    ...REFUSED,
    message: 'The document does not fit the schema.',
    why: 'A field, argument or type in it does not exist, or may not be asked for by you.',
    fix: 'Compare it with `schema.graphql` of this version.',
  },
  HOST_MISSING: {
    ...REFUSED,
    message: 'A Host header is needed.',
    why: 'By it requests are told from those that a page was tricked into.',
    fix: 'Send the Host you reach us by, as every HTTP client does.',
  },
  HOST_REFUSED: {
    ...REFUSED,
    message: 'This server is not known by that name.',
    why: 'Somebody may have pointed a name of his own at this address.',
    fix: 'Use its own name, or have it added to `SLUICE_ALLOWED_HOSTS`.',
    status: 403,
  },
  ID_INVALID: {
    ...ANSWERED,
    message: 'Not a global id of that type.',
    why: 'Global ids are opaque, and name their type.',
    fix: 'Pass an id exactly as an object’s `id` gave it.',
  },
  INTEGER_INVALID: {
    ...REFUSED,
    message: 'Not a whole number.',
    why: 'A `BigInt` is text of digits: JSON numbers lose them beyond 2⁵³.',
    fix: 'Send it as a string of digits.',
  },
  INTERNAL_SERVER_ERROR: {
    message: 'Unexpected error.',
    why: 'Something that nobody expected; what it was stands in our log beside `errorId`.',
    fix: 'Tell the operator the `errorId`. A mutation with a key may be repeated with the same key.',
    retryable: false,
    status: 200,
    close: null,
  },
  KEY_REVOKED: {
    ...REFUSED,
    message: 'The key this was opened with was revoked.',
    why: 'A subscription ends with the credential it was opened with.',
    fix: 'Come back with another key, and resume after the last cursor.',
    status: 200,
    close: 4403,
  },
  MEDIA_TYPE_REFUSED: {
    ...REFUSED,
    message: 'Send application/json.',
    why: 'Pages of other sites can send anything else without being asked.',
    fix: 'Set `content-type: application/json`.',
    status: 415,
  },
  NOT_CAUGHT_UP: {
    message: 'What was demanded by `@atLeast` has not been reached in time.',
    why: 'This replica waits for what you have seen elsewhere, but not for ever.',
    fix: 'Ask again after the time named, or without the demand.',
    retryable: true,
    status: 503,
    close: null,
  },
  NOT_FOUND: {
    ...REFUSED,
    message: 'There is nothing here.',
    why: 'The API is at `/graphql`, its schema at `/schema.graphql`.',
    fix: 'Check the path.',
    status: 404,
  },
  OPERATION_RESOLUTION_FAILURE: {
    ...REFUSED,
    message: 'Which operation is to be executed cannot be told.',
    why: 'The document has several and none is named, or none of that name.',
    fix: 'Send `operationName`, as the document has it.',
  },
  ORIGIN_REFUSED: {
    ...REFUSED,
    message: 'Pages of that origin may not ask here.',
    why: 'A browser tells which page asks, and only pages that are listed may.',
    fix: 'Have the page’s origin added to `SLUICE_ALLOWED_ORIGINS`.',
    status: 403,
  },
  PAGE_ARGUMENTS_INVALID: {
    ...ANSWERED,
    message: 'The page asked for is none.',
    why: 'Pages have a largest size (`serviceConfig`), and begin at one end.',
    fix: 'Ask for fewer rows, and for `first` or `last`, not both.',
  },
  PAGE_CURSOR_INVALID: {
    ...ANSWERED,
    message: 'Not a cursor of this list.',
    why: 'A page’s cursor is good for the list it came from.',
    fix: 'Pass it back exactly as it was received, to the same list.',
  },
  POST_TRANSFER_NOT_NAMED: {
    ...ANSWERED,
    message: 'Name the post transfer, by one name.',
    why: 'It is found by its id or by your key of it.',
    fix: 'Give one of the two.',
  },
  QUERY_TOO_COSTLY: {
    ...REFUSED,
    message: 'The operation may give too many values.',
    why: 'What is below a list counts once for each row of the page.',
    fix: 'Ask for smaller pages, or for less of each row.',
  },
  QUERY_TOO_DEEP: {
    ...REFUSED,
    message: 'Too many fields within fields.',
    why: 'Every level multiplies the work.',
    fix: 'Ask for the deeper part by its id, in a request of its own.',
  },
  QUERY_TOO_LARGE: {
    ...REFUSED,
    message: 'The operation has too many fields.',
    why: 'Fields of a fragment count wherever it is spread.',
    fix: 'Split it.',
  },
  QUERY_TOO_MANY_ALIASES: {
    ...REFUSED,
    message: 'The operation has too many aliases.',
    why: 'By aliases one field is asked for many times.',
    fix: 'Use lists and `nodes(ids:)` instead.',
  },
  QUERY_TOO_MANY_DIRECTIVES: {
    ...REFUSED,
    message: 'The operation has too many directives.',
    why: 'Each is looked at.',
    fix: 'Leave out what you do not need instead of skipping it.',
  },
  QUERY_TOO_WIDE: {
    ...REFUSED,
    message: 'Too many fields beside each other.',
    why: 'Each is compared with its neighbours.',
    fix: 'Ask for each field once.',
  },
  RATE_LIMITED: {
    ...LIMITED,
    message: 'Your client asks faster than it may.',
    why: 'Each client has so many operations a second (`serviceConfig`), and a reserve; costs above 500 count for several.',
    fix: 'Wait for `retryAfterSeconds`; ask for lists instead of single rows, and subscribe instead of asking again.',
  },
  RECORD_TIME_INVALID: {
    ...REFUSED,
    message: 'Not a time.',
    why: 'Times are RFC 3339 in UTC with at most six decimals, years 0001 to 9999.',
    fix: 'Write it like 2026-11-22T04:33:07.000120Z.',
  },
  RIGHTS_MISSING: {
    ...ANSWERED,
    message: 'This process may not do that in its database.',
    why: 'Its role there only reads, or has fewer rights than it needs. Nothing was changed.',
    fix: 'Ask a process whose role may; `sluice doctor` tells an operator what is missing.',
  },
  SLOW_READER: {
    message: 'Too slow: what was sent was not read in time.',
    why: 'What waits for one reader is kept for so long only, and is never dropped in silence.',
    fix: 'Resume after the last cursor received, and read faster: do the work beside the reading.',
    retryable: true,
    status: 200,
    close: 4499,
  },
  TOKEN_EXPIRED: {
    ...REFUSED,
    message: 'The token this was opened with has ended.',
    why: 'A subscription ends with the credential it was opened with.',
    fix: 'Come back with a new token, and resume after the last cursor.',
    status: 200,
    close: 4403,
  },
  TOO_MANY_OPERATIONS: {
    ...LIMITED,
    message: 'Your client has as many operations in flight as it may.',
    why: 'So one client cannot keep the others waiting.',
    fix: 'Wait for answers before you ask again.',
  },
  TOO_MANY_SOCKETS: {
    ...LIMITED,
    message: 'Your client has as many sockets open as it may.',
    why: 'WebSockets and SSE streams of one client are counted together.',
    fix: 'Share one socket among subscriptions, and close what is not used.',
    close: 4429,
  },
  TOO_MANY_SUBSCRIPTIONS: {
    ...LIMITED,
    message: 'Your client has as many subscriptions open as it may.',
    why: 'Counted over all sockets of the client.',
    fix: 'Follow lists with a filter instead of many single things.',
  },
  UNAUTHENTICATED: {
    ...REFUSED,
    message: 'A valid credential is needed.',
    why: 'None was sent, or it is nobody’s, or it has ended.',
    fix: 'Send `Authorization: Bearer …`, over WebSocket as `authorization` of `connection_init`.',
    status: 401,
    close: 4401,
  },
  UNAVAILABLE: {
    message: 'The service cannot answer right now.',
    why: 'Its database is away or too busy; nothing was changed that you were not told of.',
    fix: 'Ask again after `retryAfterSeconds`, a mutation with the same key.',
    retryable: true,
    status: 503,
    close: null,
  },
  WITHDRAWALS_OFF: {
    ...ANSWERED,
    message: 'This installation does not pay out.',
    why: 'No signer is configured here.',
    fix: 'Ask an installation that pays out.',
  },
  WITHDRAWAL_NOT_NAMED: {
    ...ANSWERED,
    message: 'Name the withdrawal, by one name.',
    why: 'It is found by its id or by the key of its request.',
    fix: 'Give one of the two.',
  },
  WITHDRAWAL_UNKNOWN: {
    ...ANSWERED,
    message: 'There is no such withdrawal.',
    why: 'None was asked for by that name, or it is not yours.',
    fix: 'Check the id, and who asked for it.',
  },
} as const satisfies Record<string, ApiErrorEntry>;

export type ApiErrorCode = keyof typeof API_ERRORS;

export function isApiErrorCode(code: string): code is ApiErrorCode {
  return Object.hasOwn(API_ERRORS, code);
}

/** Codes by which a WebSocket ends, beside those of the errors above. The protocol’s own are those of graphql-transport-ws. */
export const CLOSE_CODES: Readonly<Record<number, { readonly means: string; readonly next: string }>> = {
  1001: {
    means: 'This process is going away.',
    next: 'Connect again, to another replica, and resume after the last cursor.',
  },
  1002: { means: 'A frame is broken.', next: 'Use another client.' },
  1008: { means: 'A message has too many frames, or comes in too small ones.', next: 'Use another client.' },
  1009: { means: 'A message is too large.', next: 'Send less at once (`serviceConfig`).' },
  4400: { means: 'A message is not of the protocol.', next: 'Use a client of graphql-transport-ws.' },
  4401: {
    means: 'No credential, or a subscription before `connection_ack`.',
    next: 'Send a credential with `connection_init`.',
  },
  4403: {
    means: 'The credential is nobody’s, or its authority has ended.',
    next: 'Come back with a new one, and resume after the last cursor.',
  },
  4406: {
    means: 'No subprotocol that we speak.',
    next: 'Offer `graphql-transport-ws`; the older `graphql-ws` is not spoken.',
  },
  4408: { means: '`connection_init` came too late.', next: 'Send it first.' },
  4409: { means: 'An id is used by a running operation.', next: 'Give each operation an id of its own.' },
  4429: {
    means: 'Too many: `connection_init` twice, or more sockets than the client may have.',
    next: 'Close some first.',
  },
  4499: { means: 'What was sent was not read in time.', next: 'Resume after the last cursor.' },
  4500: {
    means: 'A message could not be handled: it is none that clients send, or something of ours failed.',
    next: 'Connect again, and resume after the last cursor.',
  },
};
