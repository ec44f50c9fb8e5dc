/** The holdings (UTXOs) of the treasury parties, active and archived. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type Holding = {
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  readonly contractId: string;
  /** Decimal text. */
  readonly amount: string;
  readonly template: string;
  readonly lock: HoldingLock | null;
  readonly createdUpdateId: string;
  readonly createdRecordTime: Micros;
  readonly archivedUpdateId: string | null;
  readonly archivedRecordTime: Micros | null;
};

export type HoldingLock = {
  readonly holders: readonly string[];
  readonly expiresAt: Micros | null;
  /** Microseconds after the lock was made. */
  readonly expiresAfter: bigint | null;
  readonly context: string | null;
};

export type HoldingFilter = {
  readonly treasury: { readonly network: string; readonly party: string } | null;
  readonly instrument: { readonly admin: string; readonly instrumentId: string } | null;
  readonly state: 'ACTIVE' | 'ARCHIVED' | 'ALL';
};

export const keyOfHolding = (holding: Holding): PageKey => [
  holding.createdRecordTime,
  holding.contractId,
  holding.treasury.network,
  holding.treasury.party,
];

/**
 * Newest first. Each treasury party's part is read from its own index up to the page's size and the parts are merged, so a page costs the
 * same with and without a treasury named.
 */
export async function listHoldings(db: Database, filter: HoldingFilter, page: PageRequest): Promise<Page<Holding>> {
  const columns = [sql`created_record_time`, sql`contract_id`, sql`network.name`, sql`treasury_party.party`];
  const keyset = keysetOf(columns, 'descending', page);
  const { rows } = await sql<HoldingRow>`
    SELECT ${HOLDING_COLUMNS}
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    CROSS JOIN LATERAL (
      SELECT * FROM holding
      WHERE holding.treasury_id = treasury_party.id AND ${keyset.where} AND ${stateCondition(filter)}
        AND ${instrumentCondition(filter)}
      ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
    ) AS holding
    JOIN instrument ON instrument.id = holding.instrument_id
    WHERE ${treasuryCondition(filter)}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows.map(holdingOf), page);
}

/** One result per key, in the order of `keys`; null where there is none. */
export async function readHoldings(
  db: Database,
  keys: readonly { readonly network: string; readonly party: string; readonly contractId: string }[],
): Promise<(Holding | null)[]> {
  const { rows } = await sql<HoldingRow>`
    SELECT DISTINCT ${HOLDING_COLUMNS}
    FROM unnest(
      ${keys.map((key) => key.network)}::text[],
      ${keys.map((key) => key.party)}::text[],
      ${keys.map((key) => key.contractId)}::text[]
    ) AS wanted (network, party, contract_id)
    JOIN network ON network.name = wanted.network
    JOIN treasury_party ON treasury_party.network_id = network.id AND treasury_party.party = wanted.party
    JOIN holding ON holding.treasury_id = treasury_party.id AND holding.contract_id = wanted.contract_id
    JOIN instrument ON instrument.id = holding.instrument_id
  `.execute(db);
  const found = rows.map(holdingOf);
  return keys.map(
    (key) =>
      found.find(
        ({ treasury, contractId }) =>
          treasury.network === key.network && treasury.party === key.party && contractId === key.contractId,
      ) ?? null,
  );
}

function stateCondition({ state }: HoldingFilter): RawBuilder<boolean> {
  switch (state) {
    case 'ACTIVE':
      return sql<boolean>`holding.archived_update_id IS NULL`;
    case 'ARCHIVED':
      return sql<boolean>`holding.archived_update_id IS NOT NULL`;
    case 'ALL':
      return sql<boolean>`true`;
  }
}

function treasuryCondition({ treasury }: HoldingFilter): RawBuilder<boolean> {
  if (treasury === null) return sql<boolean>`true`;
  return sql<boolean>`network.name = ${treasury.network} AND treasury_party.party = ${treasury.party}`;
}

/** As a sub-select, so that the index by (treasury, instrument) can serve it. */
function instrumentCondition({ instrument }: HoldingFilter): RawBuilder<boolean> {
  if (instrument === null) return sql<boolean>`true`;
  return sql<boolean>`holding.instrument_id = (
    SELECT wanted.id FROM instrument AS wanted
    WHERE wanted.network_id = treasury_party.network_id AND wanted.admin = ${instrument.admin}
      AND wanted.instrument_id = ${instrument.instrumentId}
  )`;
}

const HOLDING_COLUMNS = sql`
  network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
  instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
  instrument.is_accepted AS "isAccepted",
  holding.contract_id AS "contractId", holding.amount, holding.template,
  holding.lock_holders AS "lockHolders", holding.lock_expires_at AS "lockExpiresAt",
  holding.lock_expires_after AS "lockExpiresAfter", holding.lock_context AS "lockContext",
  holding.created_update_id AS "createdUpdateId", holding.created_record_time AS "createdRecordTime",
  holding.archived_update_id AS "archivedUpdateId", holding.archived_record_time AS "archivedRecordTime"
`;

type HoldingRow = Omit<Holding, 'treasury' | 'instrument' | 'lock'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
  readonly lockHolders: readonly string[] | null;
  readonly lockExpiresAt: Micros | null;
  readonly lockExpiresAfter: bigint | null;
  readonly lockContext: string | null;
};

function holdingOf(row: HoldingRow): Holding {
  const { network, party, treasuryName, admin, instrumentId, instrumentName, isAccepted } = row;
  const { lockHolders, lockExpiresAt, lockExpiresAfter, lockContext, ...rest } = row;
  return {
    ...rest,
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    lock:
      lockHolders === null
        ? null
        : { holders: lockHolders, expiresAt: lockExpiresAt, expiresAfter: lockExpiresAfter, context: lockContext },
  };
}
