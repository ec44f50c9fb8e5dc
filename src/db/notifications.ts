/**
 * LISTEN on a connection of its own. A notification is a hint that saves time: it can be lost, merged or late, and whoever listens also
 * polls. So nothing here fails: a lost connection is logged and made anew, and every listener is woken once after that, because what it
 * waited for may have come meanwhile.
 *
 * Not through a PgBouncer in transaction mode, which has no LISTEN.
 */
import { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { getTypeParser } from './value-types.ts';

export type Notifications = {
  /**
   * Calls `wake` after a NOTIFY on `channel`, and after every (re)connection. `wake` must not throw.
   *
   * @param wake gets what the notification says, which anybody in the database can have said; the empty text after a (re)connection.
   * @returns ends it.
   */
  listen(channel: string, wake: Wake): () => void;
  /**
   * The same of a channel whose name the database keeps to itself: what comes over it was said by the database, or by somebody who may listen to it, too.
   *
   * @param listener a function of the database that listens to it and answers its name. Where the database refuses (our role may not, it has no such function), nothing comes over it, and it is tried again.
   */
  listenBy?(listener: string, wake: Wake): () => void;
  /**
   * Carries out a short statement that reads, over the connection that listens: of all server processes it is the one that is awake when a notification has come.
   *
   * @returns null where there is no such connection at the moment, it failed, or did not answer at once: whoever asks has another one.
   */
  ask?(statement: NamedStatement): Promise<readonly unknown[] | null>;
  /** Disconnects and leaves nothing behind. Harmless when repeated. */
  close(): Promise<void>;
};

export type Wake = (said: string) => void;

/** @property name stands for the text over the connection that listens, which nobody else uses: parsed once, and planned a few times. */
export type NamedStatement = { readonly name: string; readonly text: string; readonly values: readonly unknown[] };

export type NotificationsOptions = {
  readonly connectionString: string;
  readonly applicationName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

const CONNECT_TIMEOUT_MS = 5_000;
const HEARTBEAT_MS = 15_000; // A half-open connection stays silent for ever; this asks for a sign of life.
const ANSWER_TIMEOUT_MS = 5_000;
const ASK_MS = 250; // Whoever asks would look by itself as soon as that, and a dead connection keeps silent for ever.
const FAREWELL_MS = 500;
const DELAY_MS_MIN = 100;
const DELAY_MS_MAX = 10_000;

/** A channel that is heard, by its name or by that of the function that listens to it. */
type Heard = { readonly name: string; readonly isBy: boolean; readonly wakes: Set<Wake> };

type Connected = {
  readonly client: pg.Client;
  readonly lose: (error: unknown) => void;
  /** Something, and it has not answered yet. */
  isAsked: boolean;
};

type Begun = { readonly channel: string } | { readonly refusedWhy: string };

/** Of a channel that the database keeps to itself it may refuse: that is no reason to be deaf on all others. */
async function beginToListen(client: pg.Client, { name, isBy }: Heard): Promise<Begun> {
  if (!isBy) {
    await client.query(`LISTEN ${pg.escapeIdentifier(name)}`);
    return { channel: name };
  }
  try {
    // Asked first: a role that only reads may not, and whoever watches the server is not to find it refused again and again.
    const asked = await client.query<{ mayListen: boolean | null }>(
      `SELECT has_function_privilege(to_regprocedure($1), 'EXECUTE') AS "mayListen"`,
      [`${pg.escapeIdentifier(name)}()`],
    );
    if (asked.rows[0]?.mayListen !== true) return { refusedWhy: 'Our role may not call it, or it is not there.' };
    const { rows } = await client.query<{ channel: string }>(`SELECT ${pg.escapeIdentifier(name)}() AS channel`);
    return { channel: rows[0]?.channel ?? '' };
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.severity === 'ERROR') return { refusedWhy: error.message };
    throw error;
  }
}

/** Connects in the background at once, and again whenever the connection is lost. */
export function createNotifications(options: NotificationsOptions): Notifications {
  const { clock, random, logger } = options;
  const heard: Heard[] = [];
  const closing = new AbortController();
  let added = new AbortController();
  let connected: Connected | null = null;

  const wakeAll = ({ wakes }: Heard, said: string): void => {
    for (const wake of wakes) wake(said);
  };

  const add = (name: string, isBy: boolean, wake: Wake): (() => void) => {
    let known = heard.find((each) => each.name === name && each.isBy === isBy);
    if (known === undefined) {
      known = { name, isBy, wakes: new Set() };
      heard.push(known);
      added.abort();
    }
    const { wakes } = known;
    wakes.add(wake);
    // The channel stays listened to: its name is one of a handful, and a wake-up of nobody costs nothing.
    return () => void wakes.delete(wake);
  };

  // Serves one connection until it is lost or we close; throws when it cannot be made.
  const serveConnection = async (): Promise<void> => {
    const socket = new Socket();
    const client = new pg.Client({
      stream: () => socket,
      connectionString: options.connectionString,
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      statement_timeout: ANSWER_TIMEOUT_MS,
      types: { getTypeParser },
      keepAlive: true,
    });
    const lost = new AbortController();
    client.on('error', (error) => lost.abort(error));
    client.on('end', () => lost.abort());
    const channels = new Map<string, Heard>();
    client.on('notification', ({ channel, payload = '' }) => {
      const known = channels.get(channel);
      if (known !== undefined) wakeAll(known, payload);
    });
    const ended = AbortSignal.any([lost.signal, closing.signal]);
    try {
      await client.connect();
      connected = { client, lose: (error) => lost.abort(error), isAsked: false };
      const listened = new Set<Heard>();
      const refused = new Set<Heard>();
      while (!ended.aborted) {
        added = new AbortController();
        for (const each of heard.filter((known) => !listened.has(known))) {
          const begun = await beginToListen(client, each);
          if ('channel' in begun) {
            channels.set(begun.channel, each);
            listened.add(each);
            wakeAll(each, '');
          } else if (!refused.has(each)) {
            refused.add(each);
            logger.info('The database does not let us listen; what would be told is asked for.', {
              listener: each.name,
              why: begun.refusedWhy,
            });
          }
        }
        await clock.sleep(HEARTBEAT_MS, AbortSignal.any([ended, added.signal]));
        if (!ended.aborted && !added.signal.aborted) await client.query('SELECT 1');
      }
    } finally {
      connected = null;
      // Over a dead network the farewell is never answered.
      await Promise.race([client.end(), clock.sleep(FAREWELL_MS)]);
      socket.destroy();
    }
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted; failures++) {
      const startedAt = clock.nowMicros();
      try {
        await serveConnection();
      } catch (error) {
        logger.warn('Cannot listen for notifications; polling goes on.', { error: messageOf(error) });
      }
      // A connection that held for a while was no failure.
      if (clock.nowMicros() - startedAt > BigInt(HEARTBEAT_MS) * 1_000n) failures = 0;
      const delayMs = Math.min(DELAY_MS_MIN * 2 ** failures, DELAY_MS_MAX) * (0.5 + random.next() / 2);
      await clock.sleep(delayMs, closing.signal);
    }
  };
  const running = run();

  return {
    listen: (channel, wake) => add(channel, false, wake),
    listenBy: (listener, wake) => add(listener, true, wake),
    ask: async ({ name, text, values }) => {
      const asked = connected;
      // What was asked before has no answer yet: the connection may be dead, and is given up when it stays so.
      if (asked === null || asked.isAsked) return null;
      asked.isAsked = true;
      const answer = async (): Promise<readonly unknown[] | null> => {
        try {
          const { rows } = await asked.client.query<Record<string, unknown>>({ name, text, values: [...values] });
          asked.isAsked = false;
          return rows;
        } catch (error) {
          // What a table answers may have changed, or the connection be dead: a fresh one knows better.
          asked.lose(error);
          return null;
        }
      };
      const answered = new AbortController();
      const rows = await Promise.race([answer(), clock.sleep(ASK_MS, answered.signal).then(() => null)]);
      // After whoever asked has gone on: to end a sleep takes longer than to answer.
      setImmediate(() => answered.abort());
      return rows;
    },
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
