/**
 * Misbehaviour of one participant on demand: streams that end or fail, messages that come late or twice, a node that stops answering.
 * Every stream registers here for its life, so tests can also see that none is left behind.
 */
import type { Clock } from '../../env/clock.ts';
import type { SubmissionFaultControls, SubmissionFaults } from '../submission/submission-faults.ts';
import { cantonError, type Refusal } from './canton-error.ts';

/** How streams and calls end when a node goes down. */
export const SHUTDOWN: Refusal = {
  code: 'ABORTED_DUE_TO_SHUTDOWN',
  category: 'transientServerFailure',
  text: 'request aborted due to shutdown',
};

export type FaultControls = {
  /** Ends all open streams as if complete. @returns how many. */
  endStreams(): number;
  /** Fails all open streams. @returns how many. */
  abortStreams(refusal: Refusal): number;
  /** The next `count` updates that any stream delivers are delivered twice. */
  duplicateNext(count: number): void;
  /** Every update waits that long before it is delivered; 0 for none. */
  delayDelivery(delayMs: number): void;
  /** Stops answering: calls hang, streams fall silent, nothing is closed. */
  stall(): void;
  resume(): void;
  openStreams(): number;
  /** What goes wrong with prepare, execute and completions. */
  readonly submissions: SubmissionFaultControls;
};

export type StreamHandle = {
  /** Aborts when the client goes away and when the stream is ended or failed from here. */
  readonly signal: AbortSignal;
  /** The error to end with, if any. */
  failure(): Error | undefined;
  close(): void;
};

export type Faults = FaultControls & {
  open(client: AbortSignal | undefined): StreamHandle;
  /** Resolves when the participant answers (at once, normally), or when `signal` aborts. */
  answering(signal: AbortSignal | undefined): Promise<void>;
  /** How often to deliver the update at hand, after having waited for it. */
  deliveries(signal: AbortSignal): Promise<number>;
};

export function createFaults({ clock, submissions }: { clock: Clock; submissions: SubmissionFaults }): Faults {
  const streams = new Set<{ readonly controller: AbortController; failure: Error | undefined }>();
  const resumed = new Set<() => void>();
  let isStalled = false;
  let duplicates = 0;
  let delayMs = 0;

  const stop = (failure: () => Error | undefined): number => {
    const stopped = [...streams];
    for (const stream of stopped) {
      stream.failure = failure();
      stream.controller.abort();
    }
    return stopped.length;
  };

  return {
    endStreams: () => stop(() => undefined),
    abortStreams: (refusal) => stop(() => cantonError(refusal)),
    duplicateNext: (count) => {
      duplicates += count;
    },
    delayDelivery: (ms) => {
      delayMs = ms;
    },
    stall: () => {
      isStalled = true;
    },
    resume: () => {
      isStalled = false;
      for (const wake of [...resumed]) wake();
    },
    openStreams: () => streams.size,
    submissions,
    open: (client) => {
      const controller = new AbortController();
      const stream = { controller, failure: undefined };
      const leave = (): void => controller.abort();
      streams.add(stream);
      client?.addEventListener('abort', leave);
      if (client?.aborted) leave();
      return {
        signal: controller.signal,
        failure: () => stream.failure,
        close: () => {
          client?.removeEventListener('abort', leave);
          streams.delete(stream);
        },
      };
    },
    answering: async (signal) => {
      while (isStalled && signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            resumed.delete(wake);
            signal?.removeEventListener('abort', wake);
            resolve();
          };
          resumed.add(wake);
          signal?.addEventListener('abort', wake);
        });
      }
    },
    deliveries: async (signal) => {
      if (delayMs > 0) await clock.sleep(delayMs, signal);
      if (duplicates === 0) return 1;
      duplicates -= 1;
      return 2;
    },
  };
}
