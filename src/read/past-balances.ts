/** What treasury parties held, and what the books said of customers, when the ledger was at a record time of the past. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Account, AccountBalance } from './accounts.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

/** Amounts are decimal text; `total` is `available` and `locked`, `incoming` is in none. */
export type PastBalance = {
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  readonly recordTime: Micros;
  readonly total: string;
  readonly available: string;
  readonly locked: string;
  readonly incoming: string;
};

export type PastBalanceFilter = {
  readonly recordTime: Micros;
  readonly treasury: { readonly network: string; readonly party: string } | null;
  readonly instrument: { readonly admin: string; readonly instrumentId: string } | null;
};

export const keyOfPastBalance = ({ treasury, instrument }: PastBalance): PageKey => [
  treasury.network,
  treasury.party,
  instrument.admin,
  instrument.instrumentId,
];

/**
 * By network, party, admin and instrument id: accepted instruments, and others of which something was held or offered. What was active then
 * is what still is, and what was archived since, of what had been created: the cost follows what is held and what went since
 * (holding_by_archival, transfer_instruction_by_end), not the whole history.
 */
export async function listPastBalances(
  db: Database,
  { recordTime, treasury, instrument }: PastBalanceFilter,
  page: PageRequest,
): Promise<Page<PastBalance>> {
  const columns = [sql`network.name`, sql`treasury_party.party`, sql`instrument.admin`, sql`instrument.instrument_id`];
  const keyset = keysetOf(columns, 'ascending', page);
  const ofTreasury =
    treasury === null
      ? sql<boolean>`true`
      : sql<boolean>`network.name = ${treasury.network} AND treasury_party.party = ${treasury.party}`;
  const ofInstrument =
    instrument === null
      ? sql<boolean>`true`
      : sql<boolean>`instrument.admin = ${instrument.admin} AND instrument.instrument_id = ${instrument.instrumentId}`;
  const then = sql`${recordTime}::bigint`;
  const { rows } = await sql<PastBalanceRow>`
    WITH wanted AS (
      SELECT treasury_party.id, treasury_party.network_id, network.name AS network, treasury_party.party, treasury_party.name
      FROM treasury_party JOIN network ON network.id = treasury_party.network_id WHERE ${ofTreasury}
    ), held AS (
      SELECT treasury_id, instrument_id, sum(amount) AS total, sum(amount) FILTER (WHERE is_locked) AS locked
      FROM wanted CROSS JOIN LATERAL (
        SELECT holding.treasury_id, instrument_id, amount::numeric AS amount, lock_holders IS NOT NULL AS is_locked
        FROM holding WHERE holding.treasury_id = wanted.id AND archived_update_id IS NULL AND created_record_time <= ${then}
        UNION ALL
        SELECT holding.treasury_id, instrument_id, amount::numeric, lock_holders IS NOT NULL
        FROM holding WHERE holding.treasury_id = wanted.id AND archived_update_id IS NOT NULL
          AND archived_record_time > ${then} AND created_record_time <= ${then}
      ) AS live
      GROUP BY treasury_id, instrument_id
    ), offered AS (
      SELECT treasury_id, instrument_id, sum(amount) AS incoming
      FROM wanted CROSS JOIN LATERAL (
        SELECT i.treasury_id, i.instrument_id, i.amount::numeric AS amount
        FROM transfer_instruction AS i
        WHERE i.treasury_id = wanted.id AND i.direction = 'IN' AND i.ended_update_id IS NULL AND i.created_record_time <= ${then}
        UNION ALL
        SELECT i.treasury_id, i.instrument_id, i.amount::numeric
        FROM transfer_instruction AS i
        WHERE i.treasury_id = wanted.id AND i.direction = 'IN' AND i.ended_update_id IS NOT NULL
          AND i.ended_record_time > ${then} AND i.created_record_time <= ${then}
      ) AS open
      GROUP BY treasury_id, instrument_id
    )
    SELECT network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
      instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
      instrument.is_accepted AS "isAccepted", coalesce(held.total, 0) AS total, coalesce(held.locked, 0) AS locked,
      coalesce(held.total, 0) - coalesce(held.locked, 0) AS available, coalesce(offered.incoming, 0) AS incoming
    FROM wanted AS treasury_party
    JOIN network ON network.id = treasury_party.network_id
    JOIN instrument ON instrument.network_id = network.id
    LEFT JOIN held ON held.treasury_id = treasury_party.id AND held.instrument_id = instrument.id
    LEFT JOIN offered ON offered.treasury_id = treasury_party.id AND offered.instrument_id = instrument.id
    WHERE ${ofInstrument} AND ${keyset.where}
      AND (instrument.is_accepted OR held.total IS NOT NULL OR offered.incoming IS NOT NULL)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(
    rows.map(({ network, party, treasuryName, admin, instrumentId, instrumentName, isAccepted, ...sums }) => ({
      ...sums,
      recordTime,
      treasury: { network, party, name: treasuryName },
      instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    })),
    page,
  );
}

type PastBalanceRow = Omit<PastBalance, 'treasury' | 'instrument' | 'recordTime'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
};

export type PastAccount = Account & { readonly recordTime: Micros };
export type PastAccountBalance = Omit<AccountBalance, 'account'> & { readonly account: PastAccount };

/**
 * Of all given accounts, each at its time, in one statement: credits less debits of the entries dated up to it. An entry is dated by the
 * ledger where it follows from the ledger, and by our clock where somebody asked for it.
 */
export async function readPastAccountBalances(
  db: Database,
  accounts: readonly PastAccount[],
): Promise<PastAccountBalance[]> {
  const { rows } = await sql<
    PastAccount & Omit<Instrument, 'name'> & { readonly instrumentName: string; readonly amount: string }
  >`
    SELECT wanted.network, wanted.owner, wanted.record_time AS "recordTime", instrument.admin,
      instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName", instrument.is_accepted AS "isAccepted",
      sum(line.amount) AS amount
    FROM (SELECT DISTINCT * FROM unnest(
      ${accounts.map(({ network }) => network)}::text[],
      ${accounts.map(({ owner }) => owner)}::text[],
      ${accounts.map(({ recordTime }) => recordTime)}::bigint[]
    ) AS wanted (network, owner, record_time)) AS wanted
    JOIN network ON network.name = wanted.network
    JOIN account ON account.network_id = network.id AND account.kind = 'CUSTOMER' AND account.owner = wanted.owner
    CROSS JOIN LATERAL (
      SELECT p.entry_id, p.instrument_id, p.amount::numeric AS amount FROM posting p WHERE p.credit_account_id = account.id
      UNION ALL
      SELECT p.entry_id, p.instrument_id, -(p.amount::numeric) FROM posting p WHERE p.debit_account_id = account.id
    ) AS line
    JOIN journal_entry AS entry ON entry.id = line.entry_id AND entry.record_time <= wanted.record_time
    JOIN instrument ON instrument.id = line.instrument_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    ORDER BY 1, 2, 3, 4, 5
  `.execute(db);
  return rows.map(({ network, owner, recordTime, admin, instrumentId, instrumentName, isAccepted, amount }) => ({
    account: { network, owner, recordTime },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    amount,
  }));
}
