/**
 * Ends what follows from a database that went back in time, treasury by treasury: when the ledger has been read past the safe record time, everything that was signed before has either been seen, and its withdrawal
 * made anew, or can never commit. Payments of ours that could not be made anew keep their instrument frozen until a person has looked.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { safeRecordTime, WENT_BACK } from '../db/database-restore.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { openFreeze } from '../ingestion/freezes.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';

const BY = 'sluice:restored';
const POLL_MS = 1_000;
const NAMED_MAX = 5; // Transfers in the detail of a freeze; `sluice recover` shows all.

export type ReopeningOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runReopening(options: ReopeningOptions & { readonly signal: AbortSignal }): Promise<void> {
  const { clock, random, logger, signal } = options;
  await runPollingLoop({
    name: 'reopening after a restore',
    pass: async () => {
      await reopen(options);
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: POLL_MS,
    clock,
    random,
    logger,
    signal,
  });
}

/** Over a treasury `t`: its stream runs, and has passed the safe record time on the synchronizer where its attempts are. */
const IS_SAFE: RawBuilder<boolean> = sql<boolean>`EXISTS (
  SELECT FROM ingestion_stream s JOIN synchronizer_time c ON c.treasury_id = s.treasury_id
  WHERE s.treasury_id = t.id AND s.status = 'RUNNING' AND c.synchronizer_id = ${homeSynchronizerOf(sql`t.id`)}
    AND c.record_time > ${safeRecordTime(sql`t.id`)}
)`;

/** One pass. @returns the names of the treasuries that were reopened. Any number of processes at once. */
export async function reopen({ db, clock, logger }: Omit<ReopeningOptions, 'random'>): Promise<readonly string[]> {
  const { rows: closed } = await sql`
    SELECT FROM money_freeze WHERE reason = ${WENT_BACK} AND lifted_at IS NULL LIMIT 1`.execute(db);
  if (closed.length === 0) return [];
  return await db.transaction().execute(async (tx) => {
    // Whoever notices a restore opens its freeze under this lock; so none is lifted that was opened meanwhile for a later one.
    await sql`SELECT FROM event_log FOR UPDATE`.execute(tx);
    const { rows: standing } = await sql<{ id: bigint; treasuryId: number | null; cause: string; detail: string }>`
      SELECT id, treasury_id AS "treasuryId", cause, detail FROM money_freeze
      WHERE reason = ${WENT_BACK} AND lifted_at IS NULL ORDER BY id FOR UPDATE`.execute(tx);
    const { rows: treasuries } = await sql<{ id: number; name: string; isSafe: boolean }>`
      SELECT t.id, t.name, ${IS_SAFE} AS "isSafe" FROM treasury_party t ORDER BY t.id`.execute(tx);
    const safe = treasuries.filter(({ isSafe }) => isSafe);
    if (safe.length === 0) return [];
    const nowMicros = clock.nowMicros();
    const general = standing.find(({ treasuryId }) => treasuryId === null);
    if (general !== undefined) {
      // The others wait on by themselves.
      for (const { id } of treasuries.filter(({ isSafe }) => !isSafe)) {
        const { cause, detail } = general;
        await openFreeze(tx, {
          treasuryId: id,
          instrumentKey: null,
          reason: WENT_BACK,
          detail,
          cause,
          openedBy: BY,
          nowMicros,
        });
      }
    }
    const over = standing.filter(
      ({ treasuryId }) => treasuryId === null || safe.some((treasury) => treasury.id === treasuryId),
    );
    if (over.length === 0) return [];
    const opened = general === undefined ? safe.filter(({ id }) => over.some((one) => one.treasuryId === id)) : safe;
    for (const { id } of opened) await freezeUnknownPayments(tx, id, nowMicros);
    await sql`
      UPDATE money_freeze SET lifted_at = ${nowMicros}::bigint, lifted_by = ${BY},
        lift_detail = 'The ledger has been read past the last record time at which anything that was lost could commit.'
      WHERE id = ANY (${over.map(({ id }) => String(id))}::bigint[])`.execute(tx);
    const names = opened.map(({ name }) => name);
    logger.warn('Payouts go on after the database went back in time.', { treasuries: names });
    return names;
  });
}

/** Payments that carry an id of ours and have no withdrawal: nobody knows whose they are, so nobody may be paid there until somebody does. */
async function freezeUnknownPayments(tx: Transaction, treasuryId: number, nowMicros: Micros): Promise<void> {
  const { rows } = await sql<{ instrumentKey: number; ids: string[] }>`
    SELECT instrument_id AS "instrumentKey", array_agg(id ORDER BY record_time, id) AS ids
    FROM transfer t WHERE t.treasury_id = ${treasuryId} AND ${IS_UNKNOWN_PAYMENT} GROUP BY 1`.execute(tx);
  for (const { instrumentKey, ids } of rows) {
    await openFreeze(tx, {
      treasuryId,
      instrumentKey,
      reason: 'PAYMENT_NOT_RECOVERED',
      detail: `${ids.length} payments of ours carry the id of a withdrawal that is not here, and nothing to make it anew from: ${ids.slice(0, NAMED_MAX).join(', ')}${ids.length > NAMED_MAX ? ', …' : ''}.`,
      cause: 'restored',
      openedBy: BY,
      nowMicros,
    });
  }
}

/** Over a `transfer t`: it went out with the id of a withdrawal that does not know of it. */
export const IS_UNKNOWN_PAYMENT: RawBuilder<boolean> = sql<boolean>`(
  t.direction = 'OUT' AND left(t.transfer_object #>> '{meta,values,sluice.dev/withdrawal-id}', 100) IS NOT NULL
  AND NOT EXISTS (SELECT FROM withdrawal w WHERE w.transfer_id = t.id)
)`;
