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
  /** The open one; null: none. */
  readonly reservation: Reservation | null;
};

/** What an open attempt may spend a holding for. */
export type Reservation = {
  readonly purpose: 'WITHDRAWAL' | 'OFFER' | 'OFFER_WITHDRAW' | 'SELF_TRANSFER';
  /** Of the submission, from 1. */
  readonly attempt: number;
  /** The last record time at which it may be spent by the attempt. */
  readonly targetRecordTime: Micros;
  readonly synchronizerId: string;
  readonly openedAt: Micros;
  /** That is paid, or whose offer is taken back; null: none. */
  readonly withdrawalId: string | null;
  /** Of the offer to us that is accepted or rejected; null: none. */
  readonly offerTransferId: string | null;
  /** The self-transfer of the pool; null: none. */
  readonly selfTransferId: string | null;
  /** The update in which somebody else spent it; null: nobody did. */
  readonly brokenBy: string | null;
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
  /** With a lock, or without; null: both. */
  readonly isLocked: boolean | null;
  /** In an open reservation, or in none; null: both. */
  readonly isReserved: boolean | null;
  /** Decimal text: only as large or larger; null: any. */
  readonly amountMin: string | null;
};

/** By age, or by amount: that of one instrument’s active holdings alone, since amounts of several do not compare. */
export type HoldingOrder = 'NEWEST' | 'OLDEST' | 'LARGEST' | 'SMALLEST';

export function keyOfHolding(order: HoldingOrder): (holding: Holding) => PageKey {
  return ({ amount, createdRecordTime, contractId, treasury: { network, party } }) => [
    isByAmount(order) ? { amount } : createdRecordTime,
    contractId,
    network,
    party,
  ];
}

export function isByAmount(order: HoldingOrder): boolean {
  return order === 'LARGEST' || order === 'SMALLEST';
}

/**
 * Each treasury party's part is read from its own index up to the page's size and the parts are merged, so a page costs the same with and
 * without a treasury named: by age holding_active_by_time, holding_locked or holding_history, by amount holding_active_by_amount.
 */
export async function listHoldings(
  db: Database,
  filter: HoldingFilter,
  order: HoldingOrder,
  page: PageRequest,
): Promise<Page<Holding>> {
  const first = isByAmount(order) ? sql`holding.amount` : sql`holding.created_record_time`;
  const columns = [first, sql`holding.contract_id`, sql`network.name`, sql`treasury_party.party`];
  const keyset = keysetOf(columns, order === 'NEWEST' || order === 'LARGEST' ? 'descending' : 'ascending', page);
  const { rows } = await sql<HoldingRow>`
    SELECT ${HOLDING_COLUMNS}
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    CROSS JOIN LATERAL (
      SELECT * FROM holding
      WHERE holding.treasury_id = treasury_party.id AND ${keyset.where} AND ${stateCondition(filter)}
        AND ${instrumentCondition(filter)} AND ${kindCondition(filter)}
      ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
    ) AS holding
    JOIN instrument ON instrument.id = holding.instrument_id
    ${RESERVATION_JOIN}
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
    ${RESERVATION_JOIN}
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

/** What is reserved is found from the open reservations, which are few, and not by looking at every holding. */
function kindCondition({ isLocked, isReserved, amountMin }: HoldingFilter): RawBuilder<boolean> {
  const conditions = [sql<boolean>`true`];
  if (isLocked === true) conditions.push(sql`holding.lock_holders IS NOT NULL`);
  if (isLocked === false) conditions.push(sql`holding.lock_holders IS NULL`);
  const reserved = sql`SELECT open.contract_id FROM reservation AS open WHERE open.treasury_id = treasury_party.id AND open.is_open`;
  if (isReserved === true) conditions.push(sql`holding.contract_id = ANY (ARRAY(${reserved}))`);
  if (isReserved === false) conditions.push(sql`NOT (holding.contract_id = ANY (ARRAY(${reserved})))`);
  if (amountMin !== null) conditions.push(sql`holding.amount >= ${amountMin}::numeric`);
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
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
  holding.archived_update_id AS "archivedUpdateId", holding.archived_record_time AS "archivedRecordTime",
  submission.purpose, attempt.number::int AS attempt, attempt.target_record_time AS "targetRecordTime",
  attempt.synchronizer_id AS "synchronizerId", attempt.opened_at AS "openedAt",
  coalesce(submission.withdrawal_id, submission.offer_return_id) AS "withdrawalId",
  offer_action.transfer_id AS "offerTransferId", submission.self_transfer_id AS "selfTransferId", reservation.broken_by AS "brokenBy"
`;

// A holding is in one open reservation at most, by a unique index.
const RESERVATION_JOIN = sql`
  LEFT JOIN reservation
    ON reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
  LEFT JOIN attempt ON attempt.submission_id = reservation.submission_id AND attempt.number = reservation.number
  LEFT JOIN submission ON submission.id = reservation.submission_id
  LEFT JOIN offer_action ON offer_action.id = submission.offer_action_id
`;

type HoldingRow = Omit<Holding, 'treasury' | 'instrument' | 'lock' | 'reservation'> & {
  readonly [Field in keyof Reservation]: Reservation[Field] | null;
} & {
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
  const { lockHolders, lockExpiresAt, lockExpiresAfter, lockContext } = row;
  return {
    contractId: row.contractId,
    amount: row.amount,
    template: row.template,
    createdUpdateId: row.createdUpdateId,
    createdRecordTime: row.createdRecordTime,
    archivedUpdateId: row.archivedUpdateId,
    archivedRecordTime: row.archivedRecordTime,
    reservation: reservationOf(row),
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    lock:
      lockHolders === null
        ? null
        : { holders: lockHolders, expiresAt: lockExpiresAt, expiresAfter: lockExpiresAfter, context: lockContext },
  };
}

function reservationOf(row: HoldingRow): Reservation | null {
  const { purpose, attempt, targetRecordTime, synchronizerId, openedAt } = row;
  const { withdrawalId, offerTransferId, selfTransferId, brokenBy } = row;
  if (
    purpose === null ||
    attempt === null ||
    targetRecordTime === null ||
    synchronizerId === null ||
    openedAt === null
  ) {
    return null;
  }
  const subject = { withdrawalId, offerTransferId, selfTransferId };
  return { purpose, attempt, targetRecordTime, synchronizerId, openedAt, ...subject, brokenBy };
}
