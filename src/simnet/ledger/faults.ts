/**
 * Misbehaviour of one participant on demand: streams that end or fail, messages that come late or twice, a node that stops answering.
 * Every stream registers here for its life, so tests can also see that none is left behind.
 */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import type { HowOften, SubmissionFaultControls, SubmissionFaults } from '../submission/submission-faults.ts';
import type { CallName } from './call-name.ts';
import { cantonError, type Refusal } from './canton-error.ts';
import { createDisturbances, type DisturbanceControls, type Disturbances } from './disturbances.ts';
import { knownRefusal } from './known-refusals.ts';

/** How streams and calls end when a node goes down. */
export const SHUTDOWN: Refusal = {
  code: 'ABORTED_DUE_TO_SHUTDOWN',
  category: 'transientServerFailure',
  text: 'request aborted due to shutdown',
};

export type RejectedCalls = HowOften & {
  readonly refusal: Refusal;
  /** All when left out. */
  readonly calls?: readonly CallName[];
};

export type FaultControls = DisturbanceControls & {
  /** Ends all open streams: those without an end of their own as if complete, which tells a reader nothing; the others fail, for what stops short of its end and looks complete would be a lie. @returns how many. */
  endStreams(): number;
  /** Fails all open streams. @returns how many. */
  abortStreams(refusal: Refusal): number;
  /** The next `count` updates that any stream delivers are delivered twice. */
  duplicateNext(count: number): void;
  /** Every update waits that long before it is delivered; 0 for none. */
  delayDelivery(delayMs: number): void;
  /** Stops answering: calls hang, streams fall silent, nothing is closed. */
  stall(): void;
  /** Streams fall silent, without so much as a checkpoint; calls are answered, and so are the pings of HTTP/2. */
  silenceStreams(): void;
  /** Ends both. */
  resume(): void;
  /** Refuses calls before they do anything; until `next` is used up or, with a share, until `acceptCalls`. */
  rejectCalls(rejected: RejectedCalls): void;
  acceptCalls(): void;
  /**
   * Leaves out whatever only this party sees, without a word, as for a user who lost rights or a party that moved away.
   * @param alsoActive out of the active contracts as well (when left out), or only out of updates.
   */
  hideParty(party: string, alsoActive?: boolean): void;
  showParty(party: string): void;
  openStreams(): number;
  /** @returns how many of the streams that are open now are open still, whenever it is asked; those opened since do not count. */
  followStreams(): () => number;
  /** Refuses further streams with MAXIMUM_NUMBER_OF_STREAMS while so many are open; undefined: no limit. */
  limitStreams(streamsMax: number | undefined): void;
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

export type Faults = FaultControls &
  Disturbances & {
    /** @throws CantonError when this call is to be refused. */
    admit(call: CallName): void;
    isHiddenParty(party: string, from: 'updates' | 'activeContracts'): boolean;
    /** @param options.hasEnd whether the stream completes by itself. */
    open(client: AbortSignal | undefined, options: { readonly hasEnd: boolean }): StreamHandle;
    /** Resolves when the participant answers (at once, normally), or when `signal` aborts. */
    answering(signal: AbortSignal | undefined, what?: 'call' | 'stream'): Promise<void>;
    /** Resolves when the update at hand may be delivered. */
    delivering(signal: AbortSignal): Promise<void>;
  };

type OpenStream = { readonly hasEnd: boolean; readonly controller: AbortController; failure: Error | undefined };

export function createFaults({
  clock,
  random,
  submissions,
}: {
  readonly clock: Clock;
  readonly random: Random;
  readonly submissions: SubmissionFaults;
}): Faults {
  const streams = new Set<OpenStream>();
  const resumed = new Set<() => void>();
  const disturbances = createDisturbances();
  const hiddenParties = new Map<string, boolean>();
  let stalled: 'nothing' | 'streams' | 'everything' = 'nothing';
  let rejections: { readonly rejected: RejectedCalls; left: number }[] = [];
  let delayMs = 0;
  let streamsMax: number | undefined;

  const stop = (failure: (stream: OpenStream) => Error | undefined): number => {
    const stopped = [...streams];
    for (const stream of stopped) {
      stream.failure = failure(stream);
      stream.controller.abort();
    }
    return stopped.length;
  };

  const isStalled = (what: 'call' | 'stream'): boolean =>
    stalled === 'everything' || (stalled === 'streams' && what === 'stream');

  return {
    ...disturbances,
    endStreams: () => stop(({ hasEnd }) => (hasEnd ? cantonError(SHUTDOWN) : undefined)),
    abortStreams: (refusal) => stop(() => cantonError(refusal)),
    duplicateNext: (count) => disturbances.disturbNext({ kind: 'duplicate' }, count),
    delayDelivery: (ms) => {
      delayMs = ms;
    },
    stall: () => {
      stalled = 'everything';
    },
    silenceStreams: () => {
      stalled = 'streams';
    },
    resume: () => {
      stalled = 'nothing';
      for (const wake of [...resumed]) wake();
    },
    rejectCalls: (rejected) => {
      rejections.push({ rejected, left: 'next' in rejected ? rejected.next : 0 });
    },
    acceptCalls: () => {
      rejections = [];
    },
    admit: (call) => {
      const rejection = rejections.find(
        ({ rejected, left }) =>
          rejected.calls?.includes(call) !== false && ('share' in rejected ? random.next() < rejected.share : left > 0),
      );
      if (rejection === undefined) return;
      rejection.left -= 1;
      throw cantonError(rejection.rejected.refusal);
    },
    hideParty: (party, alsoActive = true) => {
      hiddenParties.set(party, alsoActive);
    },
    showParty: (party) => {
      hiddenParties.delete(party);
    },
    isHiddenParty: (party, from) => {
      const alsoActive = hiddenParties.get(party);
      return alsoActive === true || (alsoActive === false && from === 'updates');
    },
    openStreams: () => streams.size,
    followStreams: () => {
      const followed = [...streams];
      return () => followed.filter((stream) => streams.has(stream)).length;
    },
    limitStreams: (limit) => {
      streamsMax = limit;
    },
    submissions,
    open: (client, { hasEnd }) => {
      if (streamsMax !== undefined && streams.size >= streamsMax)
        throw cantonError(knownRefusal('MAXIMUM_NUMBER_OF_STREAMS'));
      const controller = new AbortController();
      const stream: OpenStream = { hasEnd, controller, failure: undefined };
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
    answering: async (signal, what = 'call') => {
      while (isStalled(what) && signal?.aborted !== true) {
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
    delivering: async (signal) => {
      if (delayMs > 0) await clock.sleep(delayMs, signal);
    },
  };
}
