/**
 * A client of Sluice: queries and mutations with the types of their answers, subscriptions that outlive connections, and withdrawals whose key is never lost.
 *
 * It runs in browsers and in Node and loads nothing but `graphql-ws`.
 */
import { BACKOFF, type Backoff, delayMsAfter } from './backoff.ts';
import { ClientError, retryableOf } from './client-error.ts';
import { createCredentials, type TokenSource } from './credentials.ts';
import { createEventStreams } from './event-stream.ts';
import { createHttp, type Request } from './http.ts';
import { graphql, type Operation, type ResultOf, textOf } from './operation.ts';
import { ownPlatform, type Platform } from './platform.ts';
import { leavable, type WatchOptions, watch } from './watch.ts';
import { createWebSockets } from './web-socket.ts';
import {
  WITHDRAWAL,
  type Withdrawal,
  type WithdrawalInput,
  type WithdrawOptions,
  type WithdrawOutcome,
  withdraw,
} from './withdraw.ts';

export { ClientError, type ClientErrorCode } from './client-error.ts';
export type { TokenSource } from './credentials.ts';
export { createMemoryKeyStore, type KeyStore } from './key-store.ts';
export { graphql, type Operation, type ResultOf, type VariablesOf } from './operation.ts';
export type { Platform } from './platform.ts';
export type { ConnectionState, Resync, WatchOptions } from './watch.ts';
export type { Withdrawal, WithdrawalInput, WithdrawalRefusal, WithdrawOptions, WithdrawOutcome } from './withdraw.ts';

export type ClientOptions = {
  /** Of the endpoint, e.g. `https://sluice.example/graphql`. */
  readonly url: string;
  /** A token, or who gives one; asked again whenever the server does not take the one there is. Left out: none is sent. */
  readonly token?: string | TokenSource;
  /** How subscriptions travel; both behave alike. Default: `websocket`, or `sse` where there is no WebSocket. */
  readonly transport?: 'websocket' | 'sse';
  /** For one answer. Default 30 s. */
  readonly timeoutMs?: number;
  /** How many times a query is put in all. Default 4. */
  readonly queryTriesMax?: number;
  readonly backoff?: Partial<Backoff>;
  /** A connection on which nothing comes for so long is given up. */
  readonly silenceMs?: number;
  /** What differs from what the browser or Node has. */
  readonly platform?: Partial<Platform>;
};

/** The variables of an operation; may be left out where none is required. */
type VariablesArgument<Variables> =
  Record<string, never> extends Variables ? [variables?: Variables] : [variables: Variables];
/** What a subscription's one field gives. */
type ItemOf<Result> = Result[keyof Result];

export type SluiceClient = {
  /**
   * Asks, and asks again where that may help.
   * @throws ClientError.
   */
  query<Result, Variables>(
    operation: Operation<Result, Variables>,
    ...variables: VariablesArgument<Variables>
  ): Promise<Result>;
  /**
   * Asks once: whether it may be repeated is the mutation's affair. Refusals that the schema knows are values of the result.
   * @throws ClientError; DISCONNECTED: it may have been done.
   */
  mutate<Result, Variables>(
    operation: Operation<Result, Variables>,
    ...variables: VariablesArgument<Variables>
  ): Promise<Result>;
  /**
   * Every item of a subscription, over any number of connections: at least once, in order, without a gap. Store `cursor` together with what you did about an item, and begin `after` it.
   *
   *     for await (const deposit of client.watch(DEPOSITS, {}, { after })) …
   *
   * @throws ClientError from the loop: what does not pass by itself.
   */
  watch<Result, Variables>(
    operation: Operation<Result, Variables>,
    variables: Omit<Variables, 'after'>,
    options?: WatchOptions,
  ): AsyncIterableIterator<ItemOf<Result>, void, undefined>;
  /** Asks for a withdrawal under a key that is kept first and used again after every doubt. */
  withdraw(input: WithdrawalInput, options: WithdrawOptions): Promise<WithdrawOutcome>;
  /**
   * Follows one withdrawal to its end.
   * @param withdrawalId `wd_…`.
   * @returns it in its final state: `COMPLETED`, or one that says it was not paid.
   * @throws ClientError, ABORTED by the signal.
   */
  untilFinal(withdrawalId: string, options?: Pick<WatchOptions, 'signal' | 'onConnection'>): Promise<Withdrawal>;
  /**
   * Reads where the event log ends: read it, read what you need, then watch after it, and nothing is missed between. A query that selects `freshness { position }` itself needs no other.
   */
  headCursor(): Promise<string>;
  /** Ends the socket. Loops end with their signals. */
  close(): void;
};

