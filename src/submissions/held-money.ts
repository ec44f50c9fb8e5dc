/**
 * What must not move, kept outside the database: open freezes and halts, by the names that they have on the ledger, withdrawals that are held or parked, and keys of the API that were revoked, so that they can be put back into a database that went
 * back to before them. One that was lifted in the last second comes back as well; somebody lifts it again.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../db/connection.ts';
import { WENT_BACK } from '../db/database-restore.ts';
import type { Keeper } from '../db/log-history.ts';
import { readRevokedKeys, restoreRevokedKeys, revokedKeySchema } from '../db/revoked-keys.ts';
import { openHaltSchema, openHalts, restoreHalts } from './halts-restored.ts';

const heldFreezeSchema = openHaltSchema.pick({ treasury: true, instrument: true }).extend({
  reason: z.string(),
  detail: z.string(),
  cause: z.string(),
  /** Microseconds of the wall clock, as a decimal string. */
  openedAt: z.string().regex(/^\d{1,19}$/),
  openedBy: z.string(),
});

/** A withdrawal that somebody holds, or that is parked. */
const heldStopSchema = z.strictObject({
  withdrawalId: z.string(),
  kind: z.enum(['HOLD', 'PARK']),
  why: z.string(),
  /** Microseconds of the wall clock, as a decimal string. */
  setAt: z.string().regex(/^\d{1,19}$/),
  setBy: z.string(),
});

const heldMoneySchema = z.strictObject({
  freezes: z.array(heldFreezeSchema),
  halts: z.array(openHaltSchema),
  // An anchor of before does not have them.
  stops: z.array(heldStopSchema).default([]),
  revokedKeys: z.array(revokedKeySchema).default([]),
});

const STOPS_MAX = 10_000; // The anchor is written once a second; whoever holds more has halted what he holds.

type HeldStop = z.infer<typeof heldStopSchema>;

type HeldFreeze = z.infer<typeof heldFreezeSchema>;

/** For {@link createLogMemory}: what stands is read, and put back where it is missing. */
export const HELD_MONEY: Keeper = {
  read: async (db) => ({
    freezes: await openFreezes(db),
    halts: [...(await openHalts(db))],
    stops: await openStops(db),
    revokedKeys: await readRevokedKeys(db),
  }),
  putBack: async (tx, kept) => {
    const { freezes, halts, stops, revokedKeys } = heldMoneySchema.parse(kept);
    const restored = await restoreHalts(tx, halts);
    return {
      freezes: await restoreFreezes(tx, freezes),
      halts: halts.filter(({ id }) => restored.includes(id)),
      stops: await restoreStops(tx, stops),
      revokedKeys: await restoreRevokedKeys(tx, revokedKeys),
    };
  },
};

/** The freezes that stand; not those that tell of a restore, which whoever notices one opens himself. */
async function openFreezes(db: Database): Promise<HeldFreeze[]> {
  const { rows } = await sql<HeldFreeze>`
    SELECT f.reason, f.detail, f.cause, f.opened_at::text AS "openedAt", f.opened_by AS "openedBy",
      CASE WHEN t.id IS NULL THEN NULL ELSE json_build_object('network', tn.name, 'party', t.party) END AS treasury,
      CASE WHEN i.id IS NULL THEN NULL ELSE json_build_object('network', n.name, 'admin', i.admin, 'id', i.instrument_id) END AS instrument
    FROM money_freeze f
    LEFT JOIN treasury_party t ON t.id = f.treasury_id LEFT JOIN network tn ON tn.id = t.network_id
    LEFT JOIN instrument i ON i.id = f.instrument_id LEFT JOIN network n ON n.id = i.network_id
    WHERE f.lifted_at IS NULL AND f.reason <> ${WENT_BACK} ORDER BY f.opened_at, f.id`.execute(db);
  return rows;
}

