/**
 * Looks whether the invariants hold, round after round beside everything else, once per interval however many processes there are; keeps the result for the metrics, and freezes money where one is broken. On a long
 * history a look takes long: the next one waits ten times as long, so that looking never takes more than a tenth of a core.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { cancellable } from '../db/cancellation.ts';
import type { Database } from '../db/connection.ts';
import type { Lease, Leases } from '../db/lease.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { openFreeze } from '../ingestion/freezes.ts';
import { checkInvariants, type InvariantFault, LIVE_INVARIANTS } from './live-invariants.ts';

export type InvariantOptions = { readonly db: Database; readonly clock: Clock; readonly logger: Logger };

const NAMED = 20; // Faults kept of one invariant.
const REST = 10; // Times as long as a look took.
const DIGEST_DIGITS = 16; // Nobody gains by two that are alike.
const POLLS_PER_ROUND = 6;
const INVARIANT_BROKEN = 'INVARIANT_BROKEN';

/** The comparison with the ledger freezes by itself, what differs alone. */
const FREEZES_ITSELF: ReadonlySet<string> = new Set(['I9']);

/**
 * One round. What is found counts when a second look finds it as well: a look reads several snapshots.
 * @returns the faults. @throws as checkInvariants does.
 */
export async function lookAtInvariants({ db, clock, logger }: InvariantOptions): Promise<readonly InvariantFault[]> {
  const startedAt = clock.nowMicros();
  const first = await checkInvariants(db);
  const again = first.length === 0 ? [] : await checkInvariants(db);
  const faults = again.filter(({ id }) => first.some((each) => each.id === id));
  const nowMicros = clock.nowMicros();
  await store(db, faults, { nowMicros, durationMs: microsToMillis(nowMicros - startedAt) });
  for (const [id, all] of Map.groupBy(faults, (fault) => fault.id)) {
    logger.error('An invariant is broken.', { invariant: id, count: countOf(all), first: all[0]?.what ?? '' });
    if (!FREEZES_ITSELF.has(id)) await freeze(db, id, all, nowMicros);
  }
  return faults;
}

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does: the database stayed away. */
export async function runInvariantLoop(
  options: InvariantOptions & {
    readonly leases: Leases;
    /** Unique per process and start. */
    readonly holder: string;
    readonly random: Random;
    /** From one round to the next, for all processes together. */
    readonly everyMs: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { leases, holder, everyMs, clock, random, logger, signal } = options;
  let round = 0;
  await runPollingLoop({
    name: 'invariants',
    pass: async () => {
      round += 1;
      const ttlMs = everyMs * (1 - 1 / (2 * POLLS_PER_ROUND));
      // Not released: it is the turn itself, and gone when the next round is due.
      const turn = await leases.acquire({ name: 'invariants', holder: `${holder}:${round}`, ttlMs });
      if (turn === null) return false;
      const startedAt = clock.nowMicros();
      const looked = new AbortController();
      const kept = keepTurn(turn, ttlMs, looked.signal);
      try {
        await cancellable(signal, async () => await lookAtInvariants(options));
      } catch (error) {
        // The age of the last look tells; whoever only looks must not end those who work.
        if (!(error instanceof RetryableError || error instanceof PermanentError)) throw error;
        if (!signal.aborted)
          logger.warn('The invariants could not be looked at.', { code: error.code, why: error.message });
      } finally {
        looked.abort();
        await kept;
      }
      const restMs = microsToMillis(clock.nowMicros() - startedAt) * REST;
      if (restMs > ttlMs) await leases.renew(turn, restMs);
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: everyMs / POLLS_PER_ROUND,
    clock,
    random,
    logger,
    signal,
  });

  /** A look may take longer than a turn: without this everybody would look at once, and nobody rest. */
  async function keepTurn(turn: Lease, ttlMs: number, until: AbortSignal): Promise<void> {
    for (;;) {
      await clock.sleep(ttlMs / 3, until);
      if (until.aborted) return;
      await leases.renew(turn, ttlMs).catch((error: unknown) => {
        if (!(error instanceof RetryableError)) throw error;
      });
    }
  }
}

async function store(
  db: Database,
  faults: readonly InvariantFault[],
  { nowMicros, durationMs }: { readonly nowMicros: Micros; readonly durationMs: number },
): Promise<void> {
  const rows = Object.keys(LIVE_INVARIANTS).map((id) => {
    const all = faults.filter((fault) => fault.id === id);
    return { id, count: countOf(all), faults: all.slice(0, NAMED).map(({ what }) => what) };
  });
  await sql`
    INSERT INTO invariant_check AS kept (id, checked_at, duration_ms, faults_count, faults, broken_since)
    SELECT id, ${nowMicros}::bigint, ${durationMs}::int, count, faults, CASE WHEN count > 0 THEN ${nowMicros}::bigint END
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS found (id text, count bigint, faults jsonb)
    ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at, duration_ms = excluded.duration_ms, faults_count = excluded.faults_count,
      faults = excluded.faults, broken_since = CASE WHEN excluded.faults_count > 0 THEN coalesce(kept.broken_since, excluded.broken_since) END`.execute(
    db,
  );
}

/** What names an instrument freezes that one; anything else everything. */
async function freeze(db: Database, id: string, faults: readonly InvariantFault[], nowMicros: Micros): Promise<void> {
  const named = faults.every(({ instrument }) => instrument !== null);
  const { rows } = await sql<{ key: number; name: string }>`
    SELECT id AS key, admin || '/' || instrument_id AS name FROM instrument
    WHERE admin || '/' || instrument_id = ANY (${faults.flatMap(({ instrument }) => instrument ?? [])}::text[])`.execute(
    db,
  );
  const scopes = named && rows.length > 0 ? rows : [{ key: null, name: null }];
  for (const { key, name } of scopes) {
    const covered = faults.filter(({ instrument }) => name === null || instrument === name);
    const cause = `invariant:${id}:${digestOf(covered)}`;
    const detail = `${id}, ${countOf(covered)} times; first: ${covered[0]?.what ?? ''}`;
    if (await wasLifted(db, { id, cause, instrumentKey: key })) continue;
    await openFreeze(db, {
      treasuryId: null,
      instrumentKey: key,
      reason: INVARIANT_BROKEN,
      detail,
      cause,
      openedBy: 'invariants',
      nowMicros,
    });
  }
}

/**
 * Whether a person lifted this very freeze while it was true, and nothing was mended or added since: it is the newest of this invariant, since whatever else was found meanwhile had one of its own. What stands in rows
 * that nobody may change stays broken for ever: then people decide once, and money does not stand still for ever as well. The metric and `sluice verify` go on telling.
 */
async function wasLifted(
  db: Database,
  { id, cause, instrumentKey }: { readonly id: string; readonly cause: string; readonly instrumentKey: number | null },
): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM (
      SELECT cause, lifted_at FROM money_freeze
      WHERE reason = ${INVARIANT_BROKEN} AND starts_with(cause, ${`invariant:${id}:`}) AND instrument_id IS NOT DISTINCT FROM ${instrumentKey}::integer
      ORDER BY id DESC LIMIT 1
    ) AS newest JOIN invariant_check c ON c.id = ${id}
    WHERE newest.cause = ${cause} AND newest.lifted_at >= c.broken_since`.execute(db);
  return rows.length > 0;
}

function countOf(faults: readonly InvariantFault[]): number {
  return faults.reduce((sum, { count }) => sum + count, 0);
}

/** Of these very faults, in whatever order and with whatever amounts beside them. */
function digestOf(faults: readonly InvariantFault[]): string {
  const identities = faults.map(({ identity }) => identity).sort();
  return createHash('sha256').update(JSON.stringify(identities)).digest('hex').slice(0, DIGEST_DIGITS);
}
