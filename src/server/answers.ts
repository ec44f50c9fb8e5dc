/**
 * What holds for every query, whatever it asks for and by whichever transport it comes:
 *
 *   a `freshness` in it is of before its rows were read
 *   `@atLeast` is waited for, before anything is read
 *   while the database is away, a question on the short list (answer-plan.ts) gets the last answer its principal was given, which says so
 *
 * The last known answer is given when the database fails a question, when it has not answered within `patienceMs`, and from then on at once,
 * until it answers again: a database that swallows connections must not cost each caller the whole of a timeout. A question that is slow by
 * itself costs its own asker that and nobody else: the database is away only where it does not say how far it is, either.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getDirectiveValues,
  getVariableValues,
  print,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { z } from 'zod';
import { CursorError, formatEventCursor } from '../db/event-cursor.ts';
import { assert, messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { type DatabaseView, readDatabaseView } from '../read/database-view.ts';
import { worstFreshness } from '../read/freshness.ts';
import { apiError, cursorErrorOf } from '../schema/api-error.ts';
import { AT_LEAST } from '../schema/at-least.ts';
import type { AnswerView, ApiContext, ApiServices } from '../schema/context.ts';
import { createAnswerPlans, operationOf } from './answer-plan.ts';
import { createCaughtUp, type Demand, NotCaughtUpError } from './caught-up.ts';
import { createLastKnown, type LastKnown, type LastKnownLimits, type QuestionKey, questionKey } from './last-known.ts';

export type AnswersOptions = {
  readonly schema: GraphQLSchema;
  readonly services: ApiServices;
  readonly logger: Logger;
  /** Milliseconds that `@atLeast` waits at most. Default 3 s. */
  readonly atLeastWaitMs?: number;
  /** Milliseconds that the database has to answer a question whose last answer is known. Default 2 s. */
  readonly patienceMs?: number;
  readonly lastKnown?: LastKnownLimits;
};

export type Answers = {
  readonly plugin: Plugin;
  stats(): ReturnType<LastKnown['stats']> & { readonly waiting: number };
};

type Execute = (args: ExecutionArgs) => Promise<Result> | Result;
/** Of a query; nothing of ours streams parts of one. */
type Result = ExecutionResult;

const AT_LEAST_WAIT_MS = 3_000;
const PATIENCE_MS = 2_000;
/** 250 ms between two looks at a database that is away. */
const PROBE_MS = 250;
/** A service that fails over is asked again after this; a read replica is behind by less. */
const RETRY_AFTER_SECONDS = 1;

