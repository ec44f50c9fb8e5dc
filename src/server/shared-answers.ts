/**
 * The answers of one subscription that many clients have: each event is executed once and its JSON text made once, whoever comes to it first; the others take what that one made.
 *
 * Answers read the database as it is when they are made, so one subscriber must never be given an answer made before the one it had last, or what it sees would go back. Each answer knows when
 * it was begun; whoever has seen later ones has it made anew, for himself and for all who come after. Answers of facts alone do not age.
 */
import { type ExecutionArgs, type ExecutionResult, execute, type GraphQLFormattedError } from 'graphql';
import type { LogEvent } from '../db/event-page.ts';
import type { LogFeed } from '../read/log-feed.ts';
import type { ErrorMasking } from './error-masking.ts';

/** What is sent of an event: JSON text; null: the feed does not tell of it; an error: it cannot be told now, and the subscriber is to come back. */
export type Answer = Buffer | null | Error;

export type HeldAnswer = {
  /** Grows with every execution. */
  readonly begunAt: number;
  /** Undefined while it is being made. */
  answer: Answer | undefined;
  readonly made: Promise<Answer>;
};

export type SharedAnswers = {
  /**
   * One for each event, in order, none begun before `notBefore` or before the one in front of it. Those that are missing are executed together, so that what they read alike is read once.
   */
  of(events: readonly LogEvent[], notBefore: number): readonly HeldAnswer[];
  /** Subscribers; at 0 nothing is kept. */
  join(): void;
  leave(): number;
};

/** Answers kept for others, of all subscriptions of the process together. */
export type AnswerStore = {
  /** The moment, for {@link SharedAnswers.of}: whatever is begun later is begun after it. */
  now(): number;
  begin(): number;
  keep(answers: Map<bigint, HeldAnswer>, position: bigint, held: HeldAnswer): void;
  stats(): { readonly executions: number; readonly heldBytes: number };
  countExecution(): void;
};

/** 32 MiB: half a minute of a thousand events a second; whoever is further behind has them made again. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;
/** What an answer costs beside its text. */
const HELD_BYTES_EACH = 512;

export function createAnswerStore(heldBytesMax: number = HELD_BYTES_MAX): AnswerStore {
  const queue = new Map<HeldAnswer, { readonly forget: () => void; readonly bytes: number }>();
  let moment = 0;
  let heldBytes = 0;
  let executions = 0;
  return {
    now: () => moment + 1,
    begin: () => ++moment,
    countExecution: () => {
      executions++;
    },
    stats: () => ({ executions, heldBytes }),
    keep: (answers, position, held) => {
      const bytes = HELD_BYTES_EACH + (held.answer instanceof Buffer ? held.answer.length : 0);
      const forget = (): void => {
        if (answers.get(position) === held) answers.delete(position);
      };
      queue.set(held, { forget, bytes });
      heldBytes += bytes;
      for (const [oldest, kept] of queue) {
        if (heldBytes <= heldBytesMax) break;
        queue.delete(oldest);
        kept.forget();
        heldBytes -= kept.bytes;
      }
    },
  };
}

export function createSharedAnswers(options: {
  readonly select: LogFeed<unknown>['select'];
  /** Of the operation; `rootValue` and `contextValue` are made for each execution. */
  readonly args: ExecutionArgs;
  /** A new one for each batch: what one batch has read must not be shown by the next. */
  readonly contextOf: () => unknown;
  readonly isOfFactsAlone: boolean;
  readonly masking: ErrorMasking;
  readonly store: AnswerStore;
}): SharedAnswers {
  const { select, args, contextOf, isOfFactsAlone, masking, store } = options;
  const answers = new Map<bigint, HeldAnswer>();
  let subscribers = 0;

  async function make(event: LogEvent, contextValue: unknown): Promise<Answer> {
    try {
      const rootValue = await select(event);
      if (rootValue === null) return null;
      store.countExecution();
      return answerOf(await execute({ ...args, rootValue, contextValue }), masking);
    } catch (error) {
      return answerOf({ data: null, errors: [masking.mask(error)] }, masking);
    }
  }

  function begin(event: LogEvent, begunAt: number, contextValue: unknown): HeldAnswer {
    const held: HeldAnswer = {
      begunAt,
      answer: undefined,
      made: make(event, contextValue).then((answer) => {
        held.answer = answer;
        // What could not be told may be told to the next who asks.
        if (answer instanceof Error) answers.delete(event.position);
        else if (answers.get(event.position) === held) store.keep(answers, event.position, held);
        return answer;
      }),
    };
    if (subscribers > 1) answers.set(event.position, held);
    return held;
  }

  return {
    of: (events, notBefore) => {
      let begunAt: number | null = null;
      let contextValue: unknown;
      let floor = isOfFactsAlone ? 0 : notBefore;
      return events.map((event) => {
        const held = answers.get(event.position);
        if (held !== undefined && held.begunAt >= floor) {
          if (!isOfFactsAlone) floor = held.begunAt;
          return held;
        }
        if (begunAt === null) {
          begunAt = store.begin();
          contextValue = contextOf();
        }
        if (!isOfFactsAlone) floor = begunAt;
        return begin(event, begunAt, contextValue);
      });
    },
    join: () => {
      subscribers++;
    },
    leave: () => {
      subscribers--;
      if (subscribers === 0) answers.clear();
      return subscribers;
    },
  };
}

/** The text of a result, its errors masked; an error where nothing can be told because the database is away: then the event is not passed over, the subscriber comes back to it. */
export function answerOf(result: ExecutionResult, masking: ErrorMasking): Answer {
  const errors: readonly GraphQLFormattedError[] = result.errors?.map((error) => masking.format(error)) ?? [];
  const [away] = result.errors?.filter((_error, line) => errors[line]?.extensions?.['code'] === 'UNAVAILABLE') ?? [];
  if (away !== undefined && result.data == null) return away;
  const { data } = result;
  const shown = { ...(errors.length === 0 ? {} : { errors }), ...(data === undefined ? {} : { data }) };
  return alone(JSON.stringify(shown));
}

/** In memory of its own: a short text is otherwise cut from a page of 64 KiB that it shares with what is long forgotten, and keeps all of that for as long as it is kept itself. */
function alone(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