/** One whose treasury or instrument is not here covers what it can be sure to cover: everything. One that is here, standing or lifted, stays as it is: a process that was away hears of a restore long after. @returns those that were missing. */
async function restoreFreezes(tx: Transaction, freezes: readonly HeldFreeze[]): Promise<HeldFreeze[]> {
  const restored: HeldFreeze[] = [];
  for (const freeze of freezes) {
    const { treasury, instrument } = freeze;
    const { rows } = await sql`
      WITH scope AS (
        SELECT
          (SELECT t.id FROM treasury_party t JOIN network n ON n.id = t.network_id
           WHERE n.name = ${treasury?.network ?? null} AND t.party = ${treasury?.party ?? null}) AS treasury_id,
          (SELECT i.id FROM instrument i JOIN network n ON n.id = i.network_id
           WHERE n.name = ${instrument?.network ?? null} AND i.admin = ${instrument?.admin ?? null} AND i.instrument_id = ${instrument?.id ?? null}) AS instrument_id
      ), known AS (
        SELECT *, (treasury_id IS NOT NULL OR ${treasury === null}::boolean) AND (instrument_id IS NOT NULL OR ${instrument === null}::boolean) AS is_known
        FROM scope
      )
      INSERT INTO money_freeze (treasury_id, instrument_id, reason, detail, cause, opened_at, opened_by)
      SELECT CASE WHEN is_known THEN treasury_id END, CASE WHEN is_known THEN instrument_id END,
        ${freeze.reason}, ${freeze.detail}, ${freeze.cause}, ${freeze.openedAt}::bigint, ${freeze.openedBy}
      FROM known WHERE NOT EXISTS (
        SELECT FROM money_freeze f
        WHERE f.reason = ${freeze.reason} AND f.cause = ${freeze.cause} AND f.opened_at = ${freeze.openedAt}::bigint AND f.opened_by = ${freeze.openedBy}
          AND f.treasury_id IS NOT DISTINCT FROM CASE WHEN is_known THEN known.treasury_id END
          AND f.instrument_id IS NOT DISTINCT FROM CASE WHEN is_known THEN known.instrument_id END
      ) ON CONFLICT DO NOTHING RETURNING id`.execute(tx);
    if (rows.length > 0) restored.push(freeze);
  }
  return restored;
}

/** Of withdrawals that have not ended: their clients asking again is no word of those who hold them. */
async function openStops(db: Database): Promise<HeldStop[]> {
  const { rows } = await sql<HeldStop>`
    SELECT s.withdrawal_id AS "withdrawalId", s.kind, s.why, s.set_at::text AS "setAt", s.set_by AS "setBy"
    FROM withdrawal_stop s JOIN withdrawal w ON w.id = s.withdrawal_id
    WHERE s.released_at IS NULL AND w.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED')
    ORDER BY s.id DESC LIMIT ${STOPS_MAX}`.execute(db);
  return rows;
}

/** Those of withdrawals that are here; in the order of their ids, as everybody locks them. @returns those that were missing. */
async function restoreStops(tx: Transaction, stops: readonly HeldStop[]): Promise<HeldStop[]> {
  const { rows } = await sql<{ withdrawalId: string; kind: string }>`
    WITH kept AS (
      SELECT w.id, k.* FROM jsonb_to_recordset(${JSON.stringify(stops)}::jsonb) AS k ("withdrawalId" text, kind text, why text, "setAt" bigint, "setBy" text)
      JOIN withdrawal w ON w.id = k."withdrawalId" ORDER BY w.id, k.kind FOR UPDATE OF w
    )
    INSERT INTO withdrawal_stop (withdrawal_id, kind, why, set_at, set_by) SELECT id, kind, why, "setAt", "setBy" FROM kept
    WHERE NOT EXISTS (SELECT FROM withdrawal_stop s WHERE s.withdrawal_id = kept.id AND s.kind = kept.kind AND s.set_at = kept."setAt")
    ON CONFLICT DO NOTHING RETURNING withdrawal_id AS "withdrawalId", kind`.execute(tx);
  return stops.filter((stop) =>
    rows.some(({ withdrawalId, kind }) => withdrawalId === stop.withdrawalId && kind === stop.kind),
  );
}
