/**
 * Time as the logic sees it. Everything that waits or asks for the time gets a Clock, so that the whole system can run under a virtual
 * one; the ambient clock lives in `system.ts` alone.
 */

/** Microseconds since 1970-01-01T00:00:00Z, the unit of Canton's record times. Never a JS `number`, never a `Date`. */
export type Micros = bigint;

export type Clock = {
  /** Wall-clock time. May jump: no money decision reads it, it sets backoff, lease expiry and the age of an answer. */
  nowMicros(): Micros;
  /**
   * Waits `durationMs` milliseconds (0 yields to other work).
   * Resolves early, without throwing, when `signal` aborts: loops test their signal right after.
   */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
  /** Milliseconds since some moment of this process that no setting of the wall clock moves; it may stand still while the machine sleeps. Left out: there is only the wall clock. */
  elapsedMs?(): number;
};

const MICROS_PER_MILLI = 1_000n;
const MICROS_PER_SECOND = 1_000_000n;

/** For how long something lasts: milliseconds that no setting of the wall clock moves, where the clock has such. */
export function elapsedMsOf(clock: Clock): number {
  return clock.elapsedMs?.() ?? microsToMillis(clock.nowMicros());
}

/** @returns `durationMs` as microseconds; fractions of a microsecond are cut. */
export function millisToMicros(durationMs: number): Micros {
  return BigInt(Math.trunc(durationMs * 1_000));
}

/** @returns whole milliseconds, rounded towards zero; safe as a `number` for any span below 285,000 years. */
export function microsToMillis(micros: Micros): number {
  return Number(micros / MICROS_PER_MILLI);
}

/** Seconds and nanoseconds of a `google.protobuf.Timestamp` as microseconds. Canton never sends a finer unit; a finer part is cut. */
export function timestampToMicros(timestamp: { readonly seconds: bigint; readonly nanos: number }): Micros {
  return timestamp.seconds * MICROS_PER_SECOND + BigInt(Math.trunc(timestamp.nanos / 1_000));
}

/** Inverse of {@link timestampToMicros}; negative times keep `nanos` in 0..999,999,999, as protobuf demands. */
export function microsToTimestamp(micros: Micros): { seconds: bigint; nanos: number } {
  const remainder = ((micros % MICROS_PER_SECOND) + MICROS_PER_SECOND) % MICROS_PER_SECOND;
  return { seconds: (micros - remainder) / MICROS_PER_SECOND, nanos: Number(remainder) * 1_000 };
}
