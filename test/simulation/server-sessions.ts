/**
 * The real PostgreSQL below the simulated processes: physical connections, whether a statement is done or waits for somebody else's lock, and what a broken
 * connection leaves behind. A session that is given up is rolled back and used again, which for the server is the same as a disconnect, and faster.
 */
import pg from 'pg';
import { LOG_CHANNEL, NEWS_LISTENER, OUTBOX_CHANNEL, UNNUMBERED_CHANNEL } from '../../src/db/event-log.ts';
import { PROGRESS_CHANNEL } from '../../src/ingestion/batch-writer.ts';

/** How a statement ended. */
export type Outcome =
  | { readonly kind: 'done'; readonly result: pg.QueryResult }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A statement that the server has been given. */
export type Running = { outcome: Outcome | null; readonly ended: Promise<void> };

/** @property channel by its name, or by that of the function that listens to it. */
export type Notice = { readonly channel: string; readonly said: string };

export type ServerSession = {
  readonly pid: number;
  /** What its transactions have notified, of what was heard ({@link ServerSessions.hear}), since this was last asked. */
  takeNotices(): readonly Notice[];
  /**
   * Hands the statement over and waits until it has ended or waits for a lock.
   * @param before statements that go right before it, in the same breath; they return nothing, and what makes them fail makes this one fail.
   * @returns its outcome, null while it waits.
   */
  run(statement: string, parameters: readonly unknown[], before: readonly string[]): Promise<Outcome | null>;
  /** As {@link run} for the statement that was left waiting. */
  look(): Promise<Outcome | null>;
  /** Whether the statement that was left waiting waits for one of these server processes: if none of them let go of anything, it still does. */
  waitsFor(pids: ReadonlySet<number>): boolean;
  /**
   * Stops the server process while its statement waits, and lets it go on. Of several that wait for one, the server wakes all at once, and which of them is first at what both want is a matter of microseconds: here
   * they go on one after the other.
   */
  hold(): void;
  goOn(): void;
  /** Makes the waiting statement fail. */
  cancel(): Promise<void>;
  /** Ends whatever runs. */
  abandon(): Promise<void>;
};

export type ServerSessions = {
  open(): Promise<ServerSession>;
  /** Resolves when whatever was notified by transactions that have committed has been heard. */
  hear(): Promise<void>;
  /** Rolls back whatever is open and keeps the session for the next one to ask. No statement may be running. */
  reclaim(session: ServerSession): Promise<void>;
  /** The harness's own connection, for what it checks. */
  readonly observer: pg.Client;
  /** Another one, for what it does to the database between and during schedules: what that takes makes a session forget its plans. */
  readonly keeper: pg.Client;
  /** Of all server processes of this database, also of those that others have connected to; none where the server may be on another machine. */
  pids(): Promise<readonly number[]>;
  close(): Promise<void>;
};

/** Real milliseconds: an ordinary statement is done by then, and who is not is looked at. */
const PATIENCE_MS_MIN = 2;
const PATIENCE_MS_MAX = 20;
/** Deadlocks are found here ({@link isInCircle}), by who waits for whom and not by how long: what the server's own timer would find first depends on the machine. */
const NO_DEADLOCK_TIMER = "SET deadlock_timeout = '1h'";

/** The server itself is never killed here, so nothing is learnt from its waiting for the disk. Where it never waits, each commit would only wake the one that writes later. */
const NO_WAIT_FOR_DISK = `SELECT set_config('synchronous_commit', CASE current_setting('fsync') WHEN 'on' THEN 'off' ELSE 'on' END, false)`;

/**
 * Statements are parsed and planned once per session, which is most of what they cost on tables this small. One plan for all values, so that it does not
 * depend on what a session did in schedules before.
 */
export const ONE_PLAN = "SET plan_cache_mode = 'force_generic_plan'";
const STATEMENTS = new Map<string, string>();
const CAN_BE_PREPARED = /^\s*(select|insert|update|delete|with)\b/i;

/** @returns the statement under a name of its own, if it is one that has a plan: each session then plans it once. */
export function named(text: string, parameters: readonly unknown[] = []): pg.QueryConfig {
  const values = [...parameters];
  if (values.length === 0 && !CAN_BE_PREPARED.test(text)) return { text };
  const name = STATEMENTS.get(text) ?? `s${STATEMENTS.size}`;
  STATEMENTS.set(text, name);
  return { name, text, values };
}

