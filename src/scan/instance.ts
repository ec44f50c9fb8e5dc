/**
 * One server that is asked: with its rate limit, its circuit breaker, and what became of what it was asked. A server that keeps failing rests, longer each time, and is then asked once; meanwhile whoever
 * needs it is told at once, so that a dead registry costs its own token nothing but waiting, and every other token not even that.
 */
import { type Clock, type Micros, microsToMillis, millisToMicros } from '../env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { createTokenBucket } from './rate-limit.ts';
import { REFUSALS, type RegistryHttp, retryable } from './registry-http.ts';

/** Of one server, since this process started. Counters only grow. */
export type InstanceHealth = {
  readonly url: string;
  /** `RESTING`: not asked before `restsUntil`. `PROBING`: the next answer decides. */
  readonly state: 'WELL' | 'FAILING' | 'RESTING' | 'PROBING';
  readonly asked: bigint;
  readonly answered: bigint;
  readonly failed: bigint;
  /** Times that it was not asked, because it rested or the rate was used up. */
  readonly spared: bigint;
  /** Times that it said something else than the others agreed on. */
  readonly dissented: bigint;
  readonly failuresInRow: number;
  readonly restsUntil: Micros | null;
  readonly lastFailure: { readonly at: Micros; readonly code: string; readonly message: string } | null;
  readonly lastDissent: { readonly at: Micros; readonly question: string } | null;
  readonly lastAnswerAt: Micros | null;
};

export type Instance = {
  readonly url: string;
  isResting(): boolean;
  /** @throws RegistryRetryableError REGISTRY_RESTING without asking; whatever `question` throws. */
  ask<T>(question: (http: RegistryHttp) => Promise<T>): Promise<T>;
  dissented(question: string): void;
  health(): InstanceHealth;
};

const FAILURES_MAX = 3; // In a row; one or two happen to everybody.
const REST_MS_MIN = 1_000;
const REST_MS_MAX = 60_000;
const RETRY_AFTER_MS_MAX = 600_000; // A server that wants more is asked all the same: it may have meant seconds.

export function createInstance(options: {
  readonly http: RegistryHttp;
  readonly clock: Clock;
  readonly random: Random;
  /** Exchanges, in the long run; twice as many at once. */
  readonly perSecondMax: number;
}): Instance {
  const { clock, random } = options;
  const bucket = createTokenBucket({ clock, perSecond: options.perSecondMax, burst: options.perSecondMax * 2 });
  const { baseUrl: url } = options.http;
  const http: RegistryHttp = {
    baseUrl: url,
    get: async (path, signal) => {
      await bucket.take(url, signal);
      return await options.http.get(path, signal);
    },
    post: async (path, body, signal) => {
      await bucket.take(url, signal);
      return await options.http.post(path, body, signal);
    },
  };
  let known: Omit<InstanceHealth, 'url' | 'state'> = {
    asked: 0n,
    answered: 0n,
    failed: 0n,
    spared: 0n,
    dissented: 0n,
    failuresInRow: 0,
    restsUntil: null,
    lastFailure: null,
    lastDissent: null,
    lastAnswerAt: null,
  };
  let probes = 0;
  const isResting = (): boolean => known.restsUntil !== null && known.restsUntil > clock.nowMicros();
  const isTired = (): boolean => known.restsUntil !== null && known.failuresInRow >= FAILURES_MAX;

  function succeeded(): void {
    known = {
      ...known,
      answered: known.answered + 1n,
      failuresInRow: 0,
      restsUntil: null,
      lastAnswerAt: clock.nowMicros(),
    };
  }

  function failed(error: unknown): void {
    const facts = factsOf(error);
    if (facts.code === 'REGISTRY_ABORTED' || facts.code === 'TOKEN_UNAVAILABLE') return;
    if (facts.code === 'REGISTRY_RATE_LIMITED') {
      known = { ...known, spared: known.spared + 1n };
      return;
    }
    if (facts.code === 'REGISTRY_STATUS' && REFUSALS.has(facts.status)) {
      succeeded();
      return;
    }
    const now = clock.nowMicros();
    const failuresInRow = known.failuresInRow + 1;
    const restMs = Math.max(tiredness(failuresInRow, random), Math.min(facts.retryAfterMs, RETRY_AFTER_MS_MAX));
    known = {
      ...known,
      failed: known.failed + 1n,
      failuresInRow,
      restsUntil: restMs === 0 ? null : now + millisToMicros(restMs),
      lastFailure: { at: now, code: facts.code, message: messageOf(error) },
    };
  }

  return {
    url,
    isResting,
    ask: async (question) => {
      const isProbe = isTired();
      if (isResting() || (isProbe && probes > 0)) {
        known = { ...known, spared: known.spared + 1n };
        const waitMs = known.restsUntil === null ? 0 : microsToMillis(known.restsUntil - clock.nowMicros());
        throw retryable('REGISTRY_RESTING', 'It failed too often to be asked again at once.', {
          url,
          waitMs: Math.max(0, waitMs),
          lastError: known.lastFailure?.code ?? null,
        });
      }
      if (isProbe) probes += 1;
      known = { ...known, asked: known.asked + 1n };
      try {
        const answer = await question(http);
        succeeded();
        return answer;
      } catch (error) {
        failed(error);
        throw error;
      } finally {
        if (isProbe) probes -= 1;
      }
    },
    dissented: (question) => {
      known = { ...known, dissented: known.dissented + 1n, lastDissent: { at: clock.nowMicros(), question } };
    },
    health: () => ({
      url,
      state: isResting() ? 'RESTING' : isTired() ? 'PROBING' : known.failuresInRow > 0 ? 'FAILING' : 'WELL',
      ...known,
    }),
  };
}

/** @returns how long to rest, in milliseconds; from the upper half, so that servers that failed together are not asked together. */
function tiredness(failuresInRow: number, random: Random): number {
  if (failuresInRow < FAILURES_MAX) return 0;
  const ceiling = Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** Math.min(failuresInRow - FAILURES_MAX, 10));
  return Math.round(ceiling * (0.5 + random.next() / 2));
}

function factsOf(error: unknown): { readonly code: string; readonly status: unknown; readonly retryAfterMs: number } {
  if (!(error instanceof RetryableError) && !(error instanceof PermanentError))
    return { code: 'UNEXPECTED', status: null, retryAfterMs: 0 };
  const { status, retryAfterMs } = error.facts;
  return { code: error.code, status, retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : 0 };
}
