/**
 * Errors of the Ledger API in our own terms: what Canton said (`code`, e.g. `OFFSET_AFTER_LEDGER_END`) and whether the same call may be made
 * again.
 *
 * The details travel in the trailer `grpc-status-details-bin` as a `google.rpc.Status` with an `ErrorInfo` whose `reason` is Canton's error code.
 * Redacted errors (authentication, internal) carry none; then the gRPC status name stands in.
 */
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import { ErrorInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';

export type LedgerErrorFacts = {
  readonly method: string;
  readonly grpcStatus: string;
  readonly metadata: Readonly<Record<string, string>>;
};

const ERROR_INFO_TYPE = 'type.googleapis.com/google.rpc.ErrorInfo';

/**
 * Codes of gRPC after which the same call may succeed: the node restarts, is busy, or the network failed. A rejected token is among them, because
 * tokens expire and rights change while a stream is open, and so is a message cut short.
 */
const RETRYABLE_STATUS: ReadonlySet<number> = new Set([
  grpcStatus.UNAVAILABLE,
  grpcStatus.ABORTED,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.CANCELLED,
  grpcStatus.INTERNAL,
  grpcStatus.UNKNOWN,
  grpcStatus.UNAUTHENTICATED,
  grpcStatus.PERMISSION_DENIED,
  grpcStatus.UNIMPLEMENTED, // a node that is still starting
  grpcStatus.RESOURCE_EXHAUSTED,
]);

/**
 * Canton marks this one retryable after a second. For a reader with a stored offset it means that the node went back in time; waiting until it
 * has caught up would resume with a hole. So it is permanent here, and the position is in doubt.
 */
const POSITION_IN_DOUBT: ReadonlySet<string> = new Set(['OFFSET_AFTER_LEDGER_END', 'PARTICIPANT_PRUNED_DATA_ACCESSED']);

/** How Canton writes its error codes. */
const CODE = /^[A-Z][A-Z0-9_]{0,99}$/;

/** How grpc-js begins to say that a message is beyond our own limit; the participant's limits read otherwise. */
const TOO_LARGE = 'Received message larger than max';

/** @param method the short name of the call, for the log. @returns a RetryableError or a PermanentError with Canton's code. */
export function ledgerErrorOf(error: unknown, method: string): RetryableError | PermanentError {
  if (error instanceof RetryableError || error instanceof PermanentError) return error;
  if (!isServiceError(error)) {
    // Whatever the network does, grpc-js reports it as a status. This is a mistake of ours, or a message that is no protobuf: no retry mends it.
    return new PermanentError('LEDGER_CLIENT_FAILED', `${method}: ${messageOf(error)}`, { method }, { cause: error });
  }
  if (error.code === grpcStatus.RESOURCE_EXHAUSTED && error.details.startsWith(TOO_LARGE)) {
    // The same message comes at every try.
    return new PermanentError('MESSAGE_TOO_LARGE', `${method}: ${error.details}`, { method }, { cause: error });
  }
  const info = errorInfoOf(error);
  const statusName = grpcStatus[error.code] ?? String(error.code);
  // Others store codes and branch on them: what is none is nothing to go by.
  const code = info !== undefined && CODE.test(info.reason) ? info.reason : `GRPC_${statusName}`;
  const facts: LedgerErrorFacts = { method, grpcStatus: statusName, metadata: info?.metadata ?? {} };
  const isRetryable = RETRYABLE_STATUS.has(error.code) && !POSITION_IN_DOUBT.has(code);
  const Kind = isRetryable ? RetryableError : PermanentError;
  return new Kind(code, `${method}: ${error.details}`, facts, { cause: error });
}

/** Whether `error` is the end of a call as grpc-js tells it. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'metadata' in error;
}

function errorInfoOf(error: ServiceError): ErrorInfo | undefined {
  const [trailer] = error.metadata.get('grpc-status-details-bin');
  if (!(trailer instanceof Uint8Array)) return undefined;
  try {
    const detail = Status.decode(trailer).details.find((any) => any.typeUrl === ERROR_INFO_TYPE);
    return detail && ErrorInfo.decode(detail.value);
  } catch {
    return undefined; // Details that are no protobuf say nothing more than the status does.
  }
}
