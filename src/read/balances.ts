/** What each treasury party holds of each instrument, summed from the ledger's holdings and open offers. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

/** Amounts are decimal text and may exceed what a single holding can have. `total` is `available` and `locked`; `reserved` is part of `available`, `incoming` of none. */
export type Balance = {
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  readonly total: string;
  readonly available: string;
  /** In open attempts to pay. */
  readonly reserved: string;
  readonly locked: string;
  readonly incoming: string;
  /** Of `total`: came for somebody and is credited to nobody, before a verdict or a decision. */
  readonly held: string;
};

export type BalanceFilter = {
  /** null: all. */
  readonly treasuries: readonly { readonly network: string; readonly party: string }[] | null;
  readonly instrument: { readonly admin: string; readonly instrumentId: string } | null;
  /** True: of accepted instruments only, also those of which nothing is held. */
  readonly isAcceptedOnly: boolean;
};

export const keyOfBalance = ({ treasury, instrument }: Balance): PageKey => [
  treasury.network,
  treasury.party,
  instrument.admin,
  instrument.instrumentId,
];

/** By network, party, admin and instrument id. An instrument appears where something is held or offered, and where it is accepted. */
export async function listBalances(db: Database, filter: BalanceFilter, page: PageRequest): Promise<Page<Balance>> {
  const columns = [sql`network.name`, sql`treasury_party.party`, sql`instrument.admin`, sql`instrument.instrument_id`];
  const keyset = keysetOf(columns, 'ascending', page);
  const rows = await selectBalances(db, filter, keyset);
  return pageOf(rows.map(balanceOf), page);
}

/** The balances of accepted instruments for all given treasuries, in one statement. */
export async function readBalancesOf(
  db: Database,
  treasuries: readonly { readonly network: string; readonly party: string }[],
): Promise<Balance[]> {
  const rows = await selectBalances(db, { treasuries, instrument: null, isAcceptedOnly: true }, null);
  return rows.map(balanceOf);
}

type BalanceRow = Omit<Balance, 'treasury' | 'instrument'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
};

/** The sums come from partial indexes that hold only what is active or open, so history does not weigh on them. */
async function selectBalances(
  db: Database,
  { treasuries, instrument, isAcceptedOnly }: BalanceFilter,
  keyset: ReturnType<typeof keysetOf> | null,
): Promise<readonly BalanceRow[]> {
  const treasuryCondition =
    treasuries === null
      ? sql<boolean>`true`
      : sql<boolean>`(network.name, treasury_party.party) IN (
          SELECT * FROM unnest(
            ${treasuries.map((treasury) => treasury.network)}::text[],
            ${treasuries.map((treasury) => treasury.party)}::text[]
          )
        )`;
  const instrumentCondition =
    instrument === null
      ? sql<boolean>`true`
      : sql<boolean>`instrument.admin = ${instrument.admin} AND instrument.instrument_id = ${instrument.instrumentId}`;
  const { rows } = await sql<BalanceRow>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
      instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
      instrument.is_accepted AS "isAccepted",
      coalesce(held.total, 0) AS total, coalesce(held.locked, 0) AS locked,
      coalesce(held.total, 0) - coalesce(held.locked, 0) AS available, coalesce(held.reserved, 0) AS reserved,
      coalesce(offered.incoming, 0) AS incoming, coalesce(waiting.held, 0) AS held
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    JOIN instrument ON instrument.network_id = network.id
    LEFT JOIN LATERAL (
      SELECT sum(amount::numeric) AS total, sum(amount::numeric) FILTER (WHERE lock_holders IS NOT NULL) AS locked,
        sum(amount::numeric) FILTER (WHERE lock_holders IS NULL AND reservation.is_open) AS reserved
      FROM holding
      LEFT JOIN reservation
        ON reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
      WHERE holding.treasury_id = treasury_party.id AND holding.instrument_id = instrument.id
        AND holding.archived_update_id IS NULL
    ) AS held ON true
    LEFT JOIN (
      SELECT treasury_id, instrument_id, sum(amount::numeric) AS incoming
      FROM transfer_instruction
      WHERE ended_update_id IS NULL AND direction = 'IN'
      GROUP BY treasury_id, instrument_id
    ) AS offered ON offered.treasury_id = treasury_party.id AND offered.instrument_id = instrument.id
    LEFT JOIN (
      SELECT treasury_id, instrument_id, sum(amount) AS held
      FROM (
        SELECT treasury_id, instrument_id, held::numeric AS amount FROM screening WHERE state IN ('WAITING', 'PARKED') AND held IS NOT NULL
        UNION ALL
        SELECT treasury_id, instrument_id, amount::numeric FROM desk_case WHERE state = 'OPEN'
      ) AS undecided
      GROUP BY treasury_id, instrument_id
    ) AS waiting ON waiting.treasury_id = treasury_party.id AND waiting.instrument_id = instrument.id
    WHERE ${treasuryCondition} AND ${instrumentCondition} AND ${keyset === null ? sql<boolean>`true` : keyset.where}
      AND (instrument.is_accepted
        OR (NOT ${isAcceptedOnly}::boolean AND (held.total IS NOT NULL OR offered.incoming IS NOT NULL)))
    ORDER BY ${keyset === null ? sql`network.name, treasury_party.party, instrument.admin, instrument.instrument_id` : keyset.orderBy}
    ${keyset === null ? sql`` : sql`LIMIT ${keyset.limit}`}
  `.execute(db);
  return rows;
}

function balanceOf(row: BalanceRow): Balance {
  const { network, party, treasuryName, admin, instrumentId, instrumentName, isAccepted, ...sums } = row;
  return {
    ...sums,
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
  };
}
