/** A stream on which nothing comes looks like a quiet ledger, or like one that takes its time: a participant that holds a connection open and says nothing must not hold us up for ever. */
import { type Clock, elapsedMsOf } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';

/** When the participant was last heard, in milliseconds as {@link elapsedMsOf} has them, and whether it is we who keep it waiting. */
export type Heard = { atMs: number; isHeldBack: boolean };

export type Patience = { readonly clock: Clock; readonly signal: AbortSignal; readonly silenceMsMax: number };

/** Resolves when nothing was heard for `silenceMsMax`, no later: with the milliseconds of silence. With null when `signal` aborts first. */
export async function untilSilent(heard: Heard, { clock, signal, silenceMsMax }: Patience): Promise<number | null> {
  let silentMs = 0;
  while (!signal.aborted) {
    // Exactly when it would have been silent for too long; while we do not read ourselves, now and then.
    await clock.sleep(silentMs < silenceMsMax ? silenceMsMax - silentMs : silenceMsMax / 5, signal);
    silentMs = elapsedMsOf(clock) - heard.atMs;
    if (!signal.aborted && !heard.isHeldBack && silentMs >= silenceMsMax) return silentMs;
  }
  return null;
}

/**
 * What `open` brings, until it ends.
 * @param open gets a signal that aborts with `signal`, and when `silenceMsMax` pass without an item while one is waited for.
 * @throws RetryableError STREAM_STALLED then, STREAM_GIVEN_UP when `signal` aborts: a stream that was cut short must not look like one that ended.
 */
export async function* unlessSilent<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  { clock, signal, silenceMsMax }: Patience,
): AsyncGenerator<T, void, undefined> {
  const silent = new AbortController();
  const over = new AbortController();
  const reading = AbortSignal.any([signal, silent.signal, over.signal]);
  const heard: Heard = { atMs: elapsedMsOf(clock), isHeldBack: false };
  const watching = untilSilent(heard, { clock, signal: reading, silenceMsMax }).then((silentMs) => {
    if (silentMs !== null) silent.abort();
  });
  try {
    for await (const item of open(reading)) {
      // Whoever took it may be slow; that is not the participant's silence.
      heard.isHeldBack = true;
      yield item;
      heard.isHeldBack = false;
      heard.atMs = elapsedMsOf(clock);
    }
    if (silent.signal.aborted) throw new RetryableError('STREAM_STALLED', 'The participant stopped answering.');
    if (signal.aborted) throw new RetryableError('STREAM_GIVEN_UP', 'The lease was lost, or the process is to end.');
  } finally {
    over.abort();
    await watching;
  }
}
