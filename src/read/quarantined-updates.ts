/** Updates that are stored and whose effects could not be told, or booked, when they came. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type QuarantinedUpdate = {
  readonly treasury: TreasuryParty;
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly reason: string;
  readonly detail: string;
  /** Wall clock. */
  readonly quarantinedAt: Micros;
  /** Null: it waits. */
  readonly closed: { readonly at: Micros; readonly by: string } | null;
};

export const keyOfQuarantinedUpdate = ({ quarantinedAt, updateId }: QuarantinedUpdate): PageKey => [
  quarantinedAt,
  updateId,
];

type Row = Omit<QuarantinedUpdate, 'treasury' | 'closed'> &
  TreasuryParty & { readonly closedAt: Micros | null; readonly closedBy: string | null };

/** Newest first. @param isOpen null: both. */
export async function listQuarantinedUpdates(
  db: Database,
  {
    isOpen,
    treasury,
  }: {
    readonly isOpen: boolean | null;
    readonly treasury: { readonly network: string; readonly party: string } | null;
  },
  page: PageRequest,
): Promise<Page<QuarantinedUpdate>> {
  const keyset = keysetOf([sql`quarantine.quarantined_at`, sql`quarantine.update_id`], 'descending', page);
  const ofTreasury =
    treasury === null
      ? sql`true`
      : sql`network.name = ${treasury.network} AND treasury_party.party = ${treasury.party}`;
  const { rows } = await sql<Row>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name, quarantine.update_id AS "updateId",
      ledger_update.record_time AS "recordTime", quarantine.reason, quarantine.detail, quarantine.quarantined_at AS "quarantinedAt",
      quarantine.closed_at AS "closedAt", quarantine.closed_by AS "closedBy"
    FROM quarantine
    JOIN ledger_update USING (treasury_id, update_id)
    JOIN treasury_party ON treasury_party.id = quarantine.treasury_id
    JOIN network ON network.id = treasury_party.network_id
    WHERE ${keyset.where} AND ${ofTreasury} AND (${isOpen}::boolean IS NULL OR (quarantine.closed_at IS NULL) = ${isOpen}::boolean)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(
    rows.map(({ network, party, name, closedAt, closedBy, ...row }) => ({
      ...row,
      treasury: { network, party, name },
      closed: closedAt === null || closedBy === null ? null : { at: closedAt, by: closedBy },
    })),
    page,
  );
}
