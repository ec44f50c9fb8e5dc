/**
 * Subscriptions, whatever carries them. Every subscriber follows the log by a place of its own, so none can miss an event or get it twice, however fast it reads; those that ask for the same
 * share what is costly: execution and text (shared-answers.ts).
 *
 *   reading    in batches, from the tail's ring or, further behind, from the database; nothing is pushed
 *   sending    while what waits for the client is below a limit; then nothing more is read for it until all of that has left
 *   too slow   who does not take that much in time is cut off, with the place to resume from: it costs one limit of memory and nobody else
 *   the end    of the tail ends no subscription: the server cuts the sockets, or clients would take it for the end of all news
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  type GraphQLSchema,
} from 'graphql';
import { formatEventCursor } from '../db/event-cursor.ts';
import type { EventReader } from '../db/event-tail.ts';
import { RetryableError } from '../env/errors.ts';
import { isLogFeed, type LogFeed } from '../read/log-feed.ts';
import { cursorErrorOf } from '../schema/api-error.ts';
import type { ApiServices } from '../schema/context.ts';
import type { Principal } from '../schema/principal.ts';
import type { ErrorMasking } from './error-masking.ts';
import { answerOf, createAnswerStore, createSharedAnswers, type SharedAnswers } from './shared-answers.ts';
import { asksFactsAlone, type Operation, subscriptionKey } from './subscription-key.ts';

/** Where the answers of one subscription go. */
export type Sink = {
  /** Queues texts of execution results, in order. They may be shared: they are not to be changed. */
  send(answers: readonly Buffer[]): void;
  /** Bytes queued in this process that the client has not taken. */
  pendingBytes(): number;
  /** Resolves when nothing is queued any more, or the socket has closed. */
  drained(): Promise<void>;
};

/** `COMPLETE`: nothing more will ever come. `LEFT`: the subscriber ended it, or we are stopping. */
export type DeliveryEnd = 'COMPLETE' | 'LEFT';

export type Delivery = {
  /**
   * Delivers until the end; once.
   * @throws SlowReaderError, GraphQLError CURSOR_…, or what else ends it before its time.
   */
  run(sink: Sink): Promise<DeliveryEnd>;
  /** Ends {@link run}, also while nothing happens. Harmless when repeated. */
  stop(): void;
  /** The cursor of what has been read and sent, where nothing is under way; null: none. Also moves on where nothing of what happens is asked for. */
  restingCursor(): string | null;
};

/** The client took nothing for too long. */
export class SlowReaderError extends RetryableError {
  declare readonly code: 'SLOW_READER';

  constructor(cursor: string | null) {
    super(
      'SLOW_READER',
      'Too slow: what was sent was not read in time, so the subscription was cut off. Resume after the last cursor received.',
      cursor === null ? {} : { cursor },
    );
  }
}

export type FanOut = {
  /** @returns errors where the subscription cannot begin: not allowed, bad arguments, a cursor that is too old. */
  open(operation: Operation, principal: Principal): Promise<Delivery | ExecutionResult>;
  /** What is held right now, for gauges and tests. */
  stats(): {
    readonly subscribers: number;
    /** Different subscriptions among them. */
    readonly groups: number;
    /** Since the start. */
    readonly executions: number;
    readonly heldBytes: number;
    readonly slowReaders: number;
  };
};

export type FanOutOptions = {
  readonly schema: GraphQLSchema;
  readonly services: ApiServices;
  readonly masking: ErrorMasking;
  /** Milliseconds a client has to take {@link PENDING_BYTES_MAX}. Default 10 s. */
  readonly slowReaderMs?: number;
};

/** Queued for one socket before it must have taken all of it; the kernel's own buffers, some MB, come first. */
export const PENDING_BYTES_MAX = 128 * 1024;
/** 10 s: 13 KB a second is a modem. */
const SLOW_READER_MS = 10_000;
/** Events of a subscriber under way; their answers are queued at once where there is room. */
const BATCH = { countMax: 32, bytesMax: 64 * 1024 };

type Group = { readonly answers: SharedAnswers; readonly isOfFactsAlone: boolean };

