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
import { type Connection, createServerSide, NOTHING_DECIDED, NOTICE_MS_MAX } from './server-side.ts';
import { type Decided, isUnseen, labelOf, verbOf } from './statement-text.ts';
import { Violation } from './violation.ts';

export type DatabaseAccess = {
  /** A pool of a process; its timeouts are virtual. */
  open(actor: Actor, options: { readonly poolSize: number; readonly logger: Logger }): Database;
  /** Hints of committed transactions, for the processes' loops. */
  notificationsOf(actor: Actor): Notifications;
  /** The process is gone: its connections break. */
  cut(actor: Actor): void;
  /** What transactions have decided that are not over. */
  underWay(): Decided;
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

const SLOW_MS_MAX = 3_000;
/** What a server may answer to any statement: serialization failure, deadlock, cancelled, no memory, shutting down. */
const SERVER_ERRORS = ['40001', '40P01', '57014', '53200'];

/** How often a statement that nobody sees is a step of its own all the same, with all that may happen to it. */
const SPELT_OUT = 0.1;
/** What is told of such a one. */
const NOTHING: pg.QueryResult = { command: '', rowCount: null, oid: 0, fields: [], rows: [] };

export function createDatabaseAccess(options: DatabaseAccessOptions): DatabaseAccess {
  const { scheduler, server, faults, dice, marks, onCrash, onPause, onViolation, connectionString } = options;
  const hints = createHints({ scheduler, faults, dice, marks });
  const postgres = scheduler.createActor('postgres');
  const side = createServerSide({ ...options, postgres, onNotified: hints.give });

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
      side.abandon(connection);
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
          if (!side.has(connection)) return null;
          const outcome = await side.execute(connection, statement, parameters);
          if (outcome === null) {
            side.wait(connection, statement, deliver);
            return 'waits';
          }
          await side.end(connection);
          return outcome.kind;
        },
      });
      return 'late';
    }
    const isRefused = verbOf(statement) !== 'rollback' && faults.strikes('statementError');
    const outcome = isRefused
      ? await side.execute(connection, refusal(dice.pick(SERVER_ERRORS)), [])
      : await side.execute(connection, statement, parameters);
    if (isRefused) {
      marks.add('statement refused');
      // A COMMIT that fails ends its transaction.
      if (verbOf(statement) === 'commit') await side.execute(connection, 'rollback', []);
    }
    if (outcome === null) {
      marks.add('statement waited for a lock');
      side.wait(connection, statement, deliver);
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
        giveUp: side.abandon,
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
      for (const connection of side.of(actor)) side.abandon(connection);
      hints.forget(actor);
    },
    underWay: side.underWay,
    release: side.release,
  };

  /** Makes a statement an operation of the scheduler. */
  function send(connection: Connection, statement: string, parameters: readonly unknown[]): Promise<pg.QueryResult> {
    const { actor } = connection;
    if (isUnseen(statement) && !connection.isBroken && !dice.chance(SPELT_OUT)) {
      connection.unsent.push(statement);
      if (verbOf(statement) === 'begin') {
        connection.lastStatementMicros = scheduler.clock.nowMicros();
        side.begun(connection);
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
      mayNotify: false,
      decided: NOTHING_DECIDED,
      isAbandoned: false,
      waiting: null,
      lastStatementMicros: 0n,
      unsent: [],
    };
    side.add(connection);
    return connection;
  }
}

/** A statement that fails on the server with that code, so that what follows from it (an aborted transaction) is real. */
function refusal(sqlState: string): string {
  return `DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '${sqlState}'; END $$`;
}