/** @param options as the pool under test would connect with. */
export async function createServerSessions(options: pg.PoolConfig): Promise<ServerSessions> {
  const open = async (name: string): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: String(options.connectionString), application_name: name });
    await client.connect();
    await client.query(NO_WAIT_FOR_DISK);
    return client;
  };
  const observer = await open('simulation-observer');
  const keeper = await open('simulation-keeper');
  const { rows } = await observer.query<{ isSuper: boolean }>(
    'SELECT rolsuper AS "isSuper" FROM pg_roles WHERE rolname = current_user',
  );
  const isSuper = rows[0]?.isSuper === true;
  const ear = await listen(observer);
  const waitingFor: WaitingFor = new Map();
  const inFlight = new Set<number>();
  const held = new Set<number>();
  const opened = new Set<number>();
  const idle: PhysicalSession[] = [];
  const all = new Map<ServerSession, PhysicalSession>();
  // Whoever is left stopped would outlive us: it does not see that its client is gone, and whoever ends it, or drops its database, waits for it.
  const goOnAll = (): void => {
    for (const pid of held) signal(pid, 'SIGCONT');
  };
  process.once('exit', goOnAll);

  return {
    observer,
    keeper,
    open: async () => {
      const kept = idle.pop();
      if (kept !== undefined) return kept.session;
      const physical = await connect(options, { isSuper, observer, ear, waitingFor, inFlight, held, opened });
      opened.add(physical.session.pid);
      all.set(physical.session, physical);
      return physical.session;
    },
    hear: ear.hear,
    reclaim: async (session) => {
      const physical = all.get(session);
      if (physical === undefined) throw new Error('Not a session of this server.');
      await physical.client.query('ROLLBACK');
      ear.take(session.pid);
      waitingFor.delete(session.pid);
      idle.push(physical);
    },
    pids: async () => {
      if (!observer.host.startsWith('/')) return []; // Not reached by a file.
      const { rows } = await observer.query<{ pid: number }>(
        'SELECT pid FROM pg_stat_activity WHERE datname = current_database()',
      );
      return rows.map(({ pid }) => pid);
    },
    close: async () => {
      await Promise.all([...all.values()].map(async ({ client }) => await client.end()));
      await Promise.all([observer.end(), keeper.end()]);
      process.off('exit', goOnAll);
    },
  };
}

/** Per server process that waits for locks: for whom, when it was last looked at. */
type WaitingFor = Map<number, readonly number[]>;

/** @returns everybody whom `pid` waits for, directly or through others. */
function waitedFor(waitingFor: WaitingFor, pid: number): ReadonlySet<number> {
  const seen = new Set<number>();
  const queue = [...(waitingFor.get(pid) ?? [])];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    queue.push(...(waitingFor.get(next) ?? []));
  }
  return seen;
}

type PhysicalSession = { readonly client: pg.Client; readonly session: ServerSession };

