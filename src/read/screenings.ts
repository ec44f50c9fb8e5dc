/** What the screening service was asked, and what it said. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { ScreeningTable } from '../gen/db.ts';
import type { Account } from './accounts.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';

export type Screening = {
  readonly transferId: string;
  readonly state: ScreeningTable['state'];
  readonly account: Account;
  /** Decimal text: what came, or is offered. */
  readonly amount: string;
  /** Whether money is held for it. */
  readonly isHeld: boolean;
  readonly tries: number;
  readonly nextTryAt: Micros | null;
  readonly lastError: string | null;
  readonly caseId: string | null;
  readonly reason: string | null;
  readonly openedAt: Micros;
  readonly decidedAt: Micros | null;
};

export const keyOfScreening = ({ openedAt, transferId }: Screening): PageKey => [openedAt, transferId];

/** Newest first. Nearly all are `ALLOWED` and people ask for the others: each state gives its own page by index. @param states null: all. */
export async function listScreenings(
  db: Database,
  states: readonly Screening['state'][] | null,
  page: PageRequest,
): Promise<Page<Screening>> {
  const keyset = keysetOf([sql`s.opened_at`, sql`s.transfer_id`], 'descending', page);
  const inStates =
    states === null
      ? keyset.where
      : sql`s.transfer_id = ANY (ARRAY(
          SELECT picked.transfer_id FROM unnest(${[...states]}::text[]) AS wanted (state) CROSS JOIN LATERAL (
            SELECT s.transfer_id FROM screening s WHERE s.state = wanted.state AND ${keyset.where}
            ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
          ) AS picked))`;
  const { rows } = await sql<Row>`
    ${SELECT} WHERE ${inStates} ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(screeningOf), page);
}

/** One result per id, in their order; null where nobody was asked. */
export async function readScreenings(db: Database, transferIds: readonly string[]): Promise<(Screening | null)[]> {
  const { rows } = await sql<Row>`${SELECT} WHERE s.transfer_id = ANY (${[...transferIds]}::text[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.transferId, screeningOf(row)]));
  return transferIds.map((id) => byId.get(id) ?? null);
}

const SELECT = sql`
  SELECT s.transfer_id AS "transferId", s.state, network.name AS network, account.owner, coalesce(s.held, s.amount)::text AS amount,
    s.held IS NOT NULL AS "isHeld", s.tries, s.next_try_at AS "nextTryAt", s.last_error AS "lastError", s.case_id AS "caseId",
    s.reason, s.opened_at AS "openedAt", s.decided_at AS "decidedAt"
  FROM screening s JOIN account ON account.id = s.account_id JOIN network ON network.id = account.network_id`;

type Row = Omit<Screening, 'account'> & { readonly network: string; readonly owner: string };

function screeningOf({ network, owner, ...row }: Row): Screening {
  return { ...row, account: { network, owner } };
}