const HEAD = graphql(`query ClientHead { freshness { position } }`);
const UPDATED = graphql(
  `
  subscription ClientWithdrawalUpdated($withdrawalId: String!, $after: Cursor) {
    withdrawalUpdated(withdrawalId: $withdrawalId, after: $after) { cursor isFinal withdrawal { ...WithdrawalFields } }
  }
`,
  [WITHDRAWAL],
);

export function createSluiceClient(options: ClientOptions): SluiceClient {
  const { timeoutMs = 30_000, queryTriesMax = 4 } = options;
  const url = new URL(options.url).href;
  const platform: Platform = { ...ownPlatform(), ...options.platform };
  const backoff: Backoff = { ...BACKOFF, ...options.backoff };
  const transport = options.transport ?? (platform.WebSocket === null ? 'sse' : 'websocket');
  const credentials = createCredentials(tokenSourceOf(options.token));
  const http = createHttp({ url, credentials, platform, timeoutMs });
  const silence = options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs };
  const sockets = createWebSockets({ url: url.replace(/^http/, 'ws'), credentials, platform, ...silence });
  const subscribe =
    transport === 'websocket' ? sockets.subscribe : createEventStreams(http, platform, options.silenceMs);

  async function query(request: Request, signal?: AbortSignal): Promise<unknown> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await http.ask(request, signal);
      } catch (error) {
        const retryable = retryableOf(error);
        if (retryable === null || failures >= queryTriesMax) throw error;
        await platform.sleep(delayMsAfter(failures, backoff, platform.random(), retryable.retryAfterMs), signal);
      }
    }
  }

  async function readHead(signal?: AbortSignal): Promise<string> {
    // An answer has the type of the operation it was given for: here, and in `query` and `mutate`.
    const { freshness } = (await query({ query: textOf(HEAD), variables: {} }, signal)) as ResultOf<typeof HEAD>;
    return freshness.position;
  }

  const watching = { subscribe, platform, backoff, readHead };
  const client: SluiceClient = {
    query: async (operation, ...[variables]) =>
      (await query({ query: textOf(operation), variables: variables ?? {} })) as never,
    mutate: async (operation, ...[variables]) =>
      (await http.ask({ query: textOf(operation), variables: variables ?? {} }, undefined)) as never,
    watch: (operation, variables, watchOptions = {}) =>
      leavable(
        watchOptions.signal,
        (signal) =>
          watch(
            watching,
            { query: textOf(operation), variables: { ...variables } },
            { ...watchOptions, signal },
          ) as never,
      ),
    withdraw: async (input, withdrawOptions) =>
      await withdraw({ platform, backoff, ask: http.ask }, input, withdrawOptions),
    untilFinal: async (withdrawalId, watchOptions = {}) => {
      // The end is the last state that was seen; after a restore of the database its present state comes first again.
      const onResync = (): null => null;
      for await (const update of client.watch(UPDATED, { withdrawalId }, { ...watchOptions, onResync })) {
        if (update.withdrawal.isFinal) return update.withdrawal;
      }
      throw new ClientError('ABORTED', 'The withdrawal was not followed to its end.');
    },
    headCursor: async () => await readHead(),
    close: sockets.close,
  };
  return client;
}

function tokenSourceOf(token: string | TokenSource | undefined): TokenSource {
  return typeof token === 'function' ? token : () => token ?? null;
}
