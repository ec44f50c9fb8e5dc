/** The treasury parties this installation serves. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { keysetOf, type Page, type PageRequest, pageOf } from './page.ts';

export type TreasuryParty = { readonly network: string; readonly party: string; readonly name: string };

/** By network and party. */
export async function listTreasuryParties(db: Database, page: PageRequest): Promise<Page<TreasuryParty>> {
  const keyset = keysetOf([sql`network.name`, sql`treasury_party.party`], 'ascending', page);
  const { rows } = await sql<TreasuryParty>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name
    FROM treasury_party JOIN network ON network.id = treasury_party.network_id
    WHERE ${keyset.where}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows, page);
}

/** One result per key, in the order of `keys`; null where there is none. */
export async function readTreasuryParties(
  db: Database,
  keys: readonly { readonly network: string; readonly party: string }[],
): Promise<(TreasuryParty | null)[]> {
  const { rows } = await sql<TreasuryParty>`
    SELECT DISTINCT network.name AS network, treasury_party.party, treasury_party.name
    FROM unnest(${keys.map((key) => key.network)}::text[], ${keys.map((key) => key.party)}::text[]) AS wanted (network, party)
    JOIN network ON network.name = wanted.network
    JOIN treasury_party ON treasury_party.network_id = network.id AND treasury_party.party = wanted.party
  `.execute(db);
  return keys.map((key) => rows.find((row) => row.network === key.network && row.party === key.party) ?? null);
}

/** All parties of the given networks: where a deposit can be sent to. */
export async function readTreasuryPartiesOf(db: Database, networks: readonly string[]): Promise<TreasuryParty[]> {
  const { rows } = await sql<TreasuryParty>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name
    FROM treasury_party JOIN network ON network.id = treasury_party.network_id
    WHERE network.name = ANY (${[...networks]}::text[])
    ORDER BY network.name, treasury_party.party
  `.execute(db);
  return rows;
}
