/**
 * What the server does with the connections of simulated processes: it carries statements out, lets those wait that need a lock, ends what stands still in a transaction, and learns late that a client is gone. Its timers
 * are virtual; everything else the real server does.
 */
import pg from 'pg';
import type { Dice } from './dice.ts';
import type { Marks } from './marks.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import type { Notice, Outcome, ServerSession, ServerSessions } from './server-sessions.ts';
import { type Decided, decidedBy, mayHaveChanged, mayNotify, verbOf } from './statement-text.ts';

/** One connection as its process sees it. */
export type Connection = {
  readonly actor: Actor;
  readonly physical: ServerSession;
  isBroken: boolean;
  isInTransaction: boolean;
  /** Whether its transaction, so far, may have changed what an invariant is about. */
  hasChanged: boolean;
  /** Whether its transaction, so far, may notify when it commits. */
  mayNotify: boolean;
  /** What its transaction has decided so far. */
  decided: Decided;
  /** Nothing of the process waits for the statement any more; the server has yet to find out. */
  isAbandoned: boolean;
  /** A statement that waits for a lock, and what to do with its outcome. */
  waiting: { readonly statement: string; readonly deliver: (outcome: Outcome) => string; isCancelled: boolean } | null;
  lastStatementMicros: bigint;
  /** Statements that the process believes carried out, and that go to the server with the next one. */
  readonly unsent: string[];
};

export type ServerSide = {
  /** Takes it into account from now on. */
  add(connection: Connection): void;
  has(connection: Connection): boolean;
  of(actor: Actor): readonly Connection[];
  /** Carries the statement out and keeps the books on the transaction. @returns null while it waits for a lock. */
  execute(connection: Connection, statement: string, parameters: readonly unknown[]): Promise<Outcome | null>;
  /** From now on the statement waits for its lock, until it has it or `lock_timeout` ends it. */
  wait(connection: Connection, statement: string, deliver: (outcome: Outcome) => string): void;
  /** A transaction has begun, at the latest with the next statement. */
  begun(connection: Connection): void;
  /** The client's end is gone. The server notices now or later, and until then locks stay. */
  abandon(connection: Connection): void;
  /** Ends the session at once, and lets those go on who waited for it. */
  end(connection: Connection): Promise<void>;
  /** What transactions have decided that are not over. */
  underWay(): Decided;
  /** Gives all sessions back, whatever runs on them. */
  release(): Promise<void>;
};

/** Of a transaction that has decided nothing. */
export const NOTHING_DECIDED: Decided = { tries: 0, hashes: [] };

export type ServerSideOptions = {
  /** Who does what the server does by itself. */
  readonly postgres: Actor;
  readonly scheduler: Scheduler;
  readonly server: ServerSessions;
  readonly dice: Dice;
  readonly marks: Marks;
  /** A transaction that notified has committed. */
  readonly onNotified: (notice: Notice) => void;
  /** After every transaction that the server committed. */
  readonly onCommitted: () => Promise<void>;
};

const LOCK_TIMEOUT_MS = 5_000; // As src/db/connection.ts sets it.
const IDLE_IN_TRANSACTION_MS = 30_000; // Likewise.
/** Until a server learns that its client is gone. */
export const NOTICE_MS_MAX = 20_000;

