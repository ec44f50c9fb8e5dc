/**
 * What must not move, kept outside the database: open freezes and halts, by the names that they have on the ledger, so that they can be put back into a database that went back to before them. One that was
 * lifted in the last second comes back as well; somebody lifts it again.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../db/connection.ts';
import { WENT_BACK } from '../db/database-restore.ts';
import type { Keeper } from '../db/log-history.ts';
import { openHaltSchema, openHalts, restoreHalts } from './halts-restored.ts';

const heldFreezeSchema = openHaltSchema.pick({ treasury: true, instrument: true }).extend({
  reason: z.string(),
  detail: z.string(),
  cause: z.string(),
  /** Microseconds of the wall clock, as a decimal string. */
  openedAt: z.string().regex(/^\d{1,19}$/),
  openedBy: z.string(),
});

const heldMoneySchema = z.strictObject({ freezes: z.array(heldFreezeSchema), halts: z.array(openHaltSchema) });

type HeldFreeze = z.infer<typeof heldFreezeSchema>;

/** For {@link createLogMemory}: what stands is read, and put back where it is missing. */
export const HELD_MONEY: Keeper = {
  read: async (db) => ({ freezes: await openFreezes(db), halts: [...(await openHalts(db))] }),
  putBack: async (tx, kept) => {
    const { freezes, halts } = heldMoneySchema.parse(kept);
    const restored = await restoreHalts(tx, halts);
    return { freezes: await restoreFreezes(tx, freezes), halts: halts.filter(({ id }) => restored.includes(id)) };
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

/** One whose treasury or instrument is not here covers what it can be sure to cover: everything. @returns those that were missing. */
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
      FROM known ON CONFLICT DO NOTHING RETURNING id`.execute(tx);
    if (rows.length > 0) restored.push(freeze);
  }
  return restored;
}