async function connect(
  options: pg.PoolConfig,
  {
    isSuper,
    observer,
    ear,
    waitingFor,
    inFlight,
    held,
    opened,
  }: {
    readonly isSuper: boolean;
    readonly observer: pg.Client;
    readonly ear: Ear;
    readonly waitingFor: WaitingFor;
    /** Whose statements have been given to the server and have not ended. */
    readonly inFlight: Set<number>;
    /** Who is stopped. */
    readonly held: Set<number>;
    /** All that schedules have. */
    readonly opened: ReadonlySet<number>;
  },
): Promise<PhysicalSession> {
  // The pool's own limits are real time; here they are virtual, and the caller sees to them.
  const config = {
    ...options,
    query_timeout: 0,
    statement_timeout: 120_000,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    pipeline: true,
  };
  const client = new pg.Client(config);
  client.on('error', () => undefined);
  await client.connect();
  await client.query(NO_WAIT_FOR_DISK);
  await client.query(ONE_PLAN);
  if (isSuper) await client.query(NO_DEADLOCK_TIMER);
  // ROLLBACK of a session without a transaction warns.
  await client.query('SET client_min_messages = error');
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? 0;
  let running: Running | null = null;

  const waiters = async (): Promise<WaitingFor> => {
    const { rows } = await observer.query<{ pid: number; blockers: readonly number[] }>({
      name: 'blockers',
      text: 'SELECT pid, pg_blocking_pids(pid) AS blockers FROM unnest($1::int[]) AS pid',
      values: [[...inFlight]],
    });
    return new Map(rows.map((row) => [row.pid, row.blockers]));
  };
  const settled = async (): Promise<Outcome | null> => {
    const current = running;
    if (current === null) throw new Error('No statement is running.');
    let patienceMs = PATIENCE_MS_MIN;
    for (let sightings = 0; ; patienceMs = Math.min(2 * patienceMs, PATIENCE_MS_MAX)) {
      // Who is seen to wait will hardly be done by looking at it for longer.
      if (sightings === 0) await patience(current.ended, patienceMs);
      if (current.outcome !== null) {
        running = null;
        waitingFor.delete(pid);
        return current.outcome;
      }
      const now = await waiters();
      const others = [...waitedFor(now, pid)];
      // Nobody whom it waits for is about to let go of something by himself: all of them wait, for a lock or for their next statement. Whoever is not of the schedule goes on whatever it does: a commit that notifies
      // waits for those of all databases of the server.
      const isStuck =
        others.length > 0 &&
        others.every((other) => held.has(other) || (opened.has(other) && now.get(other)?.length !== 0));
      sightings = isStuck ? sightings + 1 : 0;
      // Twice in a row where others wait as well: they were looked at one after the other.
      if (!isStuck || (sightings < 2 && others.some((other) => inFlight.has(other)))) continue;
      waitingFor.set(pid, now.get(pid) ?? []);
      if (!others.includes(pid)) return null;
      await observer.query('SELECT pg_cancel_backend($1)', [pid]);
      await current.ended;
      if (hasFailedWith(current.outcome, CANCELLED)) current.outcome = { kind: 'failed', error: deadlock() };
    }
  };

  const session: ServerSession = {
    pid,
    takeNotices: () => ear.take(pid),
    run: async (statement, parameters, before) => {
      if (running !== null) throw new Error('A statement is running already.');
      const current: { outcome: Outcome | null } = { outcome: null };
      const { stream } = client.connection;
      inFlight.add(pid);
      stream.cork();
      // Their failure is that of the statement behind them.
      for (const text of before) client.query(text).catch(() => undefined);
      const answer = client.query(named(statement, parameters));
      stream.uncork();
      const ended = answer.then(
        (result) => {
          inFlight.delete(pid);
          // Of several statements in one text, as a transaction begins that says who acts, each has its own.
          current.outcome = { kind: 'done', result: Array.isArray(result) ? result.at(-1) : result };
        },
        (error: unknown) => {
          inFlight.delete(pid);
          current.outcome = { kind: 'failed', error };
        },
      );
      running = Object.assign(current, { ended });
      return await settled();
    },
    look: async () => await settled(),
    hold: () => {
      if (!held.has(pid)) signal(pid, 'SIGSTOP');
      held.add(pid);
    },
    goOn: () => {
      if (held.delete(pid)) signal(pid, 'SIGCONT');
    },
    waitsFor: (pids) => waitingFor.get(pid)?.some((blocker) => pids.has(blocker)) === true,
    cancel: async () => {
      await observer.query('SELECT pg_cancel_backend($1)', [pid]);
      await running?.ended;
    },
    abandon: async () => {
      if (running === null) return;
      await observer.query('SELECT pg_cancel_backend($1)', [pid]);
      await running.ended;
      running = null;
    },
  };
  return { client, session };
}

const CHANNELS = [OUTBOX_CHANNEL, UNNUMBERED_CHANNEL, LOG_CHANNEL, PROGRESS_CHANNEL];

type Ear = { hear(): Promise<void>; take(pid: number): readonly Notice[] };

/**
 * Listens for all sessions: each that listens is woken by every commit that notifies. A server process hands on what was notified by those who have committed before it is ready for its next statement.
 */
async function listen(client: pg.Client): Promise<Ear> {
  const heard = new Map<number, Notice[]>();
  for (const channel of CHANNELS) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
  const { rows } = await client.query<{ channel: string }>(`SELECT ${NEWS_LISTENER}() AS channel`);
  const newsChannel = rows[0]?.channel;
  client.on('notification', ({ processId, channel, payload = '' }) => {
    const notices = heard.get(processId) ?? [];
    heard.set(processId, notices);
    notices.push({ channel: channel === newsChannel ? NEWS_LISTENER : channel, said: payload });
  });
  return {
    hear: async () => void (await client.query('')),
    take: (pid) => {
      const notices = heard.get(pid) ?? [];
      heard.delete(pid);
      return notices;
    },
  };
}

/** A server on another machine, or of another user, is not ours to stop: there the order is the server's. */
function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'EPERM' || error.code === 'ESRCH'))) throw error;
  }
}

/** What a statement fails with that was cancelled. */
const CANCELLED = '57014';

function hasFailedWith(outcome: Outcome | null, sqlState: string): boolean {
  return outcome?.kind === 'failed' && outcome.error instanceof pg.DatabaseError && outcome.error.code === sqlState;
}

/** As the server tells who closes a circle of waiting. Where it could have resolved it by letting one of them jump the queue, it would; here nobody jumps. */
function deadlock(): pg.DatabaseError {
  const error = new pg.DatabaseError('deadlock detected', 0, 'error');
  error.code = '40P01';
  return error;
}

/** Waits for `ended`, but not for long. */
async function patience(ended: Promise<void>, durationMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, durationMs);
  await Promise.race([ended, promise]);
  clearTimeout(timer);
}