export function createServerSide(options: ServerSideOptions): ServerSide {
  const { postgres, scheduler, server, dice, marks, onNotified, onCommitted } = options;
  const connections = new Set<Connection>();
  let isCommitted = false;
  let hasNotified = false;
  /** Server processes that have let go of locks since somebody last looked who waits for them. */
  const released = new Set<number>();

  /** Before anything that may release locks. */
  function holdWaiting(): void {
    const waiting = [...connections].filter((connection) => connection.waiting !== null);
    if (waiting.length > 1) for (const { physical } of waiting) physical.hold();
  }

  /** Lets the statements go on that wait for locks which were released, as far as they come. In the order they began to wait. */
  async function settleWaiting(): Promise<void> {
    while (released.size > 0) {
      const recently = new Set(released);
      released.clear();
      for (const connection of [...connections]) {
        const { waiting } = connection;
        if (waiting === null || !(waiting.isCancelled || connection.physical.waitsFor(recently))) continue;
        connection.physical.goOn();
        const outcome = await connection.physical.look();
        if (outcome === null) continue;
        connection.waiting = null;
        noteReleased(connection, waiting.statement, outcome);
        noteCommitted(connection, waiting.statement, outcome);
        if (connection.isAbandoned) {
          await rollBack(connection);
          continue;
        }
        const told = waiting.isCancelled && outcome.kind === 'failed' ? lockTimeout(outcome) : outcome;
        scheduler.enqueue({ actor: connection.actor, label: 'answer', run: () => waiting.deliver(told) });
      }
    }
    for (const { physical } of connections) physical.goOn();
    if (isCommitted) {
      isCommitted = false;
      await onCommitted();
    }
  }

  const noteCommitted = (connection: Connection, statement: string, outcome: Outcome): void => {
    if (outcome.kind !== 'done') return;
    connection.hasChanged ||= mayHaveChanged(statement, outcome.result);
    connection.mayNotify ||= connection.hasChanged || mayNotify(statement);
    if (connection.isInTransaction) return;
    isCommitted ||= connection.hasChanged && verbOf(statement) !== 'rollback';
    hasNotified ||= connection.mayNotify && verbOf(statement) !== 'rollback';
    connection.hasChanged = false;
    connection.mayNotify = false;
  };

  /** Locks go with their transaction, with its savepoint, and with its first error. */
  const noteReleased = (connection: Connection, statement: string, outcome: Outcome): void => {
    if (!connection.isInTransaction || outcome.kind === 'failed' || /^rollback to/i.test(statement))
      released.add(connection.physical.pid);
  };

  async function rollBack(connection: Connection): Promise<void> {
    if (!connections.delete(connection)) return;
    holdWaiting();
    await server.reclaim(connection.physical);
    released.add(connection.physical.pid);
  }

  function abandon(connection: Connection): void {
    if (connection.isAbandoned) return;
    connection.isBroken = true;
    connection.isAbandoned = true;
    if (connection.waiting !== null) return;
    const delayMs = connection.isInTransaction && dice.chance(0.3) ? dice.integer(1, NOTICE_MS_MAX) : 0;
    if (delayMs > 0) marks.add('server noticed a lost client late');
    scheduler.enqueue({
      actor: postgres,
      label: 'session ends',
      delayMs,
      run: async () => {
        await rollBack(connection);
        await settleWaiting();
        return connection.actor.name;
      },
    });
  }

  async function execute(
    connection: Connection,
    statement: string,
    parameters: readonly unknown[],
  ): Promise<Outcome | null> {
    const verb = verbOf(statement);
    connection.lastStatementMicros = scheduler.clock.nowMicros();
    holdWaiting();
    const outcome = await connection.physical.run(statement, parameters, connection.unsent.splice(0));
    if (verb === 'begin' && outcome?.kind === 'done') begun(connection);
    if (verb === 'commit' || verb === 'rollback') connection.isInTransaction = false;
    if (!connection.isInTransaction) connection.decided = NOTHING_DECIDED;
    else if (outcome?.kind === 'done')
      connection.decided = both(connection.decided, decidedBy(statement, parameters, outcome.result));
    if (outcome !== null) {
      noteReleased(connection, statement, outcome);
      noteCommitted(connection, statement, outcome);
    }
    if (hasNotified) {
      hasNotified = false;
      await server.hear();
    }
    for (const notice of connection.physical.takeNotices()) onNotified(notice);
    await settleWaiting();
    return outcome;
  }

  function begun(connection: Connection): void {
    connection.isInTransaction = true;
    watchIdle(connection);
  }

  function watchIdle(connection: Connection): void {
    const idleMs = Number((scheduler.clock.nowMicros() - connection.lastStatementMicros) / 1_000n);
    scheduler.enqueue({
      actor: postgres,
      label: 'idle transaction ends',
      delayMs: Math.max(IDLE_IN_TRANSACTION_MS - idleMs, 1),
      run: async () => {
        if (connection.isAbandoned || !connection.isInTransaction) return null;
        const isIdle =
          scheduler.clock.nowMicros() - connection.lastStatementMicros >= BigInt(IDLE_IN_TRANSACTION_MS) * 1_000n;
        if (!isIdle || connection.waiting !== null) {
          watchIdle(connection);
          return null;
        }
        marks.add('idle transaction ended by the server');
        connection.isBroken = true;
        connection.isAbandoned = true;
        await rollBack(connection);
        await settleWaiting();
        return connection.actor.name;
      },
    });
  }

  /** The statement waits for a lock. */
  function wait(connection: Connection, statement: string, deliver: (outcome: Outcome) => string): void {
    const waiting = { statement, deliver, isCancelled: false };
    connection.waiting = waiting;
    scheduler.enqueue({
      actor: postgres,
      label: 'lock timeout',
      delayMs: LOCK_TIMEOUT_MS,
      run: async () => {
        if (connection.waiting !== waiting) return null;
        marks.add('lock timeout');
        waiting.isCancelled = true;
        holdWaiting();
        connection.physical.goOn();
        await connection.physical.cancel();
        released.add(connection.physical.pid);
        await settleWaiting();
        return connection.actor.name;
      },
    });
  }

  return {
    add: (connection) => void connections.add(connection),
    has: (connection) => connections.has(connection),
    of: (actor) => [...connections].filter((connection) => connection.actor === actor),
    underWay: () => [...connections].map(({ decided }) => decided).reduce(both, NOTHING_DECIDED),
    execute,
    wait,
    begun,
    abandon,
    end: async (connection) => {
      await rollBack(connection);
      await settleWaiting();
    },
    release: async () => {
      for (const { physical } of connections) physical.goOn();
      for (const connection of [...connections]) {
        await connection.physical.abandon();
        const { waiting, isAbandoned } = connection;
        connection.isBroken = true;
        connection.isAbandoned = true;
        connection.waiting = null;
        if (waiting === null || isAbandoned) continue;
        const error = new Error('Connection terminated unexpectedly');
        const run = (): string => waiting.deliver({ kind: 'failed', error });
        scheduler.enqueue({ actor: connection.actor, label: 'answer', run });
      }
      for (const connection of [...connections]) await rollBack(connection);
    },
  };
}

function both(one: Decided, other: Decided): Decided {
  return { tries: one.tries + other.tries, hashes: [...one.hashes, ...other.hashes] };
}

/** A cancelled wait as the server reports it when `lock_timeout` ends it. */
function lockTimeout(outcome: Outcome): Outcome {
  const error = new pg.DatabaseError('canceling statement due to lock timeout', 0, 'error');
  error.code = '55P03';
  return outcome.kind === 'failed' ? { kind: 'failed', error } : outcome;
}
