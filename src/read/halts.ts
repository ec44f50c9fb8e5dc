/** Halts: kill switches that stand, and those that stood. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type Halt = {
  readonly id: string;
  /** Null: every one. */
  readonly treasury: TreasuryParty | null;
  /** Null: every one. */
  readonly instrument: Instrument | null;
  readonly why: string;
  /** Wall clock, as all times here. */
  readonly haltedAt: Micros;
  readonly haltedBy: string;
  /** Null: nobody has asked for it to be lifted. */
  readonly liftAskedAt: Micros | null;
  readonly liftAskedBy: string | null;
  readonly liftWhy: string | null;
  /** Null: it stands. */
  readonly liftedAt: Micros | null;
  readonly liftedBy: string | null;
};

export const keyOfHalt = ({ haltedAt, id }: Halt): PageKey => [haltedAt, id];

/** Newest first. @param isOpen null: both. */
export async function listHalts(
  db: Database,
  { isOpen }: { readonly isOpen: boolean | null },
  page: PageRequest,
): Promise<Page<Halt>> {
  const keyset = keysetOf([sql`halt.halted_at`, sql`halt.id`], 'descending', page);
  const { rows } = await sql<Halt>`
    ${HALTS}
    WHERE ${keyset.where} AND (${isOpen}::boolean IS NULL OR (halt.lifted_at IS NULL) = ${isOpen}::boolean)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows, page);
}

/** Null: there is none. */
export async function readHalt(db: Database, id: string): Promise<Halt | null> {
  const { rows } = await sql<Halt>`${HALTS} WHERE halt.id = ${id}`.execute(db);
  return rows[0] ?? null;
}

const HALTS: RawBuilder<unknown> = sql`
  SELECT halt.id, halt.why, halt.halted_at AS "haltedAt", halt.halted_by AS "haltedBy", halt.lift_asked_at AS "liftAskedAt",
    halt.lift_asked_by AS "liftAskedBy", halt.lift_why AS "liftWhy", halt.lifted_at AS "liftedAt", halt.lifted_by AS "liftedBy",
    CASE WHEN t.id IS NULL THEN NULL ELSE json_build_object('network', tn.name, 'party', t.party, 'name', t.name) END AS treasury,
    CASE WHEN i.id IS NULL THEN NULL ELSE json_build_object(
      'network', n.name, 'admin', i.admin, 'instrumentId', i.instrument_id, 'name', i.name, 'isAccepted', i.is_accepted
    ) END AS instrument
  FROM halt
  LEFT JOIN treasury_party t ON t.id = halt.treasury_id LEFT JOIN network tn ON tn.id = t.network_id
  LEFT JOIN instrument i ON i.id = halt.instrument_id LEFT JOIN network n ON n.id = i.network_id`;
