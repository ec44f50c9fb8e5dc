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
import { type RegistryHttp, retryable } from './registry-http.ts';

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

export type ReaderEnv = { readonly clock: Clock; readonly random: Random; readonly logger: Logger };

const TRIES_MAX = 3; // Of a rotation, each with another instance; whoever asks comes back later anyway.
const ROUNDS_MAX = 2; // Of a quorum that differs: honest instances see a new contract within a second of each other.
const ROUND_PAUSE_MS = 500;
const STRAGGLER_MS = 2_000; // How long those that were not needed may still answer, to be compared.

/** @param instances of the source, in its order; one for `proxy`. */
export function createReader(source: ReadSource, instances: readonly Instance[], env: ReaderEnv): Reader {
  return source.strategy === 'quorum' ? quorumOf(instances, source.faultsMax, env) : rotationOf(instances, env);
}

function rotationOf(instances: readonly Instance[], { random }: ReaderEnv): Reader {
  let failedLast: Instance | null = null;

  function choose(): Instance {
    const others = instances.filter((instance) => instance !== failedLast);
    const awake = others.filter((instance) => !instance.isResting());
    // Where all others rest the one that failed last is the best there is.
    const [only] = instances;
    const candidates =
      awake.length > 0 ? awake : failedLast !== null && !failedLast.isResting() ? [failedLast] : others;
    const chosen = candidates[Math.floor(random.next() * candidates.length)] ?? only;
    if (chosen === undefined) throw new PermanentError('ASSERTION_FAILED', 'A source without instances.');
    return chosen;
  }

  return {
    read: async ({ ask }, signal = new AbortController().signal) => {
      for (let triesLeft = Math.min(TRIES_MAX, instances.length); ; triesLeft -= 1) {
        const chosen = choose();
        try {
          const answer = await chosen.ask(async (http) => await ask(http, signal));
          failedLast = null;
          return answer;
        } catch (error) {
          failedLast = chosen;
          if (triesLeft <= 1 || signal.aborted) throw error;
        }
      }
    },
  };
}

type Round<T> =
  | { readonly isAgreed: true; readonly answer: T }
  | { readonly isAgreed: false; readonly facts: ErrorFacts; readonly differed: boolean };

type Said<T> = { readonly answer: T; readonly print: string } | { readonly error: unknown };

function quorumOf(instances: readonly Instance[], faultsMax: number, { clock, random, logger }: ReaderEnv): Reader {
  async function round<T>(question: Question<T>, caller: AbortSignal): Promise<Round<T>> {
    const leaving = new AbortController();
    const signal = AbortSignal.any([caller, leaving.signal]);
    const said = new Map<Instance, Said<T>>();
    const { promise, resolve, reject } = Promise.withResolvers<Round<T>>();
    let agreed: string | null = null;

    function compare(instance: Instance, answer: Said<T>): void {
      if (agreed === null || 'error' in answer || answer.print === agreed) return;
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
      if (agreement.kind === 'AGREED') {
        agreed = agreement.print;
        for (const [each, its] of said) compare(each, its);
        for (const its of said.values())
          if ('answer' in its && its.print === agreed) resolve({ isAgreed: true, answer: its.answer });
      } else if (agreement.kind === 'REFUSED') {
        const refusal = refusalOf([...said.values()], instances.length - faultsMax);
        if (refusal === null) resolve(noQuorum(question.name, said, { instances: instances.length, faultsMax }));
        else reject(refusal);
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
    read: async (question, signal = new AbortController().signal) => {
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

function printOf<T>(said: Said<T> | undefined): string | null | undefined {
  if (said === undefined) return undefined;
  return 'error' in said ? null : said.print;
}

/** The same no from as many as a yes would have needed is theirs, not a disagreement. It is thrown, never believed. */
function refusalOf(said: readonly Said<unknown>[], needed: number): RetryableError | null {
  const refusals = said.flatMap((each) => {
    const isRefusal = 'error' in each && each.error instanceof RetryableError && each.error.code === 'REGISTRY_STATUS';
    return isRefusal ? [each.error] : [];
  });
  for (const status of [404, 400, 409]) {
    const same = refusals.filter(({ facts }) => facts['status'] === status);
    if (same.length >= needed) return same[0] ?? null;
  }
  return null;
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
