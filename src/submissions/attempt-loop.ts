/**
 * One pass over the submissions of one purpose. It holds no state: each pass reads from the database what there is to do, and any number of these may run at once, in any number of processes. What keeps two
 * of them, or a paused one that wakes up, from doing a thing twice is not this loop but the ledger (the same inputs, one last record time) and the constraints of the database.
 *
 *   lapse   attempts whose target the ledger has passed end, and those they serve are told.
 *   open    what waits gets inputs, a target and an attempt.
 *   try     attempts that are due are prepared, checked, signed and executed, several at a time.
 *
 * While tries are under way the first two go on as soon as there is news: whoever asks then waits for nobody's signer.
 */
import { CustodyRefusal } from '../custody/custody-refusal.ts';
import type { WakeUp } from '../db/polling-loop.ts';
import { elapsedMsOf, type Micros, millisToMicros } from '../env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Measures } from '../env/measures.ts';
import { traceIdOf } from '../env/request-id.ts';
import { isPoison } from '../ingestion/poison.ts';
import { type TryOptions, tryAttempt } from './attempt-try.ts';
import {
  type AttemptLimits,
  giveUpUnsigned,
  hasOpenAttempts,
  lapseAttempts,
  type OpenAttempt,
  recordTrouble,
  takeDueAttempts,
} from './attempts.ts';
import { breakReservations } from './broken-reservations.ts';
import type { Failure } from './submission-purpose.ts';
import { createTryStore, type TryStore } from './try-store.ts';

export type PassOptions = TryOptions & {
  readonly treasuryId: number;
  readonly limits: AttemptLimits;
  /** Opens attempts for what waits. @returns how many. Left out: others open them. */
  readonly open?: (nowMicros: Micros) => Promise<number>;
  /** Whether an attempt is given up at once when a try came to nothing before any signature, rather than tried again until its target. */
  readonly isGivenUpEarly: boolean;
  readonly logger: Logger;
  /** Left out: nobody counts. */
  readonly measures?: Measures;
  /** Woken when there may be more to do: it is looked for while tries are under way, and the pass lasts as long as there is something. Left out: when all of them have ended. */
  readonly news?: WakeUp;
  /** Then nothing more is begun. Left out: it is, until the pass has ended by itself. */
  readonly signal?: AbortSignal;
};

const TRIES_AT_ONCE_MAX = 16; // Half of what one endpoint takes by default: the rest is for others.
const REFILL_MIN = 4; // So many places are filled at once, rather than each with questions of its own.
const TRIES_A_LOOK_MAX = 128; // Then what has lapsed ends, and what waits is looked at.
const LOOK_MS_MIN = 25; // Between two looks at what has come: who asks at the same moment is given an attempt together.
const LOOK_MS_MAX = 1_000; // While nothing wakes us: what lapses is seen by nobody else.
const RETRY_MS_MIN = 2_000; // What was executed is usually seen within a second; trying again sooner would only cost traffic.
const RETRY_MS_MAX = 15_000;

/** @returns true when there may be more to do at once. */
export async function passOver(options: PassOptions): Promise<boolean> {
  const { opened, tried } = await tryAllDue(options);
  return tried > 0 || opened > 0;
}

/** Ends what is over and opens what waits. @returns how many were opened, and whether any attempt may be open now. */
async function lookAround(options: PassOptions): Promise<{ readonly opened: number; readonly isAnyOpen: boolean }> {
  const { db, purpose, treasuryId, open, clock, failpoint } = options;
  const wasAnyOpen = await hasOpenAttempts(db, purpose, treasuryId);
  if (wasAnyOpen) await endDead(options);
  // What cannot be submitted is not reserved for either: its time would run out untried.
  const opened = open !== undefined && (await roomOf(options, 1)) > 0 ? await open(clock.nowMicros()) : 0;
  // Transfers to ourselves are opened with the withdrawals.
  if (opened > 0 && purpose.failpoints !== 'selfTransfers') await failpoint(`${purpose.failpoints}.afterFunding`);
  return { opened, isAnyOpen: wasAnyOpen || opened > 0 };
}

