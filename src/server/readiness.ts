/**
 * Whether work may be sent to this process, and what is in the way in words: the same for people and for probes.
 *
 * How old the ledger's data is counts for a worker only. A process with an API goes on to answer while every participant is away, and says with each answer how old it is: were it taken out of the
 * balancer with all the others, nobody would be told anything. What counts there is whether this process keeps up with the log that the others write.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { requireMigrated } from '../db/migrate.ts';
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { readIngestionStreams } from '../read/ingestion-streams.ts';

export type ReadinessCheck = {
  readonly name: 'running' | 'database' | 'schema' | 'log' | 'ingestion';
  /** `later`: it is not as it should be, and does not keep this process from being sent work. */
  readonly state: 'ok' | 'no' | 'later';
  /** For people; no address, no name of a user, no text of somebody else's error. */
  readonly detail: string;
};

export type Readiness = { readonly isReady: boolean; readonly checks: readonly ReadinessCheck[] };

export type ReadinessOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null while the process starts. */
  readonly parts: () => ReadinessParts | null;
  readonly isStopping: () => boolean;
  /** Whether it answers requests. */
  readonly isApi: boolean;
  readonly lagSecondsMax: number;
};

export type ReadinessParts = {
  /** A connection of its own: a flood of work must not look like a database that is away, or the balancer takes it to the next process, and from there to all. */
  readonly db: Database;
  /** The newest position of the log that this process has seen. */
  readonly seen: () => bigint;
};

const ANSWER_MS_MAX = 2_000; // Probes give up after a second or a few; nobody waits longer for a yes.
const LOG_LAG_MS_MAX = 10_000; // The log is looked at four times a second.

/** @returns a probe. Any number at once cost one look. */
export function createReadiness(options: ReadinessOptions): () => Promise<Readiness> {
  const { clock, logger, isStopping } = options;
  let isSchemaKnown = false;
  /** Since when this process has not reached a position that it knew was there. */
  let behind: { readonly position: bigint; readonly since: Micros } | null = null;
  let looking: Promise<readonly ReadinessCheck[]> | null = null;

  async function look({ db, seen }: ReadinessParts): Promise<readonly ReadinessCheck[]> {
    const checks: ReadinessCheck[] = [];
    await sql`SELECT 1`.execute(db);
    checks.push({ name: 'database', state: 'ok', detail: 'It answers.' });
    const schema = await lookAtSchema(db);
    checks.push(schema);
    // The rest is in tables that may not be there.
    if (schema.state === 'no') return checks;
    checks.push(await lookAtLog(db, seen()));
    checks.push(await lookAtIngestion(db));
    return checks;
  }

  /** Once it fits it goes on to: migrations only go forward, and each fits the version before. */
  async function lookAtSchema(db: Database): Promise<ReadinessCheck> {
    try {
      if (!isSchemaKnown) await requireMigrated(db);
      isSchemaKnown = true;
      return { name: 'schema', state: 'ok', detail: 'It is that of this version.' };
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      return { name: 'schema', state: 'no', detail: 'It is not that of this version: `sluice migrate`.' };
    }
  }

  async function lookAtLog(db: Database, seen: bigint): Promise<ReadinessCheck> {
    const { rows } = await sql<{ position: bigint }>`SELECT last_position AS position FROM event_log`.execute(db);
    const position = rows[0]?.position ?? 0n;
    const now = clock.nowMicros();
    if (behind !== null && seen >= behind.position) behind = null;
    if (seen < position) behind ??= { position, since: now };
    const lagMs = behind === null ? 0 : microsToMillis(now - behind.since);
    return lagMs <= LOG_LAG_MS_MAX
      ? { name: 'log', state: 'ok', detail: 'Events are seen as they come.' }
      : { name: 'log', state: 'no', detail: `The event log was not followed for ${Math.round(lagMs / 1_000)} s.` };
  }

  async function lookAtIngestion(db: Database): Promise<ReadinessCheck> {
    const now = clock.nowMicros();
    const late: string[] = [];
    for (const stream of await readIngestionStreams(db)) {
      const { recordTime } = stream;
      if (stream.status === 'HALTED') late.push(`${stream.treasury.name} is halted`);
      else if (recordTime === null) late.push(`${stream.treasury.name} has nothing yet`);
      else if (now - recordTime > BigInt(options.lagSecondsMax) * 1_000_000n) {
        late.push(`${stream.treasury.name} is ${Math.round(microsToMillis(now - recordTime) / 1_000)} s behind`);
      }
    }
    if (late.length === 0) return { name: 'ingestion', state: 'ok', detail: `Within ${options.lagSecondsMax} s.` };
    return { name: 'ingestion', state: options.isApi ? 'later' : 'no', detail: `${late.join(', ')}.` };
  }

  async function lookInTime(parts: ReadinessParts): Promise<readonly ReadinessCheck[]> {
    const over = new AbortController();
    const away = (detail: string): readonly ReadinessCheck[] => [{ name: 'database', state: 'no', detail }];
    looking ??= look(parts)
      .catch((error: unknown) => {
        logger.warn('Not ready: the database does not answer.', { error: messageOf(error) });
        return away('It does not answer.');
      })
      .finally(() => {
        looking = null;
      });
    const tooLate = clock.sleep(ANSWER_MS_MAX, over.signal).then(() => away('It does not answer in time.'));
    const checks = await Promise.race([looking, tooLate]);
    over.abort();
    return checks;
  }

  return async () => {
    const parts = options.parts();
    const running: ReadinessCheck =
      isStopping() || parts === null
        ? { name: 'running', state: 'no', detail: isStopping() ? 'It is stopping.' : 'It is starting.' }
        : { name: 'running', state: 'ok', detail: 'It runs.' };
    // On its way out or in, nothing else matters, and the database is left alone.
    const checks = parts === null || isStopping() ? [running] : [running, ...(await lookInTime(parts))];
    return { isReady: checks.every(({ state }) => state !== 'no'), checks };
  };
}
