/**
 * Puts derived tables that were derived anew in the place of those in use, and lets everything that follows from them follow: one transaction under the streams' fencing, so that either all of it
 * happened or nothing.
 *
 *   the workers     are fenced off; what was stored meanwhile is derived as well
 *   the tables      become what was derived
 *   the quarantine  updates that can be read now go through the same sinks as ever, in their order, and are closed; freezes they had caused are lifted
 *   the books       what else changed is booked against unexplained; nothing that was booked is touched
 *
 * Owned rows are never rewritten. A credit whose transfer is gone stays a credit, and freezes the treasury until a person has decided.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import type { PermanentError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { EffectSink, Treasury } from '../ingestion/effect-sink.ts';
import { fenceOff } from '../ingestion/fence-off.ts';
import { isPaidOut, openFreeze } from '../ingestion/freezes.ts';
import { touchedInQuarantine } from '../ingestion/open-quarantine.ts';
import { isPoison } from '../ingestion/poison.ts';
import {
  applySecondSchema,
  demandComplete,
  derivePage,
  differingTransfers,
  dropSecondSchema,
  type LateUpdate,
  type SecondHistory,
  useFirstSchema,
} from '../ingestion/second-schema.ts';
import { bookCorrections, type Correction, creditsWithoutTransfer } from './corrections.ts';

export type SwitchResult = {
  readonly treasury: Treasury;
  readonly rowsRemoved: number;
  readonly rowsAdded: number;
  /** Updates that left the quarantine. */
  readonly closed: readonly string[];
  readonly stillQuarantined: readonly { readonly updateId: string; readonly reason: string; readonly detail: string }[];
  readonly corrections: readonly Correction[];
  /** Ids of transfers that are credited and gone. */
  readonly creditsInDoubt: readonly string[];
  readonly freezesLifted: number;
};

export type SwitchOptions = {
  readonly db: Database;
  /** Of all treasuries to be switched, as far as they have been derived. */
  readonly histories: readonly SecondHistory[];
  readonly sinks: readonly EffectSink[];
  /** Who wants it; kept with what is closed and lifted. */
  readonly by: string;
  readonly clock: Clock;
  readonly failpoint: Failpoint;
};

/** @throws PermanentError as derivePage and demandComplete do, RetryableError of the database; nothing has changed then. */
export async function switchOver(options: SwitchOptions): Promise<readonly SwitchResult[]> {
  const { db, histories, failpoint } = options;
  const results = await db.transaction().execute(async (tx) => {
    const inOrder = [...histories].sort((left, right) => left.treasury.id - right.treasury.id);
    // All before any: two that switch at once wait for each other in one order.
    for (const { treasury } of inOrder) await fenceOff(tx, treasury);
    const done: SwitchResult[] = [];
    for (const history of inOrder) done.push(await switchTreasury(tx, history, options));
    await dropSecondSchema(tx);
    await failpoint('rebuild.beforeSwitchCommit');
    return done;
  });
  await failpoint('rebuild.afterSwitch');
  return results;
}

async function switchTreasury(tx: Transaction, history: SecondHistory, options: SwitchOptions): Promise<SwitchResult> {
  const { treasury } = history;
  while (await derivePage(tx, history));
  await useFirstSchema(tx);
  await demandComplete(tx, history);
  const differing = await differingTransfers(tx, treasury);
  const { removed, added } = await applySecondSchema(tx, treasury);

  const late = toldLate(history, differing);
  const refusedBySinks = await tellSinks(tx, treasury, late, options.sinks);
  const stillQuarantined = new Map<string, PermanentError>([...history.refused, ...refusedBySinks]);
  const closed = await closeQuarantine(tx, history, stillQuarantined, options);

  const ids = [
    ...differing.map(({ id }) => id),
    ...history.late.flatMap(({ changes }) => changes.map(({ transferId }) => transferId)),
  ];
  const corrections = await bookCorrections(tx, treasury, ids);
  const creditsInDoubt = await creditsWithoutTransfer(tx, ids);
  if (creditsInDoubt.length > 0) {
    await openFreeze(tx, {
      treasuryId: treasury.id,
      instrumentKey: null,
      reason: 'CREDIT_WITHOUT_TRANSFER',
      detail: `Derived anew, these transfers did not bring what was credited for them: ${creditsInDoubt.slice(0, 5).join(', ')}`,
      cause: `rebuild:${history.runId}`,
      openedBy: options.by,
      nowMicros: options.clock.nowMicros(),
    });
  }
  return {
    treasury,
    rowsRemoved: removed,
    rowsAdded: added,
    closed,
    stillQuarantined: await openQuarantine(tx, treasury),
    corrections,
    creditsInDoubt,
    freezesLifted: await liftFreezes(tx, treasury, options),
  };
}

