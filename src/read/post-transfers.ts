/** What services moved between accounts, as it was booked. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';

export type PostTransfer = {
  readonly id: string;
  readonly client: string;
  readonly idempotencyKey: string;
  readonly reference: string | null;
  readonly postedAt: Micros;
};

export type PostTransferLine = {
  readonly postTransferId: string;
  /** Null: one of the house's. */
  readonly account: Account | null;
  /** Null: a customer's. */
  readonly houseAccount: string | null;
  readonly instrument: Instrument;
  /** Decimal text; what the account gained, below zero: lost. */
  readonly amount: string;
};

/** One result per id, in the order of `ids`; null where there is none. */
export async function readPostTransfers(db: Database, ids: readonly string[]): Promise<(PostTransfer | null)[]> {
  const { rows } = await sql<PostTransfer>`
    SELECT id, client, idempotency_key AS "idempotencyKey", reference, posted_at AS "postedAt"
    FROM post_transfer WHERE id = ANY (${[...ids]}::text[])`.execute(db);
  return ids.map((id) => rows.find((row) => row.id === id) ?? null);
}

/** Of all given ones in one statement, by account and instrument: customers first. */
export async function readPostTransferLines(db: Database, ids: readonly string[]): Promise<PostTransferLine[]> {
  const { rows } = await sql<
    Omit<Instrument, 'name'> & { id: string; kind: string; owner: string; instrumentName: string; amount: string }
  >`
    SELECT wanted.id, a.kind, a.owner, n.name AS network, i.admin, i.instrument_id AS "instrumentId", i.name AS "instrumentName",
      i.is_accepted AS "isAccepted", sum(leg.amount)::text AS amount
    FROM unnest(${[...ids]}::text[]) AS wanted (id)
    JOIN journal_entry e ON e.cause = 'post:' || wanted.id
    JOIN posting p ON p.entry_id = e.id
    CROSS JOIN LATERAL (VALUES (p.credit_account_id, p.amount::numeric), (p.debit_account_id, -(p.amount::numeric))) AS leg (account_id, amount)
    JOIN account a ON a.id = leg.account_id JOIN network n ON n.id = a.network_id JOIN instrument i ON i.id = p.instrument_id
    GROUP BY wanted.id, a.id, n.id, i.id
    ORDER BY wanted.id, a.kind <> 'CUSTOMER', a.kind, a.owner, i.admin, i.instrument_id`.execute(db);
  return rows.map(({ id, kind, owner, network, admin, instrumentId, instrumentName, isAccepted, amount }) => ({
    postTransferId: id,
    account: kind === 'CUSTOMER' ? { network, owner } : null,
    houseAccount: kind === 'CUSTOMER' ? null : kind,
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    amount,
  }));
}