/** Ends what the ledger has passed, and what lost an input. */
async function endDead(options: PassOptions): Promise<void> {
  const { db, purpose, treasuryId, limits, clock, failpoint } = options;
  const lapsed = await lapseAttempts(db, purpose, treasuryId, limits, clock.nowMicros(), (subjectId, error) =>
    options.logger.error('An attempt that is over could not be ended.', {
      purpose: purpose.name,
      subjectId,
      why: messageOf(error),
    }),
  );
  if (lapsed > 0) await failpoint(`${purpose.failpoints}.afterLapse`);
  await breakReservations(db, purpose, treasuryId, clock.nowMicros());
}

/** Keeps so many tries going as long as something is due: a slow one holds its own place and nobody else's. */
async function tryAllDue(options: PassOptions): Promise<{ readonly opened: number; readonly tried: number }> {
  const { db, purpose, treasuryId, limits, clock } = options;
  const store = createTryStore(db, purpose, options.log);
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const nowMs = (): number => elapsedMsOf(clock);
  let tried = 0;
  let opened = 0;
  let lookedAtMs: number | null = null;
  let triedAtLook = 0;
  let isAnyOpen = true;

  /** Waits until no more than `enough` are under way or, where it is said when we looked last, there is something to look for. @returns whether there is. */
  async function untilFew(enough: number, sinceMs: number | null): Promise<boolean> {
    const { news } = options;
    while (running.size > enough) {
      if (news === undefined || sinceMs === null) {
        await Promise.race(running);
        continue;
      }
      const ended = new AbortController();
      const waiting = news.wait(Math.max(0, sinceMs + LOOK_MS_MAX - nowMs()), ended.signal);
      await Promise.race([waiting, ...running]);
      ended.abort();
      const isWoken = await waiting;
      if (!isWoken && nowMs() < sinceMs + LOOK_MS_MAX) continue;
      const earlyMs = sinceMs + LOOK_MS_MIN - nowMs();
      if (earlyMs > 0) await clock.sleep(earlyMs);
      return true;
    }
    return false;
  }

  /** Were a pass to end with the count while one try hangs, all others would wait for that one. */
  const mayGoOn = (): boolean =>
    options.signal?.aborted !== true && (options.news !== undefined || tried < TRIES_A_LOOK_MAX);

  try {
    do {
      if (lookedAtMs === null || tried - triedAtLook >= TRIES_A_LOOK_MAX) {
        lookedAtMs = nowMs();
        triedAtLook = tried;
        const look = await lookAround(options);
        opened += look.opened;
        isAnyOpen = look.isAnyOpen;
      }
      const wanted = Math.min(TRIES_AT_ONCE_MAX - running.size, TRIES_A_LOOK_MAX - (tried - triedAtLook));
      const countMax = isAnyOpen ? await roomOf(options, wanted) : 0;
      const due =
        countMax === 0
          ? []
          : await takeDueAttempts(db, purpose, treasuryId, limits, { nowMicros: clock.nowMicros(), countMax });
      tried += due.length;
      await options.budget?.spend(due.length);
      for (const attempt of due) {
        const trying: Promise<void> = tryOnce({ ...options, store }, attempt)
          .catch((error: unknown) => {
            failures.push(error);
          })
          .finally(() => running.delete(trying));
        running.add(trying);
      }
      // What is due and finds no place comes first: what is opened behind it would lose its time. What the budget has no room for now may find it long before a slow one has ended.
      const isAllTaken = due.length < countMax || countMax === 0;
      const enough = isAllTaken ? running.size - 1 : Math.min(running.size - 1, TRIES_AT_ONCE_MAX - REFILL_MIN);
      if (await untilFew(Math.max(0, enough), isAllTaken ? lookedAtMs : null)) lookedAtMs = null;
    } while (running.size > 0 && failures.length === 0 && mayGoOn());
  } finally {
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
  return { opened, tried };
}

async function roomOf({ budget, lane = 'WITHDRAWALS' }: PassOptions, wanted: number): Promise<number> {
  return budget === undefined ? wanted : await budget.room(lane, wanted);
}

async function tryOnce(options: PassOptions & { readonly store: TryStore }, attempt: OpenAttempt): Promise<void> {
  const { db, store, purpose, clock, random, logger, limits } = options;
  const startedAt = clock.nowMicros();
  const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** attempt.tries) * (0.5 + random.next() / 2);
  const nextTryAt = startedAt + millisToMicros(delayMs);
  const { requestId = null } = attempt;
  const facts = {
    purpose: purpose.name,
    subjectId: attempt.subjectId,
    attempt: attempt.number,
    tryNumber: attempt.tries + 1,
    ...(requestId !== null && { requestId, traceId: traceIdOf(requestId) }),
  };
  /** How long it has until it is in its last moments, of which there is always one more try: it decides between a lapse and a release. */
  let untilEnding: Micros | null = null;
  try {
    const view = await store.viewOf(attempt);
    untilEnding = attempt.target - view.recordTime - millisToMicros(Math.min(limits.tryHoldMs, limits.ttlMs / 2));
    const outcome = await tryAttempt(options, attempt, view, nextTryAt);
    if (outcome === 'EXECUTED') await options.budget?.noteTaken();
    logger.info('Tried an attempt.', { ...facts, outcome });
  } catch (error) {
    // Whatever it was: a hint for people. What became of the transaction, the ledger will tell.
    options.measures?.retried({ work: purpose.name, code: failureOf(error).code });
    logger.info('A try came to nothing that we know of.', { ...facts, why: messageOf(error) });
    // It goes wrong each time, with whoever signs or with what we were told of his keys: nothing is paid until somebody looks.
    if (isForeignSignature(error))
      logger.error('What the signer signed cannot be sent.', { ...facts, why: messageOf(error) });
    const isOverload = (await options.budget?.noteRefusal(error)) === true;
    const isEnding = untilEnding !== null && untilEnding <= 0n;
    try {
      if (
        options.isGivenUpEarly &&
        !isOverload &&
        (await giveUpUnsigned(db, purpose, attempt, failureOf(error), clock.nowMicros()))
      )
        return;
      // Were it to lapse, it would count as one that could have been: with a service away for long enough, it would be the last.
      if (
        isEnding &&
        (isOverload || isAway(error)) &&
        (await giveUpUnsigned(db, purpose, attempt, releasedOf(error), clock.nowMicros()))
      )
        return;
      const endingAt = startedAt + atLeast(untilEnding ?? 0n, RETRY_MS_MIN / 2);
      const againAt = untilEnding === null || isEnding || nextTryAt < endingAt ? nextTryAt : endingAt;
      await recordTrouble(db, attempt, { message: messageOf(error), nextTryAt: againAt });
    } catch (refused) {
      if (!isPoison(refused)) throw refused;
      // One that cannot be written about is in nobody's way: it was put off when it was taken, and ends with its target.
      logger.error('What a try came to could not be written down.', { ...facts, why: messageOf(refused) });
    }
  }
}

