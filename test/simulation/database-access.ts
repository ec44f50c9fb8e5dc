/**
 * The database as a simulated process reaches it: the project's own connection layer over connections whose statements the scheduler releases one at a time.
 * Between a statement and its answer anything may happen that happens to real connections; what the server does about it, the real server does.
 */
import pg from 'pg';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import type { Notifications } from '../../src/db/notifications.ts';
import type { Logger } from '../../src/env/logger.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import { createHints } from './hints.ts';
import type { Marks } from './marks.ts';
import { createProcessPool } from './process-pool.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import type { Outcome, ServerSession, ServerSessions } from './server-sessions.ts';
import { isUnseen, labelOf, mayHaveChanged, verbOf } from './statement-text.ts';
import { Violation } from './violation.ts';

export type DatabaseAccess = {
  /** A pool of a process; its timeouts are virtual. */
  open(actor: Actor, options: { readonly poolSize: number; readonly logger: Logger }): Database;
  /** Hints of committed transactions, for the processes' loops. */
  notificationsOf(actor: Actor): Notifications;
  /** The process is gone: its connections break. */
  cut(actor: Actor): void;
  /** Gives all sessions back, whatever runs on them: at the end of a schedule, and when the server goes away under its clients. */
  release(): Promise<void>;
};

export type DatabaseAccessOptions = {
  readonly connectionString: string;
  readonly scheduler: Scheduler;
  readonly server: ServerSessions;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  /** The process dies here. */
  readonly onCrash: (actor: Actor) => void;
  /** The process stops here for a while. */
  readonly onPause: (actor: Actor) => void;
  /** After every transaction that the server committed. */
  readonly onCommitted: () => Promise<void>;
  readonly onViolation: (violation: Violation) => void;
  /** Told instead of PostgreSQL's own, which never falls. Left out: that. */
  readonly walPosition?: () => bigint;
};

/** One connection as its process sees it. */
type Connection = {
  readonly actor: Actor;
  readonly physical: ServerSession;
  isBroken: boolean;
  isInTransaction: boolean;
  /** Whether its transaction, so far, may have changed what an invariant is about. */
  hasChanged: boolean;
  /** Nothing of the process waits for the statement any more; the server has yet to find out. */
  isAbandoned: boolean;
  /** A statement that waits for a lock, and what to do with its outcome. */
  waiting: { readonly statement: string; readonly deliver: (outcome: Outcome) => string; isCancelled: boolean } | null;
  lastStatementMicros: bigint;
  /** Statements that the process believes carried out, and that go to the server with the next one. */
  readonly unsent: string[];
  channels: Set<string>;
};

const LOCK_TIMEOUT_MS = 5_000; // As src/db/connection.ts sets it.
const IDLE_IN_TRANSACTION_MS = 30_000; // Likewise.
const SLOW_MS_MAX = 3_000;
const NOTICE_MS_MAX = 20_000; // Until a server learns that its client is gone.
/** What a server may answer to any statement: serialization failure, deadlock, cancelled, no memory, shutting down. */
const SERVER_ERRORS = ['40001', '40P01', '57014', '53200'];

/** How often a statement that nobody sees is a step of its own all the same, with all that may happen to it. */
const SPELT_OUT = 0.1;
/** What is told of such a one. */
const NOTHING: pg.QueryResult = { command: '', rowCount: null, oid: 0, fields: [], rows: [] };

