/**
 * The strategies by which something outside is read. The validator's Scan proxy is one instance that asks several itself; `rotate` asks one, and after a failure another; `quorum` asks all at once and believes
 * what all but a few say.
 */
import type { ReadSource } from '../config/read-source.ts';
import type { Clock } from '../env/clock.ts';
import { type ErrorFacts, PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { agreementOf } from './agreement.ts';
import type { Instance } from './instance.ts';
import { REFUSALS, type RegistryHttp, retryable } from './registry-http.ts';

export type Question<T> = {
  /** For people: the log and the health of who answered otherwise. */
  readonly name: string;
  /** What can be asked again and of anybody. @throws RegistryRetryableError, RegistryPermanentError. */
  readonly ask: (http: RegistryHttp, signal: AbortSignal) => Promise<T>;
  /** What two answers must have in common to be the same: what matters of them, in one form. */
  readonly matter: (answer: T) => string;
};

export type Reader = {
  /**
   * @throws what the last instance asked threw; of a quorum RegistryRetryableError REGISTRY_NO_QUORUM, whose facts name who said what, or the refusal (400, 404, 409) that as many gave as an answer would need.
   */
  read<T>(question: Question<T>, signal?: AbortSignal): Promise<T>;
};

const READ_MS_MAX = 10_000; // All tries and rounds together: a prepared withdrawal waits for this.

export type ReaderEnv = { readonly clock: Clock; readonly random: Random; readonly logger: Logger };

const TRIES_MAX = 3; // Of a rotation, each with another instance; whoever asks comes back later anyway.
const ROUNDS_MAX = 2; // Of a quorum that differs: honest instances see a new contract within a second of each other.
const ROUND_PAUSE_MS = 500;
const STRAGGLER_MS = 2_000; // How long those that were not needed may still answer, to be compared.

/** @param instances of the source, in its order; one for `proxy`. */
export function createReader(source: ReadSource, instances: readonly Instance[], env: ReaderEnv): Reader {
  const { read } =
    source.strategy === 'quorum' ? quorumOf(instances, source.faultsMax, env) : rotationOf(instances, env);
  return {
    read: async (question, caller) => {
      const deadline = new AbortController();
      const waiting = new AbortController();
      void env.clock.sleep(READ_MS_MAX, waiting.signal).then(() => {
        // What is still under way after an answer goes on, to be compared with it.
        if (!waiting.signal.aborted) deadline.abort();
      });
      try {
        const signal = caller === undefined ? deadline.signal : AbortSignal.any([caller, deadline.signal]);
        return await read(question, signal);
      } catch (error) {
        const isLate = error instanceof RetryableError && error.code === 'REGISTRY_ABORTED' && !caller?.aborted;
        if (!isLate) throw error;
        throw retryable('REGISTRY_TIMEOUT', 'No answer in time, of whoever was asked.', error.facts, error);
      } finally {
        waiting.abort();
      }
    },
  };
}

type Strategy = { read<T>(question: Question<T>, signal: AbortSignal): Promise<T> };

function rotationOf(instances: readonly Instance[], { random }: ReaderEnv): Strategy {
  let failedLast: Instance | null = null;

  const anyOf = (candidates: readonly Instance[]): Instance | null =>
    candidates[Math.floor(random.next() * candidates.length)] ?? null;

  /** @param tried in this read: nobody is asked twice. @returns null where whoever is left rests. */
  function choose(tried: ReadonlySet<Instance>): Instance | null {
    const others = instances.filter((instance) => instance !== failedLast && !tried.has(instance));
    const awake = others.filter((instance) => !instance.isResting());
    if (awake.length > 0 || tried.size > 0) return anyOf(awake);
    // Where all others rest the one that failed last is the best there is; where it rests too, any of them will say so.
    return failedLast === null || failedLast.isResting() ? anyOf(instances) : failedLast;
  }

  return {
    read: async ({ name, ask }, signal) => {
      const tried = new Set<Instance>();
      let failure: unknown = retryable('REGISTRY_ABORTED', 'The caller gave up.', { question: name });
      while (tried.size < TRIES_MAX && !signal.aborted) {
        const chosen = choose(tried);
        if (chosen === null) break;
        tried.add(chosen);
        try {
          const answer = await chosen.ask(async (http) => await ask(http, signal));
          failedLast = null;
          return answer;
        } catch (error) {
          failedLast = chosen;
          failure = error;
        }
      }
      throw failure;
    },
  };
}

type Round<T> =
  | { readonly isAgreed: true; readonly answer: T }
  | { readonly isAgreed: false; readonly facts: ErrorFacts; readonly differed: boolean };

type Said<T> = { readonly answer: T; readonly print: string } | { readonly error: unknown };

function quorumOf(instances: readonly Instance[], faultsMax: number, { clock, random, logger }: ReaderEnv): Strategy {
  async function round<T>(question: Question<T>, caller: AbortSignal): Promise<Round<T>> {
    const leaving = new AbortController();
    const signal = AbortSignal.any([caller, leaving.signal]);
    const said = new Map<Instance, Said<T>>();
    const { promise, resolve, reject } = Promise.withResolvers<Round<T>>();
    let agreed: string | null = null;

    function compare(instance: Instance, answer: Said<T>): void {
      const print = printOf(answer);
      if (agreed === null || print === agreed || print === null || print === undefined) return;
      instance.dissented(question.name);
      logger.warn('A registry says something else than the others.', { url: instance.url, question: question.name });
    }

    function heard(instance: Instance, answer: Said<T>): void {
      said.set(instance, answer);
      if (agreed !== null) {
        compare(instance, answer);
        return;
      }
      const agreement = agreementOf(
        instances.map((each) => printOf(said.get(each))),
        faultsMax,
      );
      if (agreement.kind === 'REFUSED') {
        resolve(noQuorum(question.name, said, { instances: instances.length, faultsMax }));
      } else if (agreement.kind === 'AGREED') {
        agreed = agreement.print;
        for (const [each, its] of said) compare(each, its);
        const first = [...said.values()].find((its) => printOf(its) === agreed);
        if (first === undefined || 'error' in first) reject(first?.error);
        else resolve({ isAgreed: true, answer: first.answer });
      }
    }

    const asking = instances.map(async (instance) => {
      try {
        const answer = await instance.ask(async (http) => await question.ask(http, signal));
        heard(instance, { answer, print: question.matter(answer) });
      } catch (error) {
        heard(instance, { error });
      }
    });
    const over = Promise.all(asking);
    try {
      return await promise;
    } finally {
      const waiting = new AbortController();
      void over.then(() => waiting.abort());
      void clock.sleep(STRAGGLER_MS, AbortSignal.any([waiting.signal, caller])).then(() => leaving.abort());
    }
  }

  return {
    read: async (question, signal) => {
      for (let rounds = 1; ; rounds += 1) {
        const answer = await round(question, signal);
        if (answer.isAgreed) return answer.answer;
        if (signal.aborted) throw retryable('REGISTRY_ABORTED', 'The caller gave up.', answer.facts);
        if (rounds === ROUNDS_MAX || !answer.differed) {
          logger.warn('Registries do not agree.', { ...answer.facts });
          throw retryable('REGISTRY_NO_QUORUM', 'Too few instances gave the same answer.', answer.facts);
        }
        await clock.sleep(ROUND_PAUSE_MS * (0.5 + random.next() / 2), signal);
      }
    },
  };
}

/** A failure is no answer. A no of the registry itself is one that may be agreed on: it is then thrown as theirs, and never believed to be a yes. */
function printOf<T>(said: Said<T> | undefined): string | null | undefined {
  if (said === undefined) return undefined;
  if ('print' in said) return `yes ${said.print}`;
  return isRefusal(said.error) ? `no ${said.error.facts['status']}` : null;
}

function isRefusal(error: unknown): error is RetryableError {
  return error instanceof RetryableError && error.code === 'REGISTRY_STATUS' && REFUSALS.has(error.facts['status']);
}

/** Who said the same is told together, so that a person can see who is alone; what was said is not: it is theirs. */
function noQuorum<T>(
  question: string,
  said: ReadonlyMap<Instance, Said<T>>,
  { instances, faultsMax }: { readonly instances: number; readonly faultsMax: number },
): Round<T> {
  const together = new Map<string, string[]>();
  const failures: { readonly url: string; readonly code: string }[] = [];
  for (const [{ url }, each] of said) {
    if ('print' in each) together.set(each.print, [...(together.get(each.print) ?? []), url]);
    else failures.push({ url, code: codeOf(each.error) });
  }
  const answers = [...together.values()].toSorted((left, right) => right.length - left.length);
  const facts = { question, instances, needed: instances - faultsMax, answers, failures };
  return { isAgreed: false, facts, differed: answers.length > 1 };
}

function codeOf(error: unknown): string {
  return error instanceof RetryableError || error instanceof PermanentError ? error.code : 'UNEXPECTED';
}
