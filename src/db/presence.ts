/**
 * That a process is alive, told by the database: a session of its own holds an advisory lock, which the server lets go of the moment that the process is gone, killed ones included. So whoever waits for a lease of a dead
 * holder need not wait for its end.
 *
 * It only saves time, like the leases themselves: a process that is alive and has lost this one connection may lose its lease to another before it renews it, and its token makes that harmless. One that stands still keeps its
 * connection, and its lease ends by time. So it does wherever the word does not get through, as through a PgBouncer in transaction mode, which has no sessions.
 */
import { Socket } from 'node:net';
import { type RawBuilder, sql } from 'kysely';
import pg from 'pg';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';

export type Presence = {
  /** Settles when it is told for the first time, and at the latest after a few seconds: without it leases end by time alone. */
  readonly told: Promise<void>;
  /** From now on the process counts as gone. Harmless when repeated. */
  close(): Promise<void>;
};

/** Holders that end in it can be asked for; those of earlier versions cannot, and are waited for. */
const MARK = ':told';
/** What stands in its place beside a lease whose holder could not be asked for when it last took or renewed it: it lives, so its silence says nothing. Of the same length. */
const UNTOLD = ':mute';
const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 5_000;
const TELL_MS_MAX = 5_000;
const HEARTBEAT_MS = 15_000; // As for notifications: a half-open connection would keep silent for ever.
const RETAKE_MS = 500;
const RECONNECT_MS = 100;
const RECONNECT_MS_MAX = 5_000;
const FAREWELL_MS = 500;

/** @returns the name by which the process takes leases from now on. */
export function presentHolder(holder: string): string {
  return `${holder}${MARK}`;
}

/** @returns all that may stand beside a lease of `holder`. */
export function namesOf(holder: string): readonly string[] {
  return holder.endsWith(MARK) ? [holder, `${holder.slice(0, -MARK.length)}${UNTOLD}`] : [holder];
}

/**
 * What is to stand beside a lease that `holder` takes or keeps: that it can be asked for only where it can be just now. Or a process that lives, and whose word does not get through (no connection is left, a proxy cut it), would
 * lose each lease at once to whoever wants it, and two such processes would take them from one another for ever.
 * @param holder of text, with or without a mark.
 */
export function asHeld(holder: RawBuilder<string>): RawBuilder<string> {
  const name = sql<string>`left(${holder}, ${-MARK.length}::int)`;
  const told = sql<string>`${name} || ${MARK}::text`;
  // Shared: several leases of one process are kept at the same time.
  return sql<string>`CASE WHEN ${holder} LIKE ${`%${MARK}`} OR ${holder} LIKE ${`%${UNTOLD}`}
    THEN CASE WHEN pg_try_advisory_xact_lock_shared(${keyOf(told)}) THEN ${name} || ${UNTOLD}::text ELSE ${told} END ELSE ${holder} END`;
}

/**
 * Whether the holder that a column names has gone without a word; false where nobody can tell. The lock that it tries for is let go of at the end of the statement: use it outside of longer transactions.
 * @param holder of text.
 */
export function isGone(holder: RawBuilder<string>): RawBuilder<boolean> {
  // CASE alone keeps the order: nobody's lock is tried for whose absence would say nothing.
  return sql<boolean>`CASE WHEN ${holder} LIKE ${`%${MARK}`} THEN pg_try_advisory_xact_lock(${keyOf(holder)}) ELSE false END`;
}

/** As the server told it, or whoever stands before it; the driver's types do not know it. */
function pidOf(client: pg.Client): number | null {
  const { processID } = client as pg.Client & { readonly processID?: unknown };
  return typeof processID === 'number' ? processID : null;
}

function keyOf(holder: RawBuilder<string>): RawBuilder<bigint> {
  return sql<bigint>`hashtextextended('sluice presence ' || (${holder}), 0)`;
}

/** Connects at once, and again whenever the connection is lost. @param options.holder of {@link presentHolder}. */
export function tellPresence(options: {
  readonly connectionString: string;
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}): Presence {
  const { connectionString, holder, clock, logger } = options;
  const closing = new AbortController();
  const first = new AbortController();

  /** Serves one connection until it is lost or we close. */
  async function serveConnection(): Promise<void> {
    const socket = new Socket();
    const client = new pg.Client({
      stream: () => socket,
      connectionString,
      application_name: 'sluice-presence',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      keepAlive: true,
    });
    const lost = new AbortController();
    client.on('error', (error) => lost.abort(error));
    client.on('end', () => lost.abort());
    const ended = AbortSignal.any([lost.signal, closing.signal]);
    try {
      await client.connect();
      while (!ended.aborted) {
        // Never waited for: where a session of ours that was cut off still has it, each try would leave one more behind that waits at the server. Whoever else looks lets go of it at once.
        const { rows } = await client.query<{ isOurSession: boolean; isTold: boolean }>(
          `SELECT pg_backend_pid() = $2::int AS "isOurSession", CASE WHEN pg_backend_pid() = $2::int
             THEN pg_try_advisory_lock(hashtextextended('sluice presence ' || $1::text, 0)) ELSE false END AS "isTold"`,
          [holder, pidOf(client)],
        );
        const [now] = rows;
        // A pooler gives each statement whatever session it has: what is locked there says nothing of us.
        if (now?.isOurSession !== true) logger.debug('No session of our own: leases of this process end by time.', {});
        if (now?.isTold === true || now?.isOurSession !== true) first.abort();
        await clock.sleep(now?.isOurSession === true && !now.isTold ? RETAKE_MS : HEARTBEAT_MS, ended);
      }
    } finally {
      await Promise.race([client.end(), clock.sleep(FAREWELL_MS)]);
      socket.destroy();
    }
  }

  async function run(): Promise<void> {
    for (let delayMs = RECONNECT_MS; !closing.signal.aborted; delayMs = Math.min(2 * delayMs, RECONNECT_MS_MAX)) {
      const startedAt = clock.nowMicros();
      try {
        await serveConnection();
      } catch (error) {
        logger.warn('Cannot tell the others that this process is alive.', { why: messageOf(error) });
      }
      if (clock.nowMicros() - startedAt > BigInt(HEARTBEAT_MS) * 1_000n) delayMs = RECONNECT_MS;
      await clock.sleep(delayMs, closing.signal);
    }
  }
  const running = run();

  return {
    told: clock.sleep(TELL_MS_MAX, AbortSignal.any([first.signal, closing.signal])),
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
