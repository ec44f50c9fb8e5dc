/** The pool of connections of one simulated process: bounded, first come first served, with a virtual limit on waiting. */
import type pg from 'pg';
import type { Marks } from './marks.ts';
import type { Actor, Scheduler } from './scheduler.ts';

/** A connection in use, in the shape the project's connection layer knows from its driver. */
export type Client = {
  query(statement: string | pg.QueryConfig, parameters?: readonly unknown[]): Promise<pg.QueryResult>;
  release(destroy?: boolean): void;
};

export type ProcessPoolOptions<Connection> = {
  readonly actor: Actor;
  readonly size: number;
  readonly scheduler: Scheduler;
  readonly marks: Marks;
  readonly connect: () => Promise<Connection>;
  readonly isSpent: (connection: Connection) => boolean;
  /** Closes it from the client's side. */
  readonly giveUp: (connection: Connection) => void;
  readonly serve: (connection: Connection) => Pick<Client, 'query'> & {
    readonly onRelease: (isDestroyed: boolean) => void;
  };
};

const WAIT_MS_MAX = 5_000; // As src/db/connection.ts sets it.

/** @returns takes a connection: a free one, a new one, or the next that is given back. */
export function createProcessPool<Connection>(options: ProcessPoolOptions<Connection>): () => Promise<Client> {
  const { actor, size, scheduler, marks, connect, isSpent, giveUp, serve } = options;
  const idle: Connection[] = [];
  const queue: { readonly grant: () => void; readonly forget: () => void }[] = [];
  let opened = 0;

  const wakeNext = (): void => {
    const next = queue.shift();
    next?.forget();
    next?.grant();
  };
  const clientOf = (connection: Connection): Client => {
    const { query, onRelease } = serve(connection);
    return {
      query,
      release: (destroy = false) => {
        onRelease(destroy);
        if (destroy || isSpent(connection)) {
          opened -= 1;
          giveUp(connection);
        } else {
          idle.push(connection);
        }
        wakeNext();
      },
    };
  };
  const open = async (): Promise<Client> => {
    opened += 1;
    try {
      return clientOf(await connect());
    } catch (error) {
      opened -= 1;
      wakeNext();
      throw error;
    }
  };
  const turn = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const forget = scheduler.enqueue({
        actor,
        label: 'pool timeout',
        delayMs: WAIT_MS_MAX,
        run: () => {
          queue.splice(queue.indexOf(entry), 1);
          marks.add('pool timeout');
          reject(new Error('timeout exceeded when trying to connect'));
          return '';
        },
      });
      const entry = { grant: resolve, forget };
      queue.push(entry);
    });
  const take = async (): Promise<Client> => {
    const free = idle.pop();
    if (free !== undefined) return clientOf(free);
    if (opened < size) return await open();
    await turn();
    return await take();
  };
  return take;
}
