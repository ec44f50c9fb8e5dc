/**
 * One id for everything that follows from one request: its log lines, the withdrawal, each try to pay it, and the update on the ledger. It comes with the request or is made; whoever sends it decides nothing by it
 * but what he will search for.
 *
 * On the way to the ledger it travels as the trace id of a W3C trace context, which a participant hands on to the update. Ids that are trace ids already stay as they are; of others the trace id is a hash.
 * @see W3C Trace Context, `traceparent`; Ledger API: TraceContext of a transaction, which is that of the submission.
 */
import { createHash } from 'node:crypto';
import type { Random } from './random.ts';

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const TRACE_PARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** @returns that of the header `x-request-id`, else the trace of `traceparent`, else a new one. What is not of its form is not taken: it would stand in logs. */
export function requestIdOf(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  random: Pick<Random, 'bytes'>,
): string {
  const { 'x-request-id': given, traceparent } = headers;
  if (typeof given === 'string' && REQUEST_ID.test(given)) return given;
  const [, trace = ''] = typeof traceparent === 'string' ? (TRACE_PARENT.exec(traceparent) ?? []) : [];
  return TRACE_ID.test(trace) ? trace : Buffer.from(random.bytes(TRACE_ID_BYTES)).toString('hex');
}

/** 32 hex digits, the same for the same id. */
export function traceIdOf(requestId: string): string {
  if (TRACE_ID.test(requestId)) return requestId;
  return createHash('sha256')
    .update(requestId)
    .digest('hex')
    .slice(0, 2 * TRACE_ID_BYTES);
}

/** For one call of many that belong to a request. */
export function traceParentOf(requestId: string, random: Pick<Random, 'bytes'>): string {
  return `00-${traceIdOf(requestId)}-${Buffer.from(random.bytes(SPAN_ID_BYTES)).toString('hex')}-01`;
}
