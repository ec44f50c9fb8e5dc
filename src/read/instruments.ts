/** Every instrument seen on the ledger or named in the configuration. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { keysetOf, type Page, type PageRequest, pageOf } from './page.ts';

export type Instrument = {
  readonly network: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly name: string;
  readonly isAccepted: boolean;
};

/** By network, admin and id. @param isAccepted null: both. */
export async function listInstruments(
  db: Database,
  filter: { readonly isAccepted: boolean | null },
  page: PageRequest,
): Promise<Page<Instrument>> {
  const keyset = keysetOf([sql`network.name`, sql`instrument.admin`, sql`instrument.instrument_id`], 'ascending', page);
  const { rows } = await sql<Instrument>`
    SELECT network.name AS network, instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name,
      instrument.is_accepted AS "isAccepted"
    FROM instrument JOIN network ON network.id = instrument.network_id
    WHERE ${keyset.where} AND (${filter.isAccepted}::boolean IS NULL OR instrument.is_accepted = ${filter.isAccepted}::boolean)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows, page);
}

/** One result per key, in the order of `keys`; null where there is none. */
export async function readInstruments(
  db: Database,
  keys: readonly { readonly network: string; readonly admin: string; readonly instrumentId: string }[],
): Promise<(Instrument | null)[]> {
  const { rows } = await sql<Instrument>`
    SELECT DISTINCT network.name AS network, instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name,
      instrument.is_accepted AS "isAccepted"
    FROM unnest(
      ${keys.map((key) => key.network)}::text[],
      ${keys.map((key) => key.admin)}::text[],
      ${keys.map((key) => key.instrumentId)}::text[]
    ) AS wanted (network, admin, instrument_id)
    JOIN network ON network.name = wanted.network
    JOIN instrument ON instrument.network_id = network.id AND instrument.admin = wanted.admin
      AND instrument.instrument_id = wanted.instrument_id
  `.execute(db);
  return keys.map(
    (key) =>
      rows.find(
        (row) => row.network === key.network && row.admin === key.admin && row.instrumentId === key.instrumentId,
      ) ?? null,
  );
}