export function createDatabaseAccess(options: DatabaseAccessOptions): DatabaseAccess {
  const { scheduler, server, faults, dice, marks, onCrash, onPause, onCommitted, onViolation, connectionString } =
    options;
  const connections = new Set<Connection>();
  const hints = createHints({ scheduler, faults, dice });
  const postgres = scheduler.createActor('postgres');
  let isCommitted = false;
  /** Server processes that have let go of locks since somebody last looked who waits for them. */
  const released = new Set<number>();

  /** Lets the statements go on that wait for locks which were released, as far as they come. In the order they began to wait. */
  async function settleWaiting(): Promise<void> {
    while (released.size > 0) {
      const recently = new Set(released);
      released.clear();
      for (const connection of [...connections]) {
        const { waiting } = connection;
        if (waiting === null || !(waiting.isCancelled || connection.physical.waitsFor(recently))) continue;
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
    if (isCommitted) {
      isCommitted = false;
      await onCommitted();
    }
  }

  const noteCommitted = (connection: Connection, statement: string, outcome: Outcome): void => {
    if (outcome.kind !== 'done') return;
    connection.hasChanged ||= mayHaveChanged(statement, outcome.result);
    if (connection.isInTransaction) return;
    isCommitted ||= connection.hasChanged && verbOf(statement) !== 'rollback';
    connection.hasChanged = false;
  };

  /** Locks go with their transaction, with its savepoint, and with its first error. */
  const noteReleased = (connection: Connection, statement: string, outcome: Outcome): void => {
    if (!connection.isInTransaction || outcome.kind === 'failed' || /^rollback to/i.test(statement))
      released.add(connection.physical.pid);
  };

  async function rollBack(connection: Connection): Promise<void> {
    if (!connections.delete(connection)) return;
    await server.reclaim(connection.physical);
    released.add(connection.physical.pid);
  }

  /** The client's end is gone. The server notices now or later, and until then locks stay. */
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

  /** Carries the statement out and keeps the books on the transaction. @returns null while it waits for a lock. */
  async function execute(
    connection: Connection,
    statement: string,
    parameters: readonly unknown[],
  ): Promise<Outcome | null> {
    const verb = verbOf(statement);
    connection.lastStatementMicros = scheduler.clock.nowMicros();
    const outcome = await connection.physical.run(statement, parameters, connection.unsent.splice(0));
    if (verb === 'begin' && outcome?.kind === 'done') begun(connection);
    if (verb === 'commit' || verb === 'rollback') connection.isInTransaction = false;
    if (statement.includes('pg_notify')) {
      for (const parameter of parameters) if (typeof parameter === 'string') connection.channels.add(parameter);
    }
    if (outcome !== null) {
      noteReleased(connection, statement, outcome);
      noteCommitted(connection, statement, outcome);
    }
    if (outcome?.kind === 'done' && !connection.isInTransaction) {
      if (verb !== 'rollback') for (const channel of connection.channels) hints.give(channel);
      connection.channels.clear();
    }
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

  function watchLock(connection: Connection): void {
    const { waiting } = connection;
    scheduler.enqueue({
      actor: postgres,
      label: 'lock timeout',
      delayMs: LOCK_TIMEOUT_MS,
      run: async () => {
        if (waiting === null || connection.waiting !== waiting) return null;
        marks.add('lock timeout');
        waiting.isCancelled = true;
        await connection.physical.cancel();
        released.add(connection.physical.pid);
        await settleWaiting();
        return connection.actor.name;
      },
    });
  }

  /** One statement of a process, from its release to its answer. */
  async function release(
    connection: Connection,
    statement: string,
    parameters: readonly unknown[],
    answer: { readonly resolve: (result: pg.QueryResult) => void; readonly reject: (error: unknown) => void },
  ): Promise<string> {
    const { actor } = connection;
    const deliver = (outcome: Outcome): string => {
      if (outcome.kind === 'done') {
        const [row] = outcome.result.rows;
        if (row !== undefined && 'walPosition' in row) row.walPosition = options.walPosition?.() ?? row.walPosition;
        answer.resolve(outcome.result);
        return `ok ${outcome.result.rowCount ?? '-'}`;
      }
      answer.reject(outcome.error);
      return `failed ${outcome.error instanceof pg.DatabaseError ? outcome.error.code : String(outcome.error)}`;
    };
    const isCommit = verbOf(statement) === 'commit';
    const lose = (): void => {
      abandon(connection);
      answer.reject(new Error('Connection terminated unexpectedly'));
    };

    if (connection.isBroken) {
      answer.reject(new Error('Client has encountered a connection error and is not queryable'));
      return 'broken';
    }
    if (faults.strikes('crashAtStatement')) {
      marks.add('crash before a statement');
      onCrash(actor);
      return 'crash before';
    }
    if (faults.strikes('connectionCut')) {
      marks.add('connection cut');
      if (isCommit) marks.add('commit unknown, and not committed');
      lose();
      return 'cut';
    }
    if (faults.strikes('lateStatement') || (isCommit && faults.strikes('lateCommit'))) {
      marks.add(`late ${verbOf(statement)}`);
      connection.isBroken = true;
      connection.isAbandoned = true;
      answer.reject(new Error('Query read timeout'));
      scheduler.enqueue({
        actor: postgres,
        label: `late ${labelOf(statement)}`,
        delayMs: dice.integer(1, NOTICE_MS_MAX),
        run: async () => {
          if (!connections.has(connection)) return null;
          const outcome = await execute(connection, statement, parameters);
          if (outcome === null) {
            connection.waiting = { statement, deliver, isCancelled: false };
            watchLock(connection);
            return 'waits';
          }
          await rollBack(connection);
          await settleWaiting();
          return outcome.kind;
        },
      });
      return 'late';
    }
    const isRefused = verbOf(statement) !== 'rollback' && faults.strikes('statementError');
    const outcome = isRefused
      ? await execute(connection, refusal(dice.pick(SERVER_ERRORS)), [])
      : await execute(connection, statement, parameters);
    if (isRefused) {
      marks.add('statement refused');
      // A COMMIT that fails ends its transaction.
      if (verbOf(statement) === 'commit') await execute(connection, 'rollback', []);
    }
    if (outcome === null) {
      marks.add('statement waited for a lock');
      connection.waiting = { statement, deliver, isCancelled: false };
      watchLock(connection);
      return 'waits';
    }
    if (faults.strikes('crashAtStatement')) {
      marks.add(`crash after a ${verbOf(statement)}`);
      onCrash(actor);
      return 'crash after';
    }
    if (faults.strikes('answerLost') || (isCommit && faults.strikes('commitAnswerLost'))) {
      marks.add(`answer of a ${verbOf(statement)} lost`);
      if (isCommit && outcome.kind === 'done') marks.add('commit unknown, and committed');
      lose();
      return 'answer lost';
    }
    return deliver(outcome);
  }

  return {
    open: (actor, { poolSize, logger }) => {
      const { db, pool } = createDatabase({
        connectionString,
        applicationName: `simulation-${actor.name}`,
        poolSizeMax: poolSize,
        logger,
        keepsStatements: false, // The sessions of the server keep them all, across processes.
      });
      const take = createProcessPool<Connection>({
        actor,
        size: poolSize,
        scheduler,
        marks,
        connect: async () => await connect(actor),
        isSpent: (connection) => connection.isBroken,
        giveUp: abandon,
        serve: (connection) => ({
          // Whether the driver is to keep it makes no difference here: all are kept.
          query: (asked, parameters = []) =>
            typeof asked === 'string'
              ? send(connection, asked, parameters)
              : send(connection, asked.text, asked.values ?? parameters),
          onRelease: (isDestroyed) => {
            if (!connection.isBroken && !isDestroyed && connection.isInTransaction) {
              onViolation(new Violation('connection returned inside a transaction', { actor: actor.name }));
            }
          },
        }),
      });
      // The pool's own connections are never made: these stand in their place, below the project's connection layer.
      Object.assign(pool, { connect: take });
      return db;
    },
    notificationsOf: hints.notificationsOf,
    cut: (actor) => {
      for (const connection of [...connections]) if (connection.actor === actor) abandon(connection);
      hints.forget(actor);
    },
    release: async () => {
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

  /** Makes a statement an operation of the scheduler. */
  function send(connection: Connection, statement: string, parameters: readonly unknown[]): Promise<pg.QueryResult> {
    const { actor } = connection;
    if (isUnseen(statement) && !connection.isBroken && !dice.chance(SPELT_OUT)) {
      connection.unsent.push(statement);
      if (verbOf(statement) === 'begin') {
        connection.lastStatementMicros = scheduler.clock.nowMicros();
        begun(connection);
      }
      return Promise.resolve(NOTHING);
    }
    const label = labelOf(statement);
    return new Promise((resolve, reject) => {
      const run = async (): Promise<string> => {
        if (faults.strikes('pauseAtStatement')) {
          marks.add('paused before a statement');
          onPause(actor);
          scheduler.enqueue({ actor, label, run });
          return 'paused';
        }
        return await release(connection, statement, parameters, { resolve, reject });
      };
      scheduler.enqueue({ actor, label, delayMs: slowness(), run });
    });
  }

  function slowness(): number {
    return faults.strikes('slowStatement') ? dice.integer(1, SLOW_MS_MAX) : 0;
  }

  async function connect(actor: Actor): Promise<Connection> {
    await scheduler.reach(actor, 'connect', slowness());
    if (faults.strikes('connectRefused')) {
      marks.add('connection refused');
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' });
    }
    const { promise, resolve, reject } = Promise.withResolvers<ServerSession>();
    // Inside an operation, so that nothing else happens while the server takes its time.
    scheduler.enqueue({
      actor,
      label: 'session',
      run: async () => {
        await server.open().then(resolve, reject);
        return '';
      },
    });
    const connection: Connection = {
      actor,
      physical: await promise,
      isBroken: false,
      isInTransaction: false,
      hasChanged: false,
      isAbandoned: false,
      waiting: null,
      lastStatementMicros: 0n,
      unsent: [],
      channels: new Set(),
    };
    connections.add(connection);
    return connection;
  }
}

/** A statement that fails on the server with that code, so that what follows from it (an aborted transaction) is real. */
function refusal(sqlState: string): string {
  return `DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '${sqlState}'; END $$`;
}

/** A cancelled wait as the server reports it when `lock_timeout` ends it. */
function lockTimeout(outcome: Outcome): Outcome {
  const error = new pg.DatabaseError('canceling statement due to lock timeout', 0, 'error');
  error.code = '55P03';
  return outcome.kind === 'failed' ? { kind: 'failed', error } : outcome;
}
