/**
 * What is known of each endpoint of a network, and which one to use next. An endpoint that fails rests for a while, longer each time; meanwhile others are used.
 *
 * Offsets are a participant's own. Endpoints with one participant id (replicas of one node, or several ways to it) continue each other's streams; on another participant the place
 * has to be found again. So a stream leaves its participant only when all endpoints of that one have failed for a while.
 */
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';

export type EndpointState = {
  readonly url: string;
  /** As it said last; null while it was never asked with success. */
  readonly participantId: string | null;
  /** In a row. */
  readonly failures: number;
  readonly failingSince: Micros | null;
  /** Not to be used before, where there is a choice. */
  readonly restsUntil: Micros;
  readonly lastError: string | null;
};

export type EndpointHealth = {
  states(): readonly EndpointState[];
  /** @param preferred the participant whose offsets are stored; null: any will do. @returns the index of the endpoint. */
  choose(preferred: string | null): number;
  learned(index: number, participantId: string): void;
  /** Errors that say nothing about the endpoint are ignored. */
  failed(index: number, error: unknown): void;
  succeeded(index: number): void;
};

const REST_MS_MIN = 1_000;
const REST_MS_MAX = 30_000;

/** What gRPC says when the node, not the question, is the trouble: away, a passive replica, still starting, overloaded, or not accepting us. */
const TROUBLE_STATUS: ReadonlySet<unknown> = new Set([
  'UNAVAILABLE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
]);
/** What Canton says with a status that it also has for other things, and what we say ourselves. */
const TROUBLE_CODES: ReadonlySet<string> = new Set([
  'MAXIMUM_NUMBER_OF_STREAMS',
  'PARTICIPANT_BACKPRESSURE',
  'HEAP_MEMORY_OVER_LIMIT',
  'THREADPOOL_OVERLOADED',
  'CONNECT_TIMEOUT',
  'STREAM_STALLED',
]);

export function createEndpointHealth(options: {
  /** One or more. */
  readonly urls: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  /** How long a participant must have been away before another one is used. */
  readonly switchAfterMs: number;
}): EndpointHealth {
  const { clock, random } = options;
  const states: EndpointState[] = options.urls.map((url) => ({
    url,
    participantId: null,
    failures: 0,
    failingSince: null,
    restsUntil: 0n,
    lastError: null,
  }));
  const change = (index: number, next: (state: EndpointState) => Partial<EndpointState>): void => {
    const state = states[index];
    if (state !== undefined) states[index] = { ...state, ...next(state) };
  };

  return {
    states: () => states,
    choose: (preferred) =>
      chooseEndpoint(states, { preferred, now: clock.nowMicros(), switchAfter: millisToMicros(options.switchAfterMs) }),
    learned: (index, participantId) => change(index, () => ({ participantId })),
    failed: (index, error) => {
      if (!isTrouble(error)) return;
      const now = clock.nowMicros();
      change(index, ({ failures, failingSince }) => {
        const restMs = Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** Math.min(failures, 10)) * (0.5 + random.next() / 2);
        return {
          failures: failures + 1,
          failingSince: failingSince ?? now,
          restsUntil: now + millisToMicros(restMs),
          lastError: `${error.code}: ${error.message}`,
        };
      });
    },
    succeeded: (index) => change(index, () => ({ failures: 0, failingSince: null, restsUntil: 0n, lastError: null })),
  };
}

/** In this order: the preferred participant, one whose id is unknown, another participant; of equals the one that failed less, then the one named first. */
export function chooseEndpoint(
  states: readonly EndpointState[],
  {
    preferred,
    now,
    switchAfter,
  }: { readonly preferred: string | null; readonly now: Micros; readonly switchAfter: Micros },
): number {
  const kinOf = ({ participantId }: EndpointState): number =>
    preferred === null || participantId === preferred ? 0 : participantId === null ? 1 : 2;
  const own = states.filter((state) => kinOf(state) === 0);
  const isGivenUp = own.every(({ failingSince }) => failingSince !== null && now - failingSince >= switchAfter);
  const rankOf = (state: EndpointState): readonly number[] => {
    const isResting = state.restsUntil > now;
    const isForbidden = kinOf(state) === 2 && !isGivenUp;
    return [
      isForbidden ? 2 : isResting ? 1 : 0,
      kinOf(state),
      isResting ? Number(state.restsUntil - now) : state.failures,
    ];
  };
  const order = states.map((state, index) => ({ index, rank: rankOf(state) }));
  order.sort((a, b) => a.rank.map((part, at) => part - (b.rank[at] ?? 0)).find((difference) => difference !== 0) ?? 0);
  return order[0]?.index ?? 0;
}

function isTrouble(error: unknown): error is RetryableError | PermanentError {
  if (!(error instanceof RetryableError) && !(error instanceof PermanentError)) return false;
  return TROUBLE_CODES.has(error.code) || (error.retryable && TROUBLE_STATUS.has(error.facts['grpcStatus']));
}