export function createAnswers(options: AnswersOptions): Answers {
  const { schema, services, logger, atLeastWaitMs = AT_LEAST_WAIT_MS, patienceMs = PATIENCE_MS } = options;
  const { db, clock, tail, progress } = services;
  const planOf = createAnswerPlans(schema);
  const lastKnown = createLastKnown({ clock, ...(options.lastKnown && { limits: options.lastKnown }) });
  const caughtUp = createCaughtUp({ db, clock, waitMsMax: atLeastWaitMs });
  const directive = schema.getDirective(AT_LEAST);
  assert(directive != null, 'The schema has no @atLeast.');
  const ending = new AbortController();
  // What serves others as well must not end with the request that began it (src/db/cancellation.ts).
  const apart = AsyncLocalStorage.snapshot();
  let isAway = false;
  let isSuspected = false;

  function noteAway(error: unknown): void {
    if (isAway) return;
    isAway = true;
    logger.warn('The database is away; last known answers are given.', { why: messageOf(error), ...lastKnown.stats() });
    apart(() => void untilBack());
  }

  const isAnswering = async (): Promise<boolean> =>
    await readDatabaseView(db).then(
      () => true,
      () => false,
    );

  async function untilBack(): Promise<void> {
    while (isAway) {
      await clock.sleep(PROBE_MS, ending.signal);
      if (ending.signal.aborted) return;
      isAway = !(await isAnswering());
    }
    logger.info('The database answers again.');
  }

  /** One question was not answered in time: of the database that says nothing yet. One look for all who wait. */
  async function suspect(): Promise<void> {
    if (isSuspected) return;
    isSuspected = true;
    const answered = new AbortController();
    const late = clock.sleep(PROBE_MS, answered.signal).then(() => false);
    const isThere = await Promise.race([isAnswering(), late]);
    answered.abort();
    isSuspected = false;
    if (!isThere) noteAway('It did not answer in time.');
  }

  /** What is known without asking; it is of a moment ago, and so of before whatever is read from now on. */
  function viewAtHand(): DatabaseView {
    const { epoch, position } = tail.head();
    return { epoch, head: position, isStandby: false, streams: progress.newest() };
  }

  async function run(args: ExecutionArgs, execute: Execute): Promise<Result> {
    const operation = operationOf(args.document, args.operationName);
    if (operation?.operation !== 'query') return await execute(args);
    const plan = planOf(args.document);
    const context: ApiContext = args.contextValue as ApiContext; // As the transports made it.
    const key = plan.isKept ? keyOf(args, context) : null;
    const ask = async (): Promise<Result> => {
      const moment = lastKnown.now();
      try {
        const demand = demandOf(args);
        const view =
          demand === null ? (plan.tellsFreshness ? await readDatabaseView(db) : null) : await demanded(demand, context);
        const shown = view === null ? null : { ...view, lastKnownMs: null };
        const atHand = key === null ? null : (view ?? viewAtHand());
        const result = await execute(shown === null ? args : withView(args, context, shown));
        if (key !== null && atHand !== null && result.errors === undefined && result.data != null) {
          lastKnown.keep(key, { data: result.data, moment, view: atHand });
        }
        return result;
      } catch (error) {
        return { errors: [asGraphQLError(error)] };
      }
    };
    if (key === null) return await ask();
    return await orLastKnown(key, { args, context, execute, ask });
  }

  async function demanded(demand: Demand, context: ApiContext): Promise<DatabaseView> {
    const { scopes } = context.principal;
    if (!scopes.has('read') && !scopes.has('own')) throw apiError('FORBIDDEN', 'Your principal may not use @atLeast.');
    return await caughtUp.wait(demand, context.principal.name);
  }

  type Asked = {
    readonly args: ExecutionArgs;
    readonly context: ApiContext;
    readonly execute: Execute;
    readonly ask: () => Promise<Result>;
  };

  async function orLastKnown(key: QuestionKey, asked: Asked): Promise<Result> {
    if (isAway) {
      const known = await repeat(key, asked);
      if (known !== null) return known;
    }
    const answering = asked.ask();
    const answered = new AbortController();
    const tooLate = clock.sleep(patienceMs, answered.signal).then(() => null);
    const result = await Promise.race([answering, tooLate]);
    answered.abort();
    const failure = result?.errors?.map(originalOf).find(isUnavailable);
    if (result !== null && failure === undefined) return result;
    const known = await repeat(key, asked);
    if (known === null) return await answering;
    if (failure === undefined) apart(() => void suspect());
    else noteAway(failure);
    return known;
  }

  /** The last answer to this question, with its age as it is now. */
  async function repeat(key: QuestionKey, { args, context, execute }: Asked): Promise<Result | null> {
    const known = lastKnown.find(key);
    if (known === null) return null;
    const { freshnessOnly } = planOf(args.document);
    const told =
      freshnessOnly === null
        ? {}
        : (await execute(withView({ ...args, document: freshnessOnly }, context, known.view))).data;
    // Somebody else's treasury by now, or a field that failed: better no answer than one that does not tell its age.
    if (told == null) return null;
    return { data: { ...known.data, ...told }, extensions: { freshness: freshnessOfAnswer(known.view) } };
  }

  function freshnessOfAnswer(view: AnswerView) {
    const { recordTime, ageMs, state } = worstFreshness(view.streams, {
      now: clock.nowMicros(),
      lastKnownMs: view.lastKnownMs,
    });
    return {
      state,
      ageMs,
      recordTime: recordTime === null ? null : formatRecordTime(recordTime),
      position: formatEventCursor({ epoch: view.epoch, position: view.head }),
    };
  }

  /** @throws nothing: variables that do not fit are refused by the execution itself. */
  function demandOf(args: ExecutionArgs): Demand | null {
    const operation = operationOf(args.document, args.operationName);
    if (operation?.directives?.some(({ name }) => name.value === AT_LEAST) !== true) return null;
    const variables = getVariableValues(schema, operation.variableDefinitions ?? [], args.variableValues ?? {});
    if (variables.coerced === undefined || directive == null) return null;
    const {
      cursor = null,
      recordTime = null,
      waitMs = null,
    } = DEMAND.parse(getDirectiveValues(directive, operation, variables.coerced) ?? {});
    return { cursor, recordTime, waitMs };
  }

  return {
    stats: () => ({ ...lastKnown.stats(), waiting: caughtUp.waitingCount() }),
    plugin: {
      onExecute: ({ executeFn, setExecuteFn }) => {
        setExecuteFn((args: ExecutionArgs) => run(args, executeFn as Execute));
      },
      onDispose: () => ending.abort(),
    },
  };
}

const DEMAND = z.object({
  cursor: z.string().nullish(),
  recordTime: z.bigint().nullish(),
  waitMs: z.number().nullish(),
});

function keyOf({ document, operationName, variableValues }: ExecutionArgs, { principal }: ApiContext): QuestionKey {
  return questionKey({
    principal,
    document: document.loc?.source.body ?? print(document),
    operationName: operationName ?? null,
    variables: variableValues ?? {},
  });
}

const withView = (args: ExecutionArgs, context: ApiContext, view: AnswerView): ExecutionArgs => ({
  ...args,
  contextValue: { ...context, view },
});

function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  if (error instanceof NotCaughtUpError) {
    const retryAfter = { status: 503, headers: { 'retry-after': String(RETRY_AFTER_SECONDS) } };
    return apiError('NOT_CAUGHT_UP', error.message, { ...error.facts, http: retryAfter });
  }
  const shown = error instanceof CursorError ? cursorErrorOf(error) : error;
  if (shown instanceof GraphQLError) return shown;
  return new GraphQLError(messageOf(shown), {
    originalError: shown instanceof Error ? shown : new Error(messageOf(shown)),
  });
}

function originalOf(error: unknown): unknown {
  let current = error;
  while (current instanceof GraphQLError && current.originalError != null) current = current.originalError;
  return current;
}

/** Errors of the database that the next attempt may not meet (src/db/errors.ts). */
function isUnavailable(error: unknown): boolean {
  return error instanceof RetryableError && error.code.startsWith('DB_');
}
