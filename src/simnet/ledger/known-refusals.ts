/**
 * Refusals that participants of Canton are known for, ready to be thrown: of nodes that start, stop or stand by, of streams, of a network
 * that is slow or being upgraded, of packages. Source: error definitions of Canton 3.5 (category and text), failure reports of Splice.
 */
import type { CategoryName, Refusal } from './canton-error.ts';

type Known = Omit<Refusal, 'code'>;

const unavailable = (text: string): Known => ({ category: 'transientServerFailure', text });
const contention = (text: string): Known => ({ category: 'contention', text });
/** Of a submission that will never commit. */
const definite = (category: CategoryName, text: string): Known => ({ category, text, definiteAnswer: true });

const KNOWN = {
  // A node that is not there yet, or not any more.
  NODE_IS_PASSIVE_REPLICA: unavailable('Cannot process submitted command. This participant is the passive replica.'),
  SERVICE_NOT_RUNNING: unavailable('Ledger API has been shut down.'),
  ABORTED_DUE_TO_SHUTDOWN: unavailable('request aborted due to shutdown'),
  SERVER_IS_SHUTTING_DOWN: unavailable('Server is shutting down'),
  LEDGER_API_INTERNAL_ERROR: { category: 'internal', text: 'DbStorage instance is not active' },
  UNIMPLEMENTED: { category: 'unsupported', text: 'Method not found' },
  // Limits of a node.
  MAXIMUM_NUMBER_OF_STREAMS: contention('The number of streams in use has reached its limit'),
  PARTICIPANT_BACKPRESSURE: contention('The participant is overloaded'),
  PARTICIPANT_OVERLOADED: contention('The participant is overloaded: too many requests in flight'),
  HEAP_MEMORY_OVER_LIMIT: contention('The heap memory usage is over its limit'),
  THREADPOOL_OVERLOADED: contention('The index database queue is full'),
  // Tokens and rights.
  STALE_STREAM_AUTHORIZATION: {
    category: 'contention',
    text: 'Stale stream authorization. Retry quickly.',
    definiteAnswer: false,
    retryAfterMs: 0,
  },
  ACCESS_TOKEN_EXPIRED: contention('Claims were valid until expired'),
  UNAUTHENTICATED: { category: 'unauthenticated', text: 'The token is not valid' },
  PERMISSION_DENIED: { category: 'permissionDenied', text: 'The user lacks a right' },
  // Submissions that were not sequenced or confirmed in time.
  NOT_SEQUENCED_TIMEOUT: definite(
    'contention',
    'Transaction was not sequenced within the pre-defined max sequencing time',
  ),
  SEQUENCER_MAX_SEQUENCING_TIME_TOO_FAR: definite('invalidState', 'Max sequencing time is too far in the future'),
  SEQUENCER_REQUEST_FAILED: definite('contention', 'Failed to send command'),
  SEQUENCER_BACKPRESSURE: definite('contention', 'The sequencer is overloaded.'),
  MEDIATOR_SAYS_TX_TIMED_OUT: definite(
    'contention',
    'Rejected transaction as the mediator did not receive sufficient confirmations within the expected timeframe.',
  ),
  LOCAL_VERDICT_TIMEOUT: definite('contention', 'Rejected transaction due to a participant determined timeout'),
  LOCAL_VERDICT_LEDGER_TIME_OUT_OF_BOUND: definite('contention', 'The ledger time and the record time differ too much'),
  LOCAL_VERDICT_PREPARATION_TIME_OUT_OF_BOUND: definite(
    'contention',
    'The preparation time and the record time differ too much',
  ),
  LOCAL_VERDICT_MAX_RECORD_TIME_EXCEEDED: definite('contention', 'The record time is past the maximum record time'),
  LOCAL_VERDICT_LOCKED_CONTRACTS: definite('contention', 'Rejected transaction is referring to locked contracts'),
  LOCAL_VERDICT_INACTIVE_CONTRACTS: definite(
    'resourceMissing',
    'Rejected transaction is referring to inactive contracts',
  ),
  REQUEST_TIME_OUT: {
    category: 'deadlineExceeded',
    text: 'Timed out while awaiting a completion',
    definiteAnswer: false,
  },
  // Upgrades, routing and packages.
  SEQUENCER_SUBMISSION_AFTER_UPGRADE_TIME: definite('invalidState', 'The synchronizer has been upgraded'),
  SUBMISSION_SYNCHRONIZER_NOT_READY: definite('resourceMissing', 'Trying to submit to a disconnected synchronizer'),
  NO_SYNCHRONIZER_FOR_SUBMISSION: definite('invalidState', 'No valid synchronizer for submission found'),
  NOT_CONNECTED_TO_SYNCHRONIZER: definite('invalidState', 'This participant is not connected to the synchronizer'),
  PACKAGE_NOT_VETTED_BY_RECIPIENTS: definite('invalidState', 'Not all receiving participants have vetted the package'),
  PACKAGE_SELECTION_FAILED: definite('invalidState', 'No package satisfies the vetting of all parties'),
  SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT: definite('contention', 'Failed to send command: not enough traffic credit'),
} as const satisfies Readonly<Record<string, Known>>;

export type KnownCode = keyof typeof KNOWN;

export const KNOWN_CODES = Object.keys(KNOWN) as KnownCode[];

export function knownRefusal(code: KnownCode): Refusal {
  return { code, ...KNOWN[code] };
}
