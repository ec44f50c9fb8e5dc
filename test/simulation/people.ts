/** People who act through a process as long as it lives, now and then. */
import type { Clock } from '../../src/env/clock.ts';
import { RetryableError } from '../../src/env/errors.ts';
import type { Life } from './process.ts';

export type People = {
  /** Between two acts, at most. */
  readonly pauseMsMax: number;
  /** By which they wait; that of who polls if left out. */
  readonly clock?: () => Clock;
  act(): Promise<void>;
  /** Whether an error is an answer to them: two act at once, and one of them comes too late. What is to be tried again is one always. */
  isAnswer(error: unknown): boolean;
};

/** Resolves when the life ends. @throws whatever is no answer. */
export async function actThrough(
  { lazyClock, random, signal }: Life,
  { pauseMsMax, clock = () => lazyClock, act, isAnswer }: People,
): Promise<void> {
  while (!signal.aborted) {
    await clock().sleep(random.next() * pauseMsMax, signal);
    if (signal.aborted) return;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof RetryableError || isAnswer(error))) throw error;
    }
  }
}
