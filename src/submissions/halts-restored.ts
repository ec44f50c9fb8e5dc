/**
 * Halts outlive the database they stand in: a backup that is put back knows nothing of those made since, and must not lift them. Whoever keeps a file outside the database keeps these in it.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../db/connection.ts';

/** A halt that stands, in words of its own: the numbers of rows are another database's. */
export const openHaltSchema = z.strictObject({
  id: z.string(),
  treasury: z.strictObject({ network: z.string(), party: z.string() }).nullable(),
  instrument: z.strictObject({ network: z.string(), admin: z.string(), id: z.string() }).nullable(),
  why: z.string(),
  /** Microseconds of the wall clock, as a decimal string. */
  haltedAt: z.string().regex(/^\d{1,19}$/),
  haltedBy: z.string(),
});

export type OpenHalt = z.infer<typeof openHaltSchema>;

/** The halts that stand, oldest first. Wishes to lift are left out: after a restore they are made again. */
export async function openHalts(db: Database | Transaction): Promise<readonly OpenHalt[]> {
  const { rows } = await sql<OpenHalt>`
    SELECT halt.id, halt.why, halt.halted_at::text AS "haltedAt", halt.halted_by AS "haltedBy",
      CASE WHEN t.id IS NULL THEN NULL ELSE json_build_object('network', tn.name, 'party', t.party) END AS treasury,
      CASE WHEN i.id IS NULL THEN NULL ELSE json_build_object('network', n.name, 'admin', i.admin, 'id', i.instrument_id) END AS instrument
    FROM halt
    LEFT JOIN treasury_party t ON t.id = halt.treasury_id LEFT JOIN network tn ON tn.id = t.network_id
    LEFT JOIN instrument i ON i.id = halt.instrument_id LEFT JOIN network n ON n.id = i.network_id
    WHERE halt.lifted_at IS NULL ORDER BY halt.halted_at, halt.id`.execute(db);
  return rows;
}

/**
 * Puts back the halts that a restored database lost. One whose treasury or instrument is not here covers what it can be sure to cover: everything. One that is here, standing or lifted, stays as it is.
 * @returns the ids of those that were put back.
 */
export async function restoreHalts(tx: Transaction, halts: readonly OpenHalt[]): Promise<readonly string[]> {
  const restored: string[] = [];
  for (const halt of halts) {
    const { rows } = await sql<{ id: string }>`
      INSERT INTO halt (id, treasury_id, instrument_id, why, halted_at, halted_by)
      SELECT ${halt.id}, CASE WHEN known THEN treasury.id END, CASE WHEN known THEN instrument.id END,
        ${halt.why}, ${halt.haltedAt}::bigint, ${halt.haltedBy}
      FROM (SELECT 1) AS one
      LEFT JOIN LATERAL (
        SELECT t.id FROM treasury_party t JOIN network n ON n.id = t.network_id
        WHERE n.name = ${halt.treasury?.network ?? null} AND t.party = ${halt.treasury?.party ?? null}
      ) AS treasury ON true
      LEFT JOIN LATERAL (
        SELECT i.id FROM instrument i JOIN network n ON n.id = i.network_id
        WHERE n.name = ${halt.instrument?.network ?? null} AND i.admin = ${halt.instrument?.admin ?? null} AND i.instrument_id = ${halt.instrument?.id ?? null}
      ) AS instrument ON true
      CROSS JOIN LATERAL (
        SELECT (treasury.id IS NOT NULL OR ${halt.treasury === null}::boolean) AND (instrument.id IS NOT NULL OR ${halt.instrument === null}::boolean) AS known
      ) AS scope
      ON CONFLICT DO NOTHING RETURNING id`.execute(tx);
    restored.push(...rows.map(({ id }) => id));
  }
  // Somebody wanted one lifted, before what was lost: whether he still does, he has to say again.
  await sql`UPDATE halt SET lift_asked_at = NULL, lift_asked_by = NULL, lift_why = NULL WHERE lifted_at IS NULL`.execute(
    tx,
  );
  return restored;
}
