/**
 * How long a query or mutation may take, how many of them a client has in flight, and that those which cost much count for more than one. When the time is up, or the client is gone, the operation is
 * answered at once and its SQL is cancelled (src/db/cancellation.ts).
 */
import { type ExecutionArgs, type ExecutionResult, type GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { cancellable } from '../db/cancellation.ts';
import { apiError } from '../schema/api-error.ts';
import type { ApiLimits } from '../schema/api-limits.ts';
import type { Principal } from '../schema/principal.ts';
import { type ClientLimiter, isRefusal } from './client-limits.ts';
import { limitError } from './operation-limits.ts';
import { type CostOf, createCostOf } from './query-limits.ts';

type Asking = {
  readonly principal: Principal;
  /** Aborts when nobody is there to read the answer. Left out: that is not known. */
  readonly gone?: AbortSignal;
};

type Execute = (args: ExecutionArgs) => Promise<ExecutionResult> | ExecutionResult;

/** Wraps whatever executes: it has to be the last of the plugins that do. */
export function createOperationDeadline({
  limits,
  limiter,
}: {
  readonly limits: ApiLimits;
  readonly limiter: ClientLimiter;
}): Plugin<Asking> {
  let costOf: CostOf | null = null;

  async function run(args: ExecutionArgs, execute: Execute, { principal, gone }: Asking): Promise<ExecutionResult> {
    const release = limiter.open(principal, 'OPERATIONS');
    if (isRefusal(release)) return { errors: [limitError(release)] };
    const operation = getOperationAST(args.document, args.operationName);
    costOf ??= createCostOf(args.schema);
    if (operation != null) limiter.charge(principal, costOf(args.document, operation));
    const isMutation = operation?.operation === 'mutation';
    const ending = new AbortController();
    const end = (): void => ending.abort();
    const timer = setTimeout(end, limits.executionMsMax);
    // What a client asked to be changed is changed although it left: it may have left by accident, and will ask what became of it.
    const leaving = isMutation ? undefined : gone;
    if (leaving?.aborted === true) end();
    leaving?.addEventListener('abort', end, { once: true });
    try {
      return await untilEnded(
        ending.signal,
        cancellable(ending.signal, () => execute(args)),
        isMutation,
        limits,
      );
    } finally {
      clearTimeout(timer);
      leaving?.removeEventListener('abort', end);
      release();
    }
  }

  return {
    onExecute: ({ args, executeFn, setExecuteFn }) => {
      const asking: Asking = args.contextValue;
      setExecuteFn((own: ExecutionArgs) => run(own, executeFn as Execute, asking));
    },
  };
}

async function untilEnded(
  signal: AbortSignal,
  running: Promise<ExecutionResult> | ExecutionResult,
  isMutation: boolean,
  limits: ApiLimits,
): Promise<ExecutionResult> {
  return await new Promise((resolve, reject) => {
    const end = (): void => resolve({ errors: [deadlineError(isMutation, limits)] });
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    Promise.resolve(running).then(resolve, reject);
  });
}

function deadlineError(isMutation: boolean, { executionMsMax }: ApiLimits): GraphQLError {
  return apiError(
    'DEADLINE_EXCEEDED',
    isMutation
      ? 'It took too long, and may have been done all the same: repeat it with the same key, or read what became of it.'
      : 'It took too long. Ask for less at once.',
    { limitMs: executionMsMax, http: { status: 503, spec: false } },
  );
}