export function createFanOut({ schema, services, masking, slowReaderMs = SLOW_READER_MS }: FanOutOptions): FanOut {
  const { tail, clock } = services;
  const groups = new Map<string, Group>();
  const store = createAnswerStore();
  let subscribers = 0;
  let slowReaders = 0;
  // A subscription outlives the request that began it, and its execution serves others: neither may end with that request's signal.
  const apart = AsyncLocalStorage.snapshot();

  function enter(
    key: string,
    operation: Operation,
    args: ExecutionArgs,
    principal: Principal,
    feed: LogFeed<unknown>,
  ): Group {
    let group = groups.get(key);
    if (group === undefined) {
      const isOfFactsAlone = asksFactsAlone(schema, operation);
      const contextOf = () => ({ ...services, principal });
      group = {
        isOfFactsAlone,
        answers: createSharedAnswers({ select: feed.select, args, contextOf, isOfFactsAlone, masking, store }),
      };
      groups.set(key, group);
    }
    group.answers.join();
    return group;
  }

  function leave(key: string, group: Group): void {
    if (group.answers.leave() === 0 && groups.get(key) === group) groups.delete(key);
  }

  /** Waits where too much is queued. @param rest called before it does. @throws SlowReaderError */
  async function pace(sink: Sink, cursor: () => string | null, rest = (): void => undefined): Promise<void> {
    if (sink.pendingBytes() <= PENDING_BYTES_MAX) return;
    rest();
    const waiting = new AbortController();
    const drained = sink.drained().then(() => 'DRAINED' as const);
    const late = clock.sleep(slowReaderMs, waiting.signal).then(() => 'LATE' as const);
    const first = await Promise.race([drained, late]);
    waiting.abort();
    if (first === 'DRAINED' || sink.pendingBytes() === 0) return;
    slowReaders++;
    throw new SlowReaderError(cursor());
  }

  function deliverLog(key: string, group: Group, feed: LogFeed<unknown>): Delivery {
    const reader = feed.open();
    /** Of the newest event sent, or known to be of no interest. */
    let sent = reader.position();
    let isResting = true;
    let hasEnded = false;
    const cursorAt = (position: bigint): string => formatEventCursor({ epoch: tail.head().epoch, position });

    /** @returns when the last of its answers was begun; null: it was ended. */
    async function deliverBatch(sink: Sink, notBefore: number): Promise<number | null> {
      isResting = true;
      const events = await takeFrom(reader);
      if (events.length === 0) return null;
      isResting = false;
      const answers = group.answers.of(events, notBefore);
      let ready: Buffer[] = [];
      let bytes = 0;
      const flush = (): void => {
        if (ready.length > 0) sink.send(ready);
        ready = [];
        bytes = 0;
      };
      for (const [line, held] of answers.entries()) {
        const answer = held.answer === undefined ? await held.made : held.answer;
        if (hasEnded) return null;
        if (answer instanceof Error) {
          flush();
          throw answer;
        }
        if (answer !== null) {
          ready.push(answer);
          bytes += answer.length;
        }
        sent = events[line]?.position ?? sent;
        if (bytes < PENDING_BYTES_MAX) continue;
        flush();
        await pace(sink, () => cursorAt(sent), reader.rest);
        if (hasEnded) return null;
      }
      flush();
      return answers.at(-1)?.begunAt ?? notBefore;
    }

    async function deliver(sink: Sink): Promise<DeliveryEnd> {
      // Whatever it is told of the present was read after it asked.
      let begunAt = store.now();
      while (!hasEnded) {
        const lastBegunAt = await deliverBatch(sink, begunAt);
        if (lastBegunAt === null) return 'LEFT';
        begunAt = lastBegunAt;
        // Out here, where the batch is let go of: thousands may stand still.
        await pace(sink, () => cursorAt(sent), reader.rest);
      }
      return 'LEFT';
    }

    return {
      restingCursor: () => (isResting ? cursorAt(reader.position()) : null),
      stop: () => {
        if (hasEnded) return;
        hasEnded = true;
        subscribers--;
        leave(key, group);
        reader.close();
      },
      run: async (sink) => await apart(deliver, sink),
    };
  }

  /** Of what is no function of the log: the state of ingestion, one withdrawal from its present state on. */
  function deliverStream(stream: AsyncGenerator<unknown>, args: ExecutionArgs, principal: Principal): Delivery {
    let hasEnded = false;

    async function deliver(sink: Sink): Promise<DeliveryEnd> {
      try {
        for await (const rootValue of stream) {
          if (hasEnded) return 'LEFT';
          store.countExecution();
          const result = await execute({ ...args, rootValue, contextValue: { ...services, principal } });
          const answer = answerOf(result, masking);
          if (hasEnded) return 'LEFT';
          if (answer instanceof Error) throw answer;
          if (answer !== null) sink.send([answer]);
          await pace(sink, () => null);
        }
      } catch (error) {
        throw cursorErrorOf(error);
      }
      return hasEnded || tail.hasStopped() ? 'LEFT' : 'COMPLETE';
    }

    return {
      restingCursor: () => null,
      stop: () => {
        if (hasEnded) return;
        hasEnded = true;
        subscribers--;
        stream.return(undefined).catch(() => undefined); // What its reads threw reaches whoever iterates it.
      },
      run: async (sink) => await apart(deliver, sink),
    };
  }

  return {
    stats: () => ({ subscribers, groups: groups.size, slowReaders, ...store.stats() }),
    open: async (operation, principal) => {
      const { document, operationName, variables } = operation;
      const args: ExecutionArgs = {
        schema,
        document,
        operationName,
        variableValues: variables,
        contextValue: { ...services, principal },
      };
      const stream: unknown = await createSourceEventStream(args);
      if (isLogFeed(stream)) {
        const key = subscriptionKey(operation, principal);
        subscribers++;
        return deliverLog(key, enter(key, operation, args, principal, stream), stream);
      }
      if (isGenerator(stream)) {
        subscribers++;
        return deliverStream(stream, args, principal);
      }
      return stream as ExecutionResult; // graphql-js gives a stream or errors.
    },
  };
}

async function takeFrom(reader: EventReader) {
  try {
    return await reader.take(BATCH);
  } catch (error) {
    throw cursorErrorOf(error);
  }
}

function isGenerator(value: unknown): value is AsyncGenerator<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

export function isDelivery(opened: Delivery | ExecutionResult): opened is Delivery {
  return 'run' in opened;
}
