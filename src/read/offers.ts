/** Offers made to us: whose each is, what is being done about it, and what it waits for. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { OfferActionTable, TransferInstructionTable } from '../gen/db.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';

export type Offer = {
  readonly transferId: string;
  readonly contractId: string;
  readonly treasuryParty: string;
  readonly instrument: Instrument;
  /** Decimal text. */
  readonly amount: string;
  readonly sender: string;
  readonly memo: string | null;
  /** The customer's account at the exchange; null: nobody's. */
  readonly account: string | null;
  readonly status: TransferInstructionTable['status'];
  readonly executeBefore: Micros;
  /** Record time of the update that showed it. */
  readonly offeredAt: Micros;
  /** Null: nothing is being done about it. */
  readonly action: OfferAction | null;
};

export type OfferAction = {
  readonly choice: OfferActionTable['choice'];
  readonly state: OfferActionTable['state'];
  readonly reason: string | null;
  readonly detail: string | null;
  readonly tries: number;
  readonly isParkRequested: boolean;
  /** Wall clock; null: it is not waiting for its turn. */
  readonly nextTryAt: Micros | null;
  readonly requestedBy: string;
  readonly changedAt: Micros;
};

export type OfferFilter = {
  readonly isOpen: boolean | null;
  readonly states: readonly OfferAction['state'][] | null;
};

export const keyOfOffer = ({ offeredAt, contractId }: Offer): PageKey => [offeredAt, contractId];

/** Newest first. */
export async function listOffers(
  db: Database,
  { isOpen, states }: OfferFilter,
  page: PageRequest,
): Promise<Page<Offer>> {
  const keyset = keysetOf([sql`i.created_record_time`, sql`i.contract_id`], 'descending', page);
  const { rows } = await sql<Row>`
    ${SELECT} WHERE ${keyset.where} AND i.direction = 'IN'
      AND (${isOpen}::boolean IS NULL OR (i.ended_update_id IS NULL) = ${isOpen}::boolean)
      AND ${states === null ? sql`true` : sql`a.state = ANY (${[...states]}::text[])`}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(offerOf), page);
}

/** The newest contract of the offer; null: no such offer to us. */
export async function readOffer(db: Database, transferId: string): Promise<Offer | null> {
  const { rows } = await sql<Row>`
    ${SELECT} WHERE i.transfer_id = ${transferId} AND i.direction = 'IN'
    ORDER BY i.ended_update_id IS NULL DESC, i.created_record_time DESC LIMIT 1`.execute(db);
  return rows[0] === undefined ? null : offerOf(rows[0]);
}

// Of several things that were done about an offer the one that is not over counts, else the last.
const SELECT = sql`
  SELECT i.transfer_id AS "transferId", i.contract_id AS "contractId", p.party AS "treasuryParty", n.name AS network,
    k.admin, k.instrument_id AS "instrumentId", k.name AS "instrumentName", k.is_accepted AS "isAccepted",
    i.amount::text AS amount, i.sender, i.memo, coalesce(assigned.owner, named.owner) AS account, i.status,
    i.execute_before AS "executeBefore", i.created_record_time AS "offeredAt",
    a.choice, a.state, a.reason, a.detail, a.tries::int AS tries, a.is_park_requested AS "isParkRequested",
    CASE a.state WHEN 'QUEUED' THEN a.next_try_at END AS "nextTryAt", a.requested_by AS "requestedBy", a.changed_at AS "changedAt"
  FROM transfer_instruction i
  JOIN treasury_party p ON p.id = i.treasury_id
  JOIN network n ON n.id = p.network_id
  JOIN instrument k ON k.id = i.instrument_id
  LEFT JOIN deposit_account d ON d.network_id = p.network_id AND d.memo = i.memo AND d.state <> 'DISABLED'
  LEFT JOIN account named ON named.id = d.account_id
  LEFT JOIN desk_case c ON c.transfer_id = i.transfer_id AND c.state = 'ASSIGNED'
  LEFT JOIN account assigned ON assigned.id = c.account_id
  LEFT JOIN LATERAL (
    SELECT * FROM offer_action WHERE offer_action.transfer_id = i.transfer_id
    ORDER BY offer_action.state IN ('QUEUED', 'IN_FLIGHT', 'PARKED') DESC, offer_action.changed_at DESC LIMIT 1
  ) AS a ON true`;

type Row = Omit<Offer, 'instrument' | 'action'> & {
  readonly network: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
} & { readonly [Field in keyof OfferAction]: OfferAction[Field] | null };

function offerOf(row: Row): Offer {
  const { network, admin, instrumentId, instrumentName, isAccepted, ...rest } = row;
  const { choice, state, reason, detail, tries, isParkRequested, nextTryAt, requestedBy, changedAt, ...offer } = rest;
  const isDone = choice === null || state === null || requestedBy === null || changedAt === null;
  return {
    ...offer,
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    action: isDone
      ? null
      : {
          choice,
          state,
          reason,
          detail,
          tries: tries ?? 0,
          isParkRequested: isParkRequested === true,
          nextTryAt,
          requestedBy,
          changedAt,
        },
  };
}