function atLeast(micros: Micros, leastMs: number): Micros {
  const least = millisToMicros(leastMs);
  return micros > least ? micros : least;
}

function isForeignSignature(error: unknown): boolean {
  return error instanceof CustodyRefusal && error.code === 'SIGNATURE_INVALID';
}

/**
 * How services say, or do not say, that they cannot be asked now: the network between, the participant's front door, also where it does not let us in (a token or a right of ours is nobody's withdrawal), and whatever a registry may
 * do better the next time.
 */
const AWAY =
  /^(REGISTRY_[A-Z_]+|GRPC_UNAVAILABLE|GRPC_DEADLINE_EXCEEDED|CONNECT_TIMEOUT|CHANNEL_CLOSED|TOKEN_UNAVAILABLE|(GRPC_)?UNAUTHENTICATED|(GRPC_)?PERMISSION_DENIED)$/;

function isAway(error: unknown): boolean {
  return error instanceof RetryableError && AWAY.test(error.code);
}

function releasedOf(error: unknown): Failure {
  return { ...failureOf(error), isPassing: true, isReleased: true };
}

/** Codes as columns take them. */
const CODE = /^[A-Z][A-Z0-9_]*$/;

function failureOf(error: unknown): Failure {
  const isOurs = (error instanceof RetryableError || error instanceof PermanentError) && CODE.test(error.code);
  return {
    code: isOurs ? error.code : 'UNEXPECTED',
    detail: messageOf(error),
    isPassing: error instanceof RetryableError,
  };
}
