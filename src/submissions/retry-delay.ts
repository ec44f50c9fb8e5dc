/** How long a thing rests whose attempt came to nothing, before it gets another one. */
import { createHash } from 'node:crypto';
import type { Micros } from '../env/clock.ts';

/**
 * Doubles from one attempt to the next. At the longest it is not always the same: an attempt lives by the time of the ledger, of which a quiet one tells at a pace of its own, and whoever came back at a fixed one could be
 * too late each time.
 *
 * @param retry.attempts that came to nothing, 1 or more.
 * @param retry.failedAt when the last of them did.
 * @returns milliseconds; where it no longer doubles, from half of `maxMs` up to it. The same for the same input, so that a schedule can be run again.
 */
export function retryDelayMs(retry: {
  readonly id: string;
  readonly attempts: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly failedAt: Micros;
}): number {
  const { id, attempts, minMs, maxMs, failedAt } = retry;
  const doubled = minMs * 2 ** Math.min(EXPONENT_MAX, attempts - 1);
  if (doubled < maxMs) return doubled;
  const drawn = createHash('sha256').update(`${id}:${failedAt}`).digest().readUInt32BE() / 2 ** 32;
  return Math.round(maxMs * (0.5 + drawn / 2));
}

const EXPONENT_MAX = 20; // Beyond any configured maximum; keeps the power a number.
