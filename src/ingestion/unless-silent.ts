/** A stream that is given up when nothing comes for too long: a participant that holds a connection open and says nothing must not hold us up for ever. */
import { type Clock, microsToMillis } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';

/**
 * What `open` brings, until it ends.
 * @param open gets a signal that aborts with `signal`, and when `silenceMsMax` pass without an item.
 * @throws RetryableError STREAM_STALLED then, STREAM_GIVEN_UP when `signal` aborts: a stream that was cut short must not look like one that ended.
 */
export async function* unlessSilent<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  {
    clock,
    signal,
    silenceMsMax,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly silenceMsMax: number },
): AsyncGenerator<T, void, undefined> {
  const silent = new AbortController();
  const over = new AbortController();
  const reading = AbortSignal.any([signal, silent.signal, over.signal]);
  let heardAt = clock.nowMicros();
  const watch = async (): Promise<void> => {
    while (!reading.aborted) {
      await clock.sleep(silenceMsMax / 5, reading);
      if (!reading.aborted && microsToMillis(clock.nowMicros() - heardAt) > silenceMsMax) silent.abort();
    }
  };
  const watching = watch();
  try {
    for await (const item of open(reading)) {
      yield item;
      // Whoever took it may have been slow; that is not the participant's silence.
      heardAt = clock.nowMicros();
    }
    if (silent.signal.aborted) throw new RetryableError('STREAM_STALLED', 'The participant stopped answering.');
    if (signal.aborted) throw new RetryableError('STREAM_GIVEN_UP', 'The lease was lost, or the process is to end.');
  } finally {
    over.abort();
    await watching;
  }
}
