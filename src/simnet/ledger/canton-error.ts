/**
 * Refusals in Canton's own form: code id, category, gRPC status and the details in their order.
 * Source: Canton 3.5, error library (categories, redaction, limits) and the codes that participants document.
 */
import { PermanentError, RetryableError } from '../../env/errors.ts';
import { ErrorInfo, RequestInfo, ResourceInfo, RetryInfo } from '../../gen/google/rpc/error_details.ts';
import type { Status } from '../../gen/google/rpc/status.ts';

export const GRPC_CODE = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

type Category = {
  readonly number: number;
  readonly grpcCode: number;
  /** Undefined: not worth a retry. */
  readonly retryAfterMs?: number;
  /** Redacted errors say nothing but whom to ask. */
  readonly redacted?: true;
};

/** Canton's error categories; the numbers travel in the metadata of ErrorInfo. */
export const CATEGORY = {
  transientServerFailure: { number: 1, grpcCode: GRPC_CODE.unavailable, retryAfterMs: 1_000 },
  contention: { number: 2, grpcCode: GRPC_CODE.aborted, retryAfterMs: 1_000 },
  deadlineExceeded: { number: 3, grpcCode: GRPC_CODE.deadlineExceeded },
  securityAlert: { number: 5, grpcCode: GRPC_CODE.invalidArgument },
  internal: { number: 4, grpcCode: GRPC_CODE.internal, redacted: true },
  unauthenticated: { number: 6, grpcCode: GRPC_CODE.unauthenticated, redacted: true },
  permissionDenied: { number: 7, grpcCode: GRPC_CODE.permissionDenied, redacted: true },
  invalidRequest: { number: 8, grpcCode: GRPC_CODE.invalidArgument },
  invalidState: { number: 9, grpcCode: GRPC_CODE.failedPrecondition },
  resourceExists: { number: 10, grpcCode: GRPC_CODE.alreadyExists },
  resourceMissing: { number: 11, grpcCode: GRPC_CODE.notFound },
  seekAfterEnd: { number: 12, grpcCode: GRPC_CODE.outOfRange, retryAfterMs: 1_000 },
  unsupported: { number: 14, grpcCode: GRPC_CODE.unimplemented, redacted: true },
} as const satisfies Record<string, Category>;

export type CategoryName = keyof typeof CATEGORY;

export type Refusal = {
  readonly code: string;
  readonly category: CategoryName;
  readonly text: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** What the refused request named. */
  readonly resources?: readonly { readonly type: string; readonly name: string }[];
  /** For submissions: the participant knows that it did not and will not succeed. */
  readonly definiteAnswer?: boolean;
  /** Where the code asks for another wait than its category. */
  readonly retryAfterMs?: number;
  /** Id under which an operator finds the request in the node's log. */
  readonly requestId?: string;
};

const TEXT_LENGTH_MAX = 512; // Canton cuts the text of errors there.
const CORRELATION_LENGTH = 8;

/** A refusal that the same request would meet again. */
export class CantonError extends PermanentError {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.code, refusal.text, { category: refusal.category, ...refusal.metadata });
    this.refusal = refusal;
  }
}

/** A refusal of a category that Canton marks retryable. */
export class RetryableCantonError extends RetryableError {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.code, refusal.text, { category: refusal.category, ...refusal.metadata });
    this.refusal = refusal;
  }
}

export function cantonError(refusal: Refusal): CantonError | RetryableCantonError {
  const category: Category = CATEGORY[refusal.category];
  return category.retryAfterMs === undefined ? new CantonError(refusal) : new RetryableCantonError(refusal);
}

export function isCantonError(error: unknown): error is CantonError | RetryableCantonError {
  return error instanceof CantonError || error instanceof RetryableCantonError;
}

/** @returns the message of `grpc-status-details-bin`; its `code` and `message` are those of the call. */
export function statusOf(refusal: Refusal): Status {
  const category: Category = CATEGORY[refusal.category];
  const requestInfo = packed(
    'type.googleapis.com/google.rpc.RequestInfo',
    RequestInfo.encode(RequestInfo.fromPartial({ requestId: refusal.requestId ?? '' })).finish(),
  );
  if (category.redacted) {
    const asked = refusal.requestId ?? '<no-correlation-id>';
    const message = `An error occurred. Please contact the operator and inquire about the request ${asked} with tid <no-tid>`;
    return { code: category.grpcCode, message, details: [requestInfo] };
  }
  const correlation = refusal.requestId?.slice(0, CORRELATION_LENGTH) ?? '0';
  const metadata: Record<string, string> = { ...refusal.metadata, category: String(category.number) };
  if (refusal.definiteAnswer !== undefined) metadata['definite_answer'] = String(refusal.definiteAnswer);
  const details = [
    packed(
      'type.googleapis.com/google.rpc.ErrorInfo',
      ErrorInfo.encode(ErrorInfo.fromPartial({ reason: refusal.code, domain: '', metadata })).finish(),
    ),
  ];
  if (category.retryAfterMs !== undefined) {
    const retryAfterMs = refusal.retryAfterMs ?? category.retryAfterMs;
    const retryDelay = {
      seconds: BigInt(Math.trunc(retryAfterMs / 1_000)),
      nanos: (retryAfterMs % 1_000) * 1_000_000,
    };
    details.push(
      packed(
        'type.googleapis.com/google.rpc.RetryInfo',
        RetryInfo.encode(RetryInfo.fromPartial({ retryDelay })).finish(),
      ),
    );
  }
  if (refusal.requestId !== undefined) details.push(requestInfo);
  for (const { type, name } of refusal.resources ?? []) {
    details.push(
      packed(
        'type.googleapis.com/google.rpc.ResourceInfo',
        ResourceInfo.encode(ResourceInfo.fromPartial({ resourceType: type, resourceName: name })).finish(),
      ),
    );
  }
  const message = `${refusal.code}(${category.number},${correlation}): ${refusal.text.slice(0, TEXT_LENGTH_MAX)}`;
  return { code: category.grpcCode, message, details };
}

function packed(typeUrl: string, value: Uint8Array): Status['details'][number] {
  return { typeUrl, value };
}
