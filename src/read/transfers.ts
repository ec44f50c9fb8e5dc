/** Economic transfers as the treasury parties saw them, with the decision whom each belongs to. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { JsonValue, TransferTable } from '../gen/db.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import { type Reach, withinReach } from './reach.ts';
import { conditionOf, type TransferFilter } from './transfer-filter.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type Transfer = {
  readonly id: string;
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  readonly kind: TransferTable['kind'];
  readonly direction: TransferTable['direction'];
  readonly status: TransferTable['status'];
  /** Decimal text. */
  readonly amount: string;
  readonly counterparty: string | null;
  readonly memo: string | null;
  readonly transferObject: JsonValue;
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly concludedUpdateId: string | null;
  readonly concludedRecordTime: Micros | null;
  readonly attribution: Attribution | null;
};

export type Attribution = {
  readonly account: Account;
  readonly depositAccountId: string | null;
  readonly decidedBy: string;
  readonly recordTime: Micros;
};

export const keyOfTransfer = (transfer: Transfer): PageKey => [transfer.recordTime, transfer.id];

/** Newest first, by record time and id. */
export async function listTransfers(
  db: Database,
  reach: Reach,
  filter: TransferFilter,
  page: PageRequest,
): Promise<Page<Transfer>> {
  const keyset = keysetOf([sql`transfer.record_time`, sql`transfer.id`], 'descending', page);
  const { rows } = await sql<TransferRow>`
    SELECT ${TRANSFER_COLUMNS}
    ${TRANSFER_JOINS}
    WHERE ${keyset.where} AND ${conditionOf(filter)} AND ${withinReach(reach, sql`attribution.account_id`)}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows.map(transferOf), page);
}

/** One result per id, in the order of `ids`; null where there is none. */
export async function readTransfers(db: Database, ids: readonly string[]): Promise<(Transfer | null)[]> {
  const { rows } = await sql<TransferRow>`
    SELECT ${TRANSFER_COLUMNS} ${TRANSFER_JOINS} WHERE transfer.id = ANY (${[...ids]}::text[])
  `.execute(db);
  const byId = new Map(rows.map((row) => [row.id, transferOf(row)]));
  return ids.map((id) => byId.get(id) ?? null);
}

const TRANSFER_JOINS = sql`
  FROM transfer
  JOIN treasury_party ON treasury_party.id = transfer.treasury_id
  JOIN network ON network.id = treasury_party.network_id
  JOIN instrument ON instrument.id = transfer.instrument_id
  LEFT JOIN attribution ON attribution.transfer_id = transfer.id
  LEFT JOIN account ON account.id = attribution.account_id
`;

const TRANSFER_COLUMNS = sql`
  transfer.id, transfer.kind, transfer.direction, transfer.status, transfer.amount, transfer.counterparty, transfer.memo,
  transfer.transfer_object AS "transferObject", transfer.update_id AS "updateId", transfer.record_time AS "recordTime",
  transfer.concluded_update_id AS "concludedUpdateId", transfer.concluded_record_time AS "concludedRecordTime",
  network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
  instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
  instrument.is_accepted AS "isAccepted",
  account.owner AS "accountOwner", attribution.deposit_account_id AS "depositAccountId",
  attribution.decided_by AS "decidedBy", attribution.record_time AS "attributedAt"
`;

type TransferRow = Omit<Transfer, 'treasury' | 'instrument' | 'attribution'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
  readonly accountOwner: string | null;
  readonly depositAccountId: string | null;
  readonly decidedBy: string | null;
  readonly attributedAt: Micros | null;
};

function transferOf(row: TransferRow): Transfer {
  const { network, party, treasuryName, admin, instrumentId, instrumentName, isAccepted } = row;
  const { accountOwner, depositAccountId, decidedBy, attributedAt, ...rest } = row;
  return {
    ...rest,
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    attribution:
      accountOwner === null || decidedBy === null || attributedAt === null
        ? null
        : { account: { network, owner: accountOwner }, depositAccountId, decidedBy, recordTime: attributedAt },
  };
}
