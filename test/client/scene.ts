/** The API behind a proxy that breaks connections, where it can be stopped and come back, also on another database; and clients of it. */
import { expect } from 'vitest';
import { type ClientOptions, createSluiceClient, graphql, type SluiceClient } from '../../client/src/client.ts';
import { systemClock } from '../../src/env/system.ts';
import type { ServerOptions } from '../../src/server/create-server.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { CANCEL, CREATE, INPUT } from '../support/withdrawal-api.ts';

export const CHANGES = graphql(`
  subscription TestChanges($after: Cursor) {
    withdrawals(after: $after) { cursor eventId withdrawalId state isFinal }
  }
`);

export type Scene = {
  readonly proxy: TcpProxy;
  database(): TestDatabase;
  api(): TestApi;
  /** Through the proxy; closed with the scene. */
  client(options?: Partial<ClientOptions>): SluiceClient;
  /** Asks for a withdrawal past the proxy, which makes two events. */
  create(idempotencyKey: string): Promise<string>;
  cancel(withdrawalId: string): Promise<void>;
  /** Until the log has so many events, and the server has seen them. */
  numbered(count: number): Promise<void>;
  /** A copy of the database as it is now. */
  copy(): Promise<TestDatabase>;
  stopApi(): Promise<void>;
  /** On the same port, with `database` in the place of the former one. */
  startApi(database?: TestDatabase): Promise<void>;
  /** The event ids of all of the log, in order, by a client of its own. */
  log(count: number): Promise<readonly string[]>;
  close(): Promise<void>;
};

/** Fast, so that a test sees many tries. */
export const QUICK: Partial<ClientOptions> = { backoff: { delayMsMin: 5, delayMsMax: 200 } };

export async function startScene(options: Partial<Omit<ServerOptions, 'services'>> = {}): Promise<Scene> {
  let database = await createTestDatabase();
  const databases = [database];
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.instrument();
  await rows.stream({});
  await rows.update('first');
  // A small ring, so that resuming goes through the database as well.
  let api = await startApi(database, { ringCountMax: 8, ...options });
  const port = Number(new URL(api.url).port);
  const proxy = await createTcpProxy({ host: '127.0.0.1', port });
  const clients: SluiceClient[] = [];

  const client = (given: Partial<ClientOptions> = {}): SluiceClient => {
    const made = createSluiceClient({ url: `http://127.0.0.1:${proxy.port}/graphql`, ...QUICK, ...given });
    clients.push(made);
    return made;
  };

  return {
    proxy,
    client,
    database: () => database,
    api: () => api,
    create: async (idempotencyKey) => {
      const { data, errors } = await api.query(CREATE, { input: { ...INPUT, idempotencyKey } });
      expect(errors).toBeUndefined();
      return data.createWithdrawal.withdrawal.withdrawalId;
    },
    cancel: async (withdrawalId) => {
      const { data, errors } = await api.query(CANCEL, { withdrawalId });
      expect(errors).toBeUndefined();
      expect(data.cancelWithdrawal).toMatchObject({ __typename: 'CancelWithdrawalPayload' });
    },
    numbered: async (count) =>
      await eventually(() => expect(api.log.tail.head().position).toBeGreaterThanOrEqual(BigInt(count))),
    copy: async () => {
      const copy = await createTestDatabase({ copyOf: database });
      databases.push(copy);
      return copy;
    },
    stopApi: async () => await api.stop(),
    startApi: async (other = database) => {
      database = other;
      api = await startApi(database, { ringCountMax: 8, port, ...options });
    },
    log: async (count) => {
      const direct = createSluiceClient({ url: `${api.url}/graphql`, ...QUICK });
      const { eventLog } = await direct.query(graphql(`query TestStart { eventLog { startCursor } }`));
      const ids: string[] = [];
      for await (const change of direct.watch(CHANGES, {}, { after: eventLog.startCursor })) {
        ids.push(change.eventId ?? '');
        if (ids.length === count) break;
      }
      direct.close();
      return ids;
    },
    close: async () => {
      for (const each of clients) each.close();
      await proxy.close();
      await api.stop();
      for (const each of databases) await each.close();
    },
  };
}

/** Takes items in the background until it is left. */
export function collect<T>(items: AsyncIterableIterator<T, void, undefined>): {
  readonly taken: T[];
  /** Until so many were taken. @throws what ended the loop, if something did. */
  until(count: number): Promise<readonly T[]>;
  leave(): Promise<void>;
} {
  const taken: T[] = [];
  let failure: unknown = null;
  const over = (async () => {
    try {
      for await (const item of items) taken.push(item);
    } catch (error) {
      failure = error;
    }
  })();
  return {
    taken,
    until: async (count) => {
      await eventually(
        () => {
          if (failure === null) expect(taken.length).toBeGreaterThanOrEqual(count);
        },
        { deadlineMs: 25_000, clock: systemClock },
      );
      if (failure !== null) throw failure;
      return taken;
    },
    leave: async () => {
      await items.return?.();
      await over;
    },
  };
}
