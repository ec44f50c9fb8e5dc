/**
 * What a database suffers from slowly, and stops working of: transaction numbers that run out because vacuum does not keep up, dead rows, transactions that nobody ends, write-ahead log that is
 * kept for a standby which is gone. Nothing here repairs; it is for people and their alerts.
 */
import { sql } from 'kysely';
import type { Database } from './connection.ts';

/** What is measured, each with the limit past which somebody should look. */
export type HealthCheck = {
  readonly name:
    | 'transaction-ids'
    | 'multixact-ids'
    | 'oldest-transaction'
    | 'dead-rows'
    | 'retained-wal'
    | 'connections';
  /** In `unit`, of the worst there is. */
  readonly value: number;
  readonly limit: number;
  readonly unit: '%' | 's' | 'MiB';
  /** Which table, session or slot, and what could not be looked at; null where there is none. */
  readonly where: string | null;
  /** For people. */
  readonly meaning: string;
};

export type HealthLimits = Readonly<Record<HealthCheck['name'], number>>;

export const HEALTH_LIMITS: HealthLimits = {
  'transaction-ids': 30, // % of the 2^31 there are. Autovacuum begins at 10, PostgreSQL refuses writes near 100.
  'multixact-ids': 30,
  'oldest-transaction': 3_600, // Seconds. Nothing of ours takes longer than a rebuild; while it is open no dead row can go.
  'dead-rows': 50, // % of the rows of a table with more than DEAD_ROWS_MIN of them.
  'retained-wal': 10_240, // MiB kept for a slot that does not advance: the disk is what ends it.
  connections: 85, // % of max_connections.
};

const DEAD_ROWS_MIN = 10_000; // In a small table a share says nothing.

const MEANINGS: Readonly<Record<HealthCheck['name'], string>> = {
  'transaction-ids': 'of the transaction numbers are used up since the oldest row that is not frozen',
  'multixact-ids': 'of the numbers of shared row locks are used up since the oldest that is not frozen',
  'oldest-transaction': 'is how long the oldest transaction is open; until it ends no dead row goes away',
  'dead-rows': 'of a table’s rows are dead',
  'retained-wal': 'of write-ahead log are kept for a replication slot',
  connections: 'of the connections are in use',
};

/** @returns every check, in the order of their names in {@link HEALTH_LIMITS}. On a standby, slots of its own only. */
export async function readDatabaseHealth(
  db: Database,
  limits: HealthLimits = HEALTH_LIMITS,
): Promise<readonly HealthCheck[]> {
  const { rows } = await sql<{ name: HealthCheck['name']; value: number; where: string | null }>`
    (SELECT 'transaction-ids' AS name, (100 * age(datfrozenxid) / 2147483648.0)::float8 AS value, datname::text AS "where"
       FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1)
    UNION ALL (SELECT 'multixact-ids', (100 * mxid_age(datminmxid) / 2147483648.0)::float8, datname::text
       FROM pg_database ORDER BY mxid_age(datminmxid) DESC LIMIT 1)
    UNION ALL (SELECT 'oldest-transaction', extract(epoch FROM clock_timestamp() - xact_start)::float8, format('%s (pid %s, %s)', application_name, pid, state)
       FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY xact_start LIMIT 1)
    UNION ALL (SELECT 'dead-rows', (100.0 * n_dead_tup / (n_live_tup + n_dead_tup))::float8, relid::regclass::text
       FROM pg_stat_user_tables WHERE n_dead_tup >= ${DEAD_ROWS_MIN}::int ORDER BY 2 DESC LIMIT 1)
    UNION ALL (SELECT 'retained-wal', (pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn) / 1048576)::float8,
         slot_name::text
       FROM pg_replication_slots WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1)
    UNION ALL (SELECT 'connections', (100.0 * sum(numbackends) / current_setting('max_connections')::int)::float8, NULL FROM pg_stat_database)`.execute(
    db,
  );
  // The server shows the state of a session to its own role, and to members of pg_read_all_stats.
  const { rows: unseen } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM pg_stat_activity WHERE datid IS NOT NULL AND backend_type IS NULL`.execute(db);
  const hidden = unseen[0]?.count ?? 0;
  const noted = hidden === 0 ? null : `${hidden} sessions of other roles are not shown to ours: pg_read_all_stats`;
  const names: readonly HealthCheck['name'][] = [
    'transaction-ids',
    'multixact-ids',
    'oldest-transaction',
    'dead-rows',
    'retained-wal',
    'connections',
  ];
  return names.map((name) => {
    const found = rows.find((row) => row.name === name);
    const unseenToo = name === 'oldest-transaction' ? noted : null;
    const where = [found?.where ?? null, unseenToo].filter((each) => each !== null).join('; ');
    const unit = name === 'oldest-transaction' ? 's' : name === 'retained-wal' ? 'MiB' : '%';
    const common = { name, limit: limits[name], unit, meaning: MEANINGS[name] } as const;
    return { ...common, value: found?.value ?? 0, where: where === '' ? null : where };
  });
}

export const isUnwell = ({ value, limit }: HealthCheck): boolean => value > limit;