/**
 * What sinks have never been told: what quarantined updates did, and what later ones did to transfers that began in those. Of a later update that was told as something else (its own transfers
 * differ now) nothing is told again: money that was credited once must not be credited under another name.
 */
function toldLate(
  { late }: SecondHistory,
  differing: Awaited<ReturnType<typeof differingTransfers>>,
): readonly LateUpdate[] {
  const known = new Set(differing.filter(({ isOld }) => isOld).map(({ updateId }) => updateId));
  const fresh = new Set(differing.filter(({ isOld }) => !isOld).map(({ id }) => id));
  return late.flatMap((one) => {
    if (one.isQuarantined) return [one];
    const isToldOtherwise = known.has(one.update.updateId);
    const untold = one.changes.filter(({ transferId }) => fresh.has(transferId));
    return isToldOtherwise || untold.length === 0 ? [] : [{ ...one, changes: untold }];
  });
}

/** One update at a time, as ingestion does it when one of them fails. @returns those that were refused, and why. */
async function tellSinks(
  tx: Transaction,
  treasury: Treasury,
  late: readonly LateUpdate[],
  sinks: readonly EffectSink[],
): Promise<ReadonlyMap<string, PermanentError>> {
  const refused = new Map<string, PermanentError>();
  for (const { update, changes } of late) {
    if (changes.length === 0) continue;
    await sql`SAVEPOINT late`.execute(tx);
    try {
      for (const sink of sinks) await sink.apply(tx, treasury, changes);
      await sql`RELEASE SAVEPOINT late`.execute(tx);
    } catch (error) {
      if (!isPoison(error)) throw error;
      await sql`ROLLBACK TO SAVEPOINT late`.execute(tx);
      refused.set(update.updateId, error);
    }
  }
  return refused;
}

async function closeQuarantine(
  tx: Transaction,
  { treasury }: SecondHistory,
  still: ReadonlyMap<string, PermanentError>,
  { by, clock }: SwitchOptions,
): Promise<readonly string[]> {
  const reasons = [...still].map(([updateId, { code, message }]) => ({ updateId, code, message }));
  await sql`
    UPDATE quarantine SET reason = now.reason, detail = now.detail
    FROM unnest(
      ${reasons.map(({ updateId }) => updateId)}::text[], ${reasons.map(({ code }) => code)}::text[],
      ${reasons.map(({ message }) => message)}::text[]
    ) AS now (update_id, reason, detail)
    WHERE quarantine.treasury_id = ${treasury.id} AND quarantine.update_id = now.update_id AND quarantine.closed_at IS NULL`.execute(
    tx,
  );
  const { rows } = await sql<{ updateId: string }>`
    UPDATE quarantine SET closed_at = ${clock.nowMicros()}, closed_by = ${by}
    WHERE treasury_id = ${treasury.id} AND closed_at IS NULL AND update_id <> ALL (${[...still.keys()]}::text[])
    RETURNING update_id AS "updateId"`.execute(tx);
  return rows.map(({ updateId }) => updateId);
}

async function openQuarantine(tx: Transaction, treasury: Treasury): Promise<SwitchResult['stillQuarantined']> {
  return await tx
    .selectFrom('quarantine')
    .select(['update_id as updateId', 'reason', 'detail'])
    .where('treasury_id', '=', treasury.id)
    .where('closed_at', 'is', null)
    .orderBy('update_id')
    .execute();
}

/** Freezes that updates in quarantine had caused, once none is left that touched the same. */
async function liftFreezes(tx: Transaction, treasury: Treasury, { by, clock }: SwitchOptions): Promise<number> {
  const touched = await touchedInQuarantine(tx, treasury);
  if (touched.kind === 'UNKNOWN') return 0;
  const keys = sql`${[...touched.keys]}::int[]`;
  const leaving = isPaidOut(sql`${treasury.id}::int`, sql`touched.key`);
  const { numAffectedRows = 0n } = await sql`
    UPDATE money_freeze
    SET lifted_at = ${clock.nowMicros()}, lifted_by = ${by}, lift_detail = 'All updates in quarantine that touched it were derived and booked.'
    WHERE treasury_id = ${treasury.id} AND reason = 'QUARANTINE' AND lifted_at IS NULL
      AND CASE WHEN instrument_id IS NULL THEN NOT EXISTS (SELECT FROM unnest(${keys}) AS touched (key) WHERE ${leaving})
        ELSE instrument_id <> ALL (${keys}) END`.execute(tx);
  return Number(numAffectedRows);
}
