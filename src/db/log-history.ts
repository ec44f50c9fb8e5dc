/**
 * Whether the database is still the one that the event log was written in. A restored backup, a copy and a standby that lacked the last commits look like any other database, and would go on
 * numbering from where they stand: a cursor from before would then name another event. So the log carries the history it was written in, and whoever numbers carries the last it saw:
 *
 *   another history        another cluster, timeline, database or table: restored from a dump or to a point in time, or failed over. PostgreSQL itself tells.
 *   the same, and earlier  a copy of the files put back. Nothing inside tells; what was seen of it outside does: a position, or a place in the write-ahead log, that is not there any more.
 *
 * Then the log gets a new epoch *before* anything is numbered, so that all that stands in it is common to both epochs: a cursor from before is good up to there and refused beyond, with the
 * place to resume from. Rows of ours that say what was signed may be gone as well, so all payouts freeze until somebody has looked (docs/decisions/0004-a-database-that-went-back.md).
 */
import { sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { AuditMark } from './audit-head.ts';
import type { Database, Transaction } from './connection.ts';
import { DEFAULT_RESTORE_WINDOW, noteRestore, type RestoreWindow } from './database-restore.ts';
import type { JsonValue } from './event-log.ts';

/** The log as somebody saw it. */
export type LogMark = {
  readonly epoch: string;
  /** Of the newest event. */
  readonly position: bigint;
  /** System identifier, timeline, database and table, in PostgreSQL's own numbers. */
  readonly history: string;
  /** Bytes of write-ahead log that were on disk: in one history it never falls. */
  readonly walPosition: bigint;
};

/** What a process has seen of the log: outside the database, so that it is still there when the database goes back. */
export type LogMemory = {
  known(): LogMark | null;
  note(mark: LogMark): void;
  /** What the keeper read when the log was last seen; null: unknown. */
  kept(): JsonValue;
  noteKept(kept: JsonValue): void;
  /** The head of the audit chain when it was last seen; null: unknown. */
  audit(): AuditMark | null;
  noteAudit(mark: AuditMark | null): void;
  readonly keeper: Keeper | null;
  readonly window: RestoreWindow;
};

/** Keeps something of the database outside of it that must not be lost when it goes back, and puts it back then. */
export type Keeper = {
  read(db: Database): Promise<JsonValue>;
  /** @returns what of it was missing, for people. Harmless when repeated. */
  putBack(tx: Transaction, kept: JsonValue): Promise<JsonValue>;
};

/** @param kept what the keeper read, and `audit` the head of the audit, in an earlier life of this process. */
export function createLogMemory(
  known: LogMark | null = null,
  {
    kept = null,
    audit = null,
    keeper = null,
    window = DEFAULT_RESTORE_WINDOW,
  }: {
    readonly kept?: JsonValue;
    readonly audit?: AuditMark | null;
    readonly keeper?: Keeper | null;
    readonly window?: RestoreWindow;
  } = {},
): LogMemory {
  let mark = known;
  let lastKept = kept;
  let lastAudit = audit;
  return {
    known: () => mark,
    note: (seen) => {
      mark = seen;
    },
    kept: () => lastKept,
    noteKept: (seen) => {
      lastKept = seen;
    },
    audit: () => lastAudit,
    noteAudit: (seen) => {
      lastAudit = seen;
    },
    keeper,
    window,
  };
}

/** What stood still when the log was last seen, put back where it is missing. */
async function putBackKept(tx: Transaction, memory: LogMemory): Promise<JsonValue> {
  const kept = memory.kept();
  return memory.keeper === null || kept === null ? null : await memory.keeper.putBack(tx, kept);
}

export type LogDoubt = 'HISTORY_CHANGED' | 'WENT_BACK';

export type LogState = LogMark & {
  /** What the log was written in; null: never noted. */
  readonly recordedHistory: string | null;
  /** Whether the epoch that was asked about is one of the log's that has ended. */
  readonly hasEnded: boolean;
};

/** @returns null where nothing speaks against `state` being what became of `known`. */
export function doubtOf(state: LogState, known: LogMark | null): LogDoubt | null {
  if (state.recordedHistory !== null && state.recordedHistory !== state.history) return 'HISTORY_CHANGED';
  if (known === null) return null;
  // Somebody has looked into it since, unless that epoch is unknown here: then what is here is from before it.
  if (state.epoch !== known.epoch) return state.hasEnded ? null : 'WENT_BACK';
  // Nobody had written down there what it was written in: it is not what was seen all the same.
  if (state.history !== known.history) return 'HISTORY_CHANGED';
  if (state.position < known.position) return 'WENT_BACK';
  return state.walPosition < known.walPosition ? 'WENT_BACK' : null;
}

export type LogHistoryEnv = {
  readonly memory: LogMemory;
  readonly random: Random;
  readonly logger: Logger;
  readonly nowMicros: Micros;
};

/** As {@link keepLogHistory}, for whoever holds no lock. Where all is well it only reads. @returns whether it is what was known. */
export async function checkLogHistory(db: Database, env: LogHistoryEnv): Promise<boolean> {
  const known = env.memory.known();
  const state = await readState(db, known);
  if (state === null) return false;
  if (state.recordedHistory !== null && doubtOf(state, known) === null && (known ?? state).epoch === state.epoch) {
    env.memory.note(state);
    return true;
  }
  if (!(await mayNote(db))) return leaveToOthers(state, env.memory);
  return await db.transaction().execute(async (tx) => {
    await sql`SELECT last_position FROM event_log FOR UPDATE`.execute(tx);
    return await keepLogHistory(tx, env);
  });
}

/** Whether our role is one that may; one that only reads may not. */
async function mayNote(db: Database): Promise<boolean> {
  const { rows } = await sql<{
    mayNote: boolean;
  }>`SELECT has_table_privilege('event_log', 'UPDATE') AS "mayNote"`.execute(db);
  return rows[0]?.mayNote === true;
}

/** @returns whether it is what was known. @throws RetryableError DB_IN_DOUBT until somebody has noted that it is not. */
function leaveToOthers(state: LogState, memory: LogMemory): boolean {
  const known = memory.known();
  if (doubtOf(state, known) !== null) {
    throw new RetryableError(
      'DB_IN_DOUBT',
      'The database is not the one that was there before, and our role may not note it: a worker does.',
    );
  }
  memory.note(state);
  return known === null || known.epoch === state.epoch;
}

/**
 * The last look before something is promised or signed: the database is the one that this process has seen, or somebody who knows better has noted that it is not. Between a restore and its being noticed
 * lies up to a second.
 * @throws RetryableError DB_IN_DOUBT
 */
export async function demandKnownLog(db: Database | Transaction, memory: LogMemory): Promise<void> {
  // Read before the statement that is compared with it: what is noted meanwhile may be newer than what that one sees.
  const known = memory.known();
  const state = await readState(db, known);
  if (state === null || state.recordedHistory === null || doubtOf(state, known) === null) return;
  throw new RetryableError(
    'DB_IN_DOUBT',
    'The database is not the one that was there before. Nothing is promised until that has been noted.',
  );
}

/** Gives the log a new epoch where it is not what `memory` knows, or not written in this history. Only under the row lock of `event_log`, taken by a statement before. @returns whether it is what was known. */
export async function keepLogHistory(
  tx: Transaction,
  { memory, random, logger, nowMicros }: LogHistoryEnv,
): Promise<boolean> {
  const known = memory.known();
  const state = await readState(tx, known);
  if (state === null) return false;
  const doubt = doubtOf(state, known);
  if (doubt === null) {
    // Somebody else noticed, who may not have known what must not move.
    if (known !== null && known.epoch !== state.epoch) await putBackKept(tx, memory);
    if (state.recordedHistory === null) await tx.updateTable('event_log').set({ history: state.history }).execute();
    memory.note(state);
    return known === null || known.epoch === state.epoch;
  }
  const detail =
    doubt === 'HISTORY_CHANGED'
      ? `The log was written in ${state.recordedHistory ?? known?.history}, this is ${state.history}.`
      : `Position ${known?.position} of epoch ${known?.epoch} had been seen, with ${known?.walPosition} bytes of write-ahead log; here it ends at ${state.position} of ${state.epoch}, with ${state.walPosition}.`;
  const epoch = await beginEpoch(tx, state, {
    reason: doubt,
    detail,
    by: 'event-log',
    random,
    nowMicros,
    window: memory.window,
    putBack: async () => await putBackKept(tx, memory),
    lostEvents: known !== null && known.position > state.position ? known.position - state.position : null,
  });
  logger.error(
    'The database went back in time, or is another one: the event log has a new epoch, payouts are frozen.',
    {
      reason: doubt,
      detail,
      epoch,
      sharedPosition: state.position,
    },
  );
  memory.note({ ...state, epoch });
  return false;
}

/** An operator knows it without us. @returns the new epoch. */
export async function renewLogEpoch(
  db: Database,
  operator: {
    readonly by: string;
    readonly why: string;
    readonly random: Random;
    readonly nowMicros: Micros;
    readonly window: RestoreWindow;
  },
): Promise<string | null> {
  return db.transaction().execute(async (tx) => {
    await sql`SELECT last_position FROM event_log FOR UPDATE`.execute(tx);
    const state = await readState(tx, null);
    if (state === null) return null;
    return beginEpoch(tx, state, {
      ...operator,
      reason: 'OPERATOR',
      detail: operator.why,
      putBack: async () => null,
      lostEvents: null,
    });
  });
}

async function beginEpoch(
  tx: Transaction,
  state: LogState,
  end: {
    readonly reason: LogDoubt | 'OPERATOR';
    readonly detail: string;
    readonly by: string;
    readonly random: Random;
    readonly nowMicros: Micros;
    readonly window: RestoreWindow;
    readonly putBack: () => Promise<JsonValue>;
    readonly lostEvents: bigint | null;
  },
): Promise<string> {
  const epoch = end.random.uuid().replaceAll('-', '');
  const { position } = state;
  // What an older one shared with the epoch that ends, it shares with the new one as far as that reaches.
  await sql`UPDATE event_log_epoch SET shared_position = least(shared_position, ${position}::bigint)`.execute(tx);
  await tx
    .insertInto('event_log_epoch')
    .values({
      epoch: state.epoch,
      shared_position: position,
      reason: end.reason,
      history_before: state.recordedHistory,
      history_after: state.history,
      detail: end.detail,
      ended_at: end.nowMicros,
    })
    .execute();
  await tx.updateTable('event_log').set({ epoch, history: state.history }).execute();
  const { detail, by, nowMicros, window, putBack, lostEvents } = end;
  const cause = `event-log:${epoch}`;
  await noteRestore(tx, { cause, treasuryId: null, detail, by, nowMicros, window, putBack, lostEvents });
  return epoch;
}

/** How far an epoch that has ended is also the present one; null: no epoch of this log. */
export async function sharedPositionOf(db: Database, epoch: string): Promise<bigint | null> {
  const row = await db
    .selectFrom('event_log_epoch')
    .select('shared_position')
    .where('epoch', '=', epoch)
    .executeTakeFirst();
  return row?.shared_position ?? null;
}

/**
 * @returns null on a standby, which numbers nothing.
 * @see PostgreSQL 18 documentation, "Control Data Functions" and "Backup Control Functions": a timeline begins with every promotion and every recovery to a point in time; it is the first
 * eight digits of the name of a segment of the write-ahead log. The checkpoint in the control file may still name the timeline before.
 */
async function readState(db: Database | Transaction, known: LogMark | null): Promise<LogState | null> {
  const { rows } = await sql<LogState & { readonly isStandby: boolean }>`
    SELECT log.epoch, log.last_position AS position, log.history AS "recordedHistory", pg_is_in_recovery() AS "isStandby",
      CASE WHEN pg_is_in_recovery() THEN '' ELSE concat_ws('.',
        (SELECT system_identifier FROM pg_control_system()),
        substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        log.tableoid) END AS history,
      CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END AS "walPosition",
      EXISTS (SELECT FROM event_log_epoch AS ended WHERE ended.epoch = ${known?.epoch ?? ''}) AS "hasEnded"
    FROM event_log AS log`.execute(db);
  const [row] = rows;
  return row === undefined || row.isStandby ? null : row;
}
