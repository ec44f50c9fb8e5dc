/** The journal of a customer's account: what came and went, by instrument, and what each follows from. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import { type Reach, withinReach } from './reach.ts';

export type JournalCauseKind =
  | 'DEPOSIT'
  | 'WITHDRAWAL'
  | 'WITHDRAWAL_RETURNED'
  | 'POST_TRANSFER'
  | 'SHORTFALL'
  | 'CORRECTION';

export type JournalItem = {
  /** The database's numbers: where it stands in the list. */
  readonly key: { readonly entry: bigint; readonly instrument: number };
  readonly instrument: Instrument;
  /** Decimal text; below zero where it went. */
  readonly amount: string;
  readonly kind: JournalCauseKind;
  /** Of the transfer, withdrawal or post transfer. */
  readonly causeId: string;
  readonly recordTime: Micros;
};

export type JournalFilter = {
  readonly account: Account;
  readonly instrument: { readonly admin: string; readonly instrumentId: string } | null;
  /** Inclusive. */
  readonly from: Micros | null;
  /** Exclusive. */
  readonly to: Micros | null;
};

export const keyOfJournalItem = ({ key }: JournalItem): PageKey => [key.entry, BigInt(key.instrument)];

/**
 * Newest booked first. The indexes of postings have (account, instrument, entry), so that each instrument gives its newest entries at once, and their order is made of those.
 */
export async function listJournal(
  db: Database,
  { account, instrument, from, to }: JournalFilter,
  reach: Reach,
  page: PageRequest,
): Promise<Page<JournalItem>> {
  const keyset = keysetOf([sql`leg.entry_id`, sql`i.id::bigint`], 'descending', page);
  const legs = (side: RawBuilder<unknown>) => sql`
    SELECT DISTINCT leg.entry_id FROM posting leg JOIN journal_entry e ON e.id = leg.entry_id
    WHERE leg.${side} = a.id AND leg.instrument_id = i.id AND ${boundsOf(page)} AND ${keyset.where}
      AND (${from}::bigint IS NULL OR e.record_time >= ${from}::bigint) AND (${to}::bigint IS NULL OR e.record_time < ${to}::bigint)
    ORDER BY leg.entry_id ${page.isFromEnd ? sql`ASC` : sql`DESC`} LIMIT ${keyset.limit}`;
  const { rows } = await sql<
    Omit<Instrument, 'name'> & {
      entry: bigint;
      instrumentKey: number;
      instrumentName: string;
      amount: string;
      cause: string;
      recordTime: bigint;
    }
  >`
    WITH a AS (
      SELECT account.id, account.network_id FROM account JOIN network ON network.id = account.network_id
      WHERE account.kind = 'CUSTOMER' AND network.name = ${account.network} AND account.owner = ${account.owner}
        AND ${withinReach(reach, sql`account.id`)}
    ), leg AS (
      SELECT entry.entry_id, i.id AS instrument_id, a.id AS account_id
      FROM a JOIN instrument i ON i.network_id = a.network_id
      CROSS JOIN LATERAL ((${legs(sql`credit_account_id`)}) UNION (${legs(sql`debit_account_id`)})) AS entry
      WHERE ${instrument === null ? sql`true` : sql`i.admin = ${instrument.admin} AND i.instrument_id = ${instrument.instrumentId}`}
    )
    SELECT leg.entry_id AS entry, i.id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId", i.name AS "instrumentName",
      i.is_accepted AS "isAccepted", moved.amount, e.cause, e.record_time AS "recordTime"
    FROM leg JOIN instrument i ON i.id = leg.instrument_id JOIN journal_entry e ON e.id = leg.entry_id
    CROSS JOIN LATERAL (
      SELECT sum(CASE WHEN p.credit_account_id = leg.account_id THEN p.amount::numeric ELSE -(p.amount::numeric) END)::text AS amount
      FROM posting p
      WHERE p.entry_id = leg.entry_id AND p.instrument_id = leg.instrument_id AND leg.account_id IN (p.credit_account_id, p.debit_account_id)
    ) AS moved
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  const items = rows.map((row): JournalItem => {
    const { entry, instrumentKey, instrumentName: name, admin, instrumentId, isAccepted, amount, recordTime } = row;
    const { network } = account;
    return {
      key: { entry, instrument: instrumentKey },
      instrument: { network, admin, instrumentId, name, isAccepted },
      amount,
      recordTime,
      ...causeOf(row.cause),
    };
  });
  return pageOf(items, page);
}

/** The part of a page's bounds that the index can begin at; the rest compares the instrument as well. */
function boundsOf({ after, before }: PageRequest): RawBuilder<boolean> {
  const [newest, oldest] = [after?.[0], before?.[0]];
  const conditions = [sql<boolean>`true`];
  if (typeof newest === 'bigint') conditions.push(sql<boolean>`leg.entry_id <= ${newest}::bigint`);
  if (typeof oldest === 'bigint') conditions.push(sql<boolean>`leg.entry_id >= ${oldest}::bigint`);
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
}

/** Causes are made where entries are booked (src/books, src/deposits, src/withdrawals): a word and the id of what it follows from. */
function causeOf(cause: string): { readonly kind: JournalCauseKind; readonly causeId: string } {
  const [what = '', causeId = ''] = cause.split(':');
  switch (what) {
    case 'transfer':
      return { kind: cause.includes(':corrected:') ? 'CORRECTION' : 'DEPOSIT', causeId };
    case 'desk':
    case 'screening':
      return { kind: 'DEPOSIT', causeId };
    case 'withdrawal':
      return { kind: cause.endsWith(':back') ? 'WITHDRAWAL_RETURNED' : 'WITHDRAWAL', causeId };
    case 'post':
      return { kind: 'POST_TRANSFER', causeId };
    case 'shortfall':
      return { kind: 'SHORTFALL', causeId };
    default:
      return { kind: 'CORRECTION', causeId };
  }
}
