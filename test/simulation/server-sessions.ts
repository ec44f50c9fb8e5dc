/**
 * The real PostgreSQL below the simulated processes: physical connections, whether a statement is done or waits for somebody else's lock, and what a broken
 * connection leaves behind. A session that is given up is rolled back and used again, which for the server is the same as a disconnect, and faster.
 */
import pg from 'pg';

/** How a statement ended. */
export type Outcome =
  | { readonly kind: 'done'; readonly result: pg.QueryResult }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A statement that the server has been given. */
export type Running = { outcome: Outcome | null; readonly ended: Promise<void> };

export type ServerSession = {
  readonly pid: number;
  /** Hands the statement over and waits until it has ended or waits for a lock. @returns its outcome, null while it waits. */
  run(statement: string, parameters: readonly unknown[]): Promise<Outcome | null>;
  /** As {@link run} for the statement that was left waiting. */
  look(): Promise<Outcome | null>;
  /** Whether the statement that was left waiting waits for one of these server processes: if none of them let go of anything, it still does. */
  waitsFor(pids: ReadonlySet<number>): boolean;
  /** Makes the waiting statement fail. */
  cancel(): Promise<void>;
  /** Ends whatever runs. */
  abandon(): Promise<void>;
};

export type ServerSessions = {
  open(): Promise<ServerSession>;
  /** Rolls back whatever is open and keeps the session for the next one to ask. No statement may be running. */
  reclaim(session: ServerSession): Promise<void>;
  /** The harness's own connection, for what it checks. */
  readonly observer: pg.Client;
  close(): Promise<void>;
};

/** Real milliseconds: an ordinary statement is done by then, and PostgreSQL has looked for a deadlock. */
const PATIENCE_MS = 4;
/** Well below the patience, so that a deadlock is always found by the statement that closes the circle. */
const DEADLOCK_TIMEOUT_MS = 2;

/** The server itself is never killed here, so nothing is learnt from its waiting for the disk. */
const NO_WAIT_FOR_DISK = 'SET synchronous_commit = off';

/**
 * Statements are parsed and planned once per session, which is most of what they cost on tables this small. One plan for all values, so that it does not
 * depend on what a session did in schedules before.
 */
const ONE_PLAN = "SET plan_cache_mode = 'force_generic_plan'";
const STATEMENTS = new Map<string, string>();

function named(text: string, parameters: readonly unknown[]): pg.QueryConfig {
  const values = [...parameters];
  if (values.length === 0) return { text };
  const name = STATEMENTS.get(text) ?? `s${STATEMENTS.size}`;
  STATEMENTS.set(text, name);
  return { name, text, values };
}

/** @param options as the pool under test would connect with. */
export async function createServerSessions(options: pg.PoolConfig): Promise<ServerSessions> {
  const observer = new pg.Client({
    connectionString: String(options.connectionString),
    application_name: 'simulation-observer',
  });
  await observer.connect();
  await observer.query(NO_WAIT_FOR_DISK);
  const { rows } = await observer.query<{ isSuper: boolean }>(
    'SELECT rolsuper AS "isSuper" FROM pg_roles WHERE rolname = current_user',
  );
  const isSuper = rows[0]?.isSuper === true;
  const waitingFor: WaitingFor = new Map();
  const idle: PhysicalSession[] = [];
  const all = new Map<ServerSession, PhysicalSession>();

  return {
    observer,
    open: async () => {
      const kept = idle.pop();
      if (kept !== undefined) return kept.session;
      const opened = await connect(options, { isSuper, observer, waitingFor });
      all.set(opened.session, opened);
      return opened.session;
    },
    reclaim: async (session) => {
      const physical = all.get(session);
      if (physical === undefined) throw new Error('Not a session of this server.');
      await physical.client.query('ROLLBACK');
      waitingFor.delete(session.pid);
      idle.push(physical);
    },
    close: async () => {
      await Promise.all([...all.values()].map(async ({ client }) => await client.end()));
      await observer.end();
    },
  };
}

/** Per server process that waits for locks: for whom, when it was last looked at. */
type WaitingFor = Map<number, readonly number[]>;

function isInCircle(waitingFor: WaitingFor, pid: number): boolean {
  const seen = new Set<number>();
  const queue = [...(waitingFor.get(pid) ?? [])];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next === pid) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    queue.push(...(waitingFor.get(next) ?? []));
  }
  return false;
}

type PhysicalSession = { readonly client: pg.Client; readonly session: ServerSession };

async function connect(
  options: pg.PoolConfig,
  {
    isSuper,
    observer,
    waitingFor,
  }: { readonly isSuper: boolean; readonly observer: pg.Client; readonly waitingFor: WaitingFor },
): Promise<PhysicalSession> {
  // The pool's own limits are real time; here they are virtual, and the caller sees to them.
  const client = new pg.Client({
    ...options,
    query_timeout: 120_000,
    statement_timeout: 120_000,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
  });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(NO_WAIT_FOR_DISK);
  await client.query(ONE_PLAN);
  if (isSuper) await client.query(`SET deadlock_timeout = ${DEADLOCK_TIMEOUT_MS}`);
  // ROLLBACK of a session without a transaction warns.
  await client.query('SET client_min_messages = error');
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? 0;
  let running: Running | null = null;

  const isWaitingForLock = async (): Promise<boolean> => {
    const answer = await observer.query<{ blockers: readonly number[] }>({
      name: 'blockers',
      text: 'SELECT pg_blocking_pids($1) AS blockers',
      values: [pid],
    });
    const blockers = answer.rows[0]?.blockers ?? [];
    waitingFor.set(pid, blockers);
    return blockers.length > 0;
  };
  const settled = async (): Promise<Outcome | null> => {
    const current = running;
    if (current === null) throw new Error('No statement is running.');
    // Twice in a row: a statement that was just woken may wait again a moment later.
    for (let waits = 0; waits < 2; ) {
      await patience(current.ended);
      if (current.outcome !== null) {
        running = null;
        waitingFor.delete(pid);
        return current.outcome;
      }
      waits = (await isWaitingForLock()) ? waits + 1 : 0;
      // Who closes a circle is told so by the server, however long it takes to find out.
      if (isInCircle(waitingFor, pid)) waits = 0;
    }
    return null;
  };

  const session: ServerSession = {
    pid,
    run: async (statement, parameters) => {
      if (running !== null) throw new Error('A statement is running already.');
      const current: { outcome: Outcome | null } = { outcome: null };
      const ended = client.query(named(statement, parameters)).then(
        (result) => {
          current.outcome = { kind: 'done', result };
        },
        (error: unknown) => {
          current.outcome = { kind: 'failed', error };
        },
      );
      running = Object.assign(current, { ended });
      return await settled();
    },
    look: async () => await settled(),
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

/** Waits for `ended`, but not for long. */
async function patience(ended: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, PATIENCE_MS);
  await Promise.race([ended, promise]);
  clearTimeout(timer);
}
