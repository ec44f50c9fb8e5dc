/** Whether PostgreSQL is one that money may be kept in: its settings, its schema, its clock, its room. Reads settings and catalogues, changes nothing. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { requireMigrated } from '../db/migrate.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { type Finding, fail, looked, ok, warn } from './finding.ts';

/** Reports of one server, as the check reads them; exported for what the judgement is tested with. */
export type ServerFacts = {
  readonly version: number;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly synchronousCommit: string;
  readonly encoding: string;
  readonly isStandby: boolean;
  readonly isReadOnly: boolean;
  readonly isSuperuser: boolean;
  readonly connectionsMax: number;
  readonly connectionsUsed: number;
  /** Among those that we are shown. */
  readonly oldestTransactionSeconds: number;
  /** Sessions of whose state the server shows us nothing: of other roles, unless ours is a member of pg_read_all_stats. */
  readonly sessionsHidden: number;
  /** Of the room for notifications, 0 to 1. */
  readonly notificationsShare: number;
};

const VERSION_MIN = 150_000;
const CONNECTIONS_OF_A_PROCESS = 50; // All lanes of one process with a few treasuries.
const CLOCK_WARN_MS = 1_000;
const CLOCK_FAIL_MS = 30_000;
const TRANSACTION_SECONDS_MAX = 600; // Behind one, vacuum removes nothing.
const NOTIFICATIONS_SHARE_MAX = 0.1; // Full, nobody can commit who tells of something. It is empty where all who listen read.

export async function checkDatabase(db: Database, { clock }: { readonly clock: Clock }): Promise<readonly Finding[]> {
  const away = 'Nothing works without it: is it up, is DATABASE_URL right, does it let us in?';
  const reached = await looked('database.reachable', away, async () => {
    const { rows } = await sql<{ version: string }>`SELECT current_setting('server_version') AS version`.execute(db);
    return [ok('database.reachable', `PostgreSQL ${rows[0]?.version ?? ''} answers`)];
  });
  if (reached.some(({ outcome }) => outcome === 'FAIL')) return reached;
  const rights = 'Give our role the rights on its own database.';
  return [
    ...reached,
    ...(await looked('database.settings', rights, async () => judgeServer(await readServer(db)))),
    ...(await checkSchema(db)),
    ...(await looked('database.clock', rights, async () => await checkClock(db, clock))),
    ...(await looked('database.size', rights, async () => await describeSize(db))),
  ];
}

async function readServer(db: Database): Promise<ServerFacts> {
  const { rows } = await sql<ServerFacts>`
    SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
      current_setting('full_page_writes') AS "fullPageWrites", current_setting('synchronous_commit') AS "synchronousCommit",
      current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS "isStandby",
      current_setting('transaction_read_only') = 'on' AS "isReadOnly",
      (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS "isSuperuser",
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS "connectionsMax",
      (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database) AS "connectionsUsed",
      (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::int FROM pg_stat_activity WHERE backend_type = 'client backend')
        AS "oldestTransactionSeconds",
      (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL AND backend_type IS NULL) AS "sessionsHidden",
      pg_notification_queue_usage() AS "notificationsShare"`.execute(db);
  const [facts] = rows;
  if (facts === undefined) throw new PermanentError('DB_NO_ANSWER', 'The database answered with nothing.');
  return facts;
}

