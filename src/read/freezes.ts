/** Freezes: what must not move until somebody has looked, and what once had to stand still. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { covers } from '../ingestion/freezes.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type Freeze = {
  readonly id: bigint;
  /** Null: every one. */
  readonly treasury: TreasuryParty | null;
  /** Null: every one. */
  readonly instrument: Instrument | null;
  readonly reason: string;
  readonly detail: string;
  readonly cause: string;
  /** Wall clock. */
  readonly openedAt: Micros;
  readonly openedBy: string;
  /** Null: it stands. */
  readonly lifted: { readonly at: Micros; readonly by: string; readonly detail: string } | null;
};

export const keyOfFreeze = ({ id }: Freeze): PageKey => [id];

/** Newest first. @param isOpen null: both. @param treasury only those that touch it, the ones of everything included; null: all. */
export async function listFreezes(
  db: Database,
  {
    isOpen,
    treasury,
  }: {
    readonly isOpen: boolean | null;
    readonly treasury: { readonly network: string; readonly party: string } | null;
  },
  page: PageRequest,
): Promise<Page<Freeze>> {
  const keyset = keysetOf([sql`frozen.id`], 'descending', page);
  const ofTreasury =
    treasury === null
      ? sql`true`
      : sql`(frozen.treasury_id IS NULL OR (network.name = ${treasury.network} AND treasury_party.party = ${treasury.party}))`;
  const { rows } = await sql<FreezeRow>`
    SELECT ${COLUMNS} FROM money_freeze AS frozen ${JOINS}
    WHERE ${keyset.where} AND ${ofTreasury} AND (${isOpen}::boolean IS NULL OR (frozen.lifted_at IS NULL) = ${isOpen}::boolean)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(freezeOf), page);
}

/** Per withdrawal, in the order of the ids, the open freezes that keep it from being paid, oldest first; none for one that is paid or final. One statement. */
export async function readFreezesOfWithdrawals(db: Database, withdrawalIds: readonly string[]): Promise<Freeze[][]> {
  const { rows } = await sql<FreezeRow & { withdrawalId: string }>`
    SELECT withdrawal.id AS "withdrawalId", ${COLUMNS}
    FROM withdrawal
    JOIN money_freeze AS frozen ON ${covers(sql`frozen`, sql`withdrawal.treasury_id`, sql`withdrawal.instrument_id`)}
    ${JOINS}
    WHERE withdrawal.id = ANY (${[...withdrawalIds]}::text[]) AND withdrawal.state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT')
    ORDER BY withdrawal.id, frozen.id`.execute(db);
  const byWithdrawal = Map.groupBy(rows, (row) => row.withdrawalId);
  return withdrawalIds.map((id) => (byWithdrawal.get(id) ?? []).map(freezeOf));
}

const COLUMNS: RawBuilder<unknown> = sql`
  frozen.id, frozen.reason, frozen.detail, frozen.cause, frozen.opened_at AS "openedAt", frozen.opened_by AS "openedBy",
  frozen.lifted_at AS "liftedAt", frozen.lifted_by AS "liftedBy", frozen.lift_detail AS "liftDetail",
  network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
  instrument_network.name AS "instrumentNetwork", instrument.admin, instrument.instrument_id AS "instrumentId",
  instrument.name AS "instrumentName", instrument.is_accepted AS "isAccepted"`;

const JOINS: RawBuilder<unknown> = sql`
  LEFT JOIN treasury_party ON treasury_party.id = frozen.treasury_id
  LEFT JOIN network ON network.id = treasury_party.network_id
  LEFT JOIN instrument ON instrument.id = frozen.instrument_id
  LEFT JOIN network AS instrument_network ON instrument_network.id = instrument.network_id`;

type FreezeRow = Omit<Freeze, 'treasury' | 'instrument' | 'lifted'> & {
  readonly liftedAt: Micros | null;
  readonly liftedBy: string | null;
  readonly liftDetail: string | null;
  readonly network: string | null;
  readonly party: string | null;
  readonly treasuryName: string | null;
  readonly instrumentNetwork: string | null;
  readonly admin: string | null;
  readonly instrumentId: string | null;
  readonly instrumentName: string | null;
  readonly isAccepted: boolean | null;
};

function freezeOf(row: FreezeRow): Freeze {
  const { network, party, treasuryName, instrumentNetwork, admin, instrumentId, instrumentName, isAccepted } = row;
  const { liftedAt, liftedBy, liftDetail } = row;
  return {
    id: row.id,
    reason: row.reason,
    detail: row.detail,
    cause: row.cause,
    openedAt: row.openedAt,
    openedBy: row.openedBy,
    treasury:
      network === null || party === null || treasuryName === null ? null : { network, party, name: treasuryName },
    instrument:
      instrumentNetwork === null || admin === null || instrumentId === null || instrumentName === null
        ? null
        : { network: instrumentNetwork, admin, instrumentId, name: instrumentName, isAccepted: isAccepted === true },
    lifted:
      liftedAt === null || liftedBy === null || liftDetail === null
        ? null
        : { at: liftedAt, by: liftedBy, detail: liftDetail },
  };
}