/** Pure: what is to be thought of a server with these settings. */
export function judgeServer(facts: ServerFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const durable = 'What was confirmed to a customer may be gone after a power cut. Turn it on, and restart the server.';
  if (facts.version < VERSION_MIN)
    findings.push(fail('database.version', `${facts.version} is older than 15`, 'Move to PostgreSQL 15 or newer.'));
  if (facts.fsync !== 'on') findings.push(fail('database.fsync', `fsync is ${facts.fsync}`, durable));
  if (facts.fullPageWrites !== 'on')
    findings.push(fail('database.full_page_writes', `full_page_writes is ${facts.fullPageWrites}`, durable));
  if (facts.synchronousCommit === 'off')
    findings.push(
      fail(
        'database.synchronous_commit',
        'synchronous_commit is off',
        'A withdrawal that was accepted may be gone after a crash. Set it to on, for our role at least.',
      ),
    );
  if (facts.encoding !== 'UTF8')
    findings.push(
      fail('database.encoding', `its encoding is ${facts.encoding}`, 'Memos are Unicode: make a database with UTF8.'),
    );
  if (facts.isStandby || facts.isReadOnly)
    findings.push(
      fail(
        'database.writable',
        'it takes no writes',
        'Point DATABASE_URL at the primary: this one is a standby, or read-only.',
      ),
    );
  if (facts.isSuperuser)
    findings.push(
      warn(
        'database.role',
        'our role is a superuser',
        'Whoever breaks into Sluice has the whole server. Give it a role that owns its database and no more.',
      ),
    );
  const free = facts.connectionsMax - facts.connectionsUsed;
  if (free < CONNECTIONS_OF_A_PROCESS)
    findings.push(
      warn(
        'database.connections',
        `${free} of ${facts.connectionsMax} connections are free`,
        `A further process takes up to ${CONNECTIONS_OF_A_PROCESS}: raise max_connections, or have fewer processes.`,
      ),
    );
  if (facts.oldestTransactionSeconds > TRANSACTION_SECONDS_MAX)
    findings.push(
      warn(
        'database.old_transaction',
        `a transaction is open for ${facts.oldestTransactionSeconds} s`,
        'Behind it nothing is vacuumed: find it in pg_stat_activity by xact_start, and end it.',
      ),
    );
  if (facts.notificationsShare > NOTIFICATIONS_SHARE_MAX)
    findings.push(
      warn(
        'database.notifications',
        `${Math.floor(facts.notificationsShare * 100)} % of the room for notifications is taken`,
        'A session listens and does not read; once it is full nobody commits. docs/runbooks/database-away.md',
      ),
    );
  if (findings.length === 0) findings.push(ok('database.settings', 'durable, writable, with room for connections'));
  if (facts.sessionsHidden > 0 && facts.oldestTransactionSeconds <= TRANSACTION_SECONDS_MAX)
    findings.push(
      ok(
        'database.old_transaction',
        `not looked for in ${facts.sessionsHidden} sessions of other roles, which a member of pg_read_all_stats is shown`,
      ),
    );
  return findings;
}

async function checkSchema(db: Database): Promise<readonly Finding[]> {
  try {
    await requireMigrated(db);
    return [ok('database.schema', 'it is that of this version')];
  } catch (error) {
    const todo =
      error instanceof PermanentError && error.code === 'MIGRATION_PENDING'
        ? 'Run `sluice migrate`, or `sluice serve --migrate`.'
        : 'Run the version that this database was brought to, or a newer one; look at `sluice migrate --status`.';
    return [fail('database.schema', messageOf(error), todo)];
  }
}

async function checkClock(db: Database, clock: Clock): Promise<readonly Finding[]> {
  const before = clock.nowMicros();
  const { rows } = await sql<{ now: bigint }>`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now`.execute(db);
  const after = clock.nowMicros();
  const offsetMs = Number(((rows[0]?.now ?? 0n) - (before + after) / 2n) / 1_000n);
  const found = `the server's is ${Math.abs(offsetMs)} ms ${offsetMs < 0 ? 'behind' : 'ahead of'} ours`;
  const todo = 'Leases expire by the database’s clock and ages are told by ours: have both follow NTP.';
  if (Math.abs(offsetMs) > CLOCK_FAIL_MS) return [fail('clock.database', found, todo)];
  if (Math.abs(offsetMs) > CLOCK_WARN_MS) return [warn('clock.database', found, todo)];
  return [ok('clock.database', found)];
}

/** PostgreSQL tells nobody how much room its disk has left: that is for whoever runs it to watch. */
async function describeSize(db: Database): Promise<readonly Finding[]> {
  const { rows } = await sql<{ bytes: bigint }>`SELECT pg_database_size(current_database()) AS bytes`.execute(db);
  const mebibytes = (rows[0]?.bytes ?? 0n) / 1_048_576n;
  return [ok('database.size', `${mebibytes} MiB; how much room its disk has, only the server’s own machine knows`)];
}
