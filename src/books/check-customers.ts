/**
 * Whether the balances of customers are what the journal says, where Sluice keeps them; whether post transfers and their entries belong together; and whether all accounts of an instrument add up to
 * what its treasuries hold.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { faultsOf, type MoreFaults } from './bounded-faults.ts';

export type CustomerFault =
  | {
      readonly kind: 'CUSTOMER_BALANCE_OFF';
      readonly account: string;
      readonly instrument: string;
      readonly kept: string;
      readonly booked: string;
      readonly difference: string;
    }
  | {
      readonly kind: 'CUSTOMER_NEGATIVE';
      readonly account: string;
      readonly instrument: string;
      readonly booked: string;
      /** The newest entry that took from it: nothing may, while there is less than nothing. */
      readonly debitedBy: string;
    }
  | { readonly kind: 'POST_TRANSFER_OFF'; readonly cause: string; readonly why: string }
  | {
      readonly kind: 'BOOKS_UNBALANCED';
      readonly network: string;
      readonly instrument: string;
      readonly difference: string;
    };

/** @param tx one snapshot for all checks. @returns all faults found. */
export async function checkCustomers(tx: Transaction): Promise<readonly (CustomerFault | MoreFaults<CustomerFault>)[]> {
  // Where the exchange keeps them nothing may be kept here: it would be stale at the next switch.
  const balances = sql`
    WITH booked AS (
      SELECT b.account_id, b.instrument_id AS instrument_key, b.balance FROM account_balance b
      JOIN account a ON a.id = b.account_id AND a.kind = 'CUSTOMER'
      JOIN customer_books m ON m.network_id = a.network_id AND m.mode = 'INTERNAL'
    ), kept AS (
      SELECT account_id, instrument_id AS instrument_key, balance FROM customer_balance
    )
    SELECT account_id, instrument_key, a.owner AS account, i.admin || '/' || i.instrument_id AS instrument, coalesce(kept.balance, 0)::text AS kept,
      coalesce(booked.balance, 0)::text AS booked, coalesce(kept.balance, 0) - coalesce(booked.balance, 0) AS difference
    FROM booked FULL JOIN kept USING (account_id, instrument_key)
    JOIN account a ON a.id = account_id JOIN instrument i ON i.id = instrument_key`;
  const off = sql<{ account: string; instrument: string; kept: string; booked: string; difference: string }>`
    SELECT account, instrument, kept, booked, trim_scale(difference)::text AS difference FROM (${balances}) AS balance WHERE difference <> 0`;
  const negative = sql<{ account: string; instrument: string; booked: string; debitedBy: string }>`
    SELECT account, instrument, booked, (
        SELECT coalesce(max(p.entry_id), 0)::text FROM posting p WHERE p.debit_account_id = account_id AND p.instrument_id = instrument_key
      ) AS "debitedBy"
    FROM (${balances}) AS balance WHERE booked::numeric < 0`;
  const posts = sql<{ cause: string; why: string }>`
    SELECT coalesce(e.cause, 'post:' || t.id) AS cause,
      CASE WHEN t.id IS NULL THEN 'nobody posted it' WHEN e.id IS NULL THEN 'it was not booked' ELSE 'it moves what may not be posted' END AS why
    FROM (SELECT id, cause FROM journal_entry WHERE cause LIKE 'post:%') AS e
    FULL JOIN post_transfer t ON 'post:' || t.id = e.cause
    WHERE t.id IS NULL OR e.id IS NULL OR EXISTS (
      SELECT FROM posting p JOIN account a ON a.id IN (p.debit_account_id, p.credit_account_id)
      WHERE p.entry_id = e.id AND (a.network_id <> t.network_id OR a.kind NOT IN ('CUSTOMER', 'FEES', 'HOUSE', 'SHORTFALL'))
    )`;
  const sums = sql<{ network: string; instrument: string; difference: string }>`
    SELECT n.name AS network, i.admin || '/' || i.instrument_id AS instrument, trim_scale(sum(b.balance))::text AS difference
    FROM account_balance b JOIN account a ON a.id = b.account_id JOIN network n ON n.id = a.network_id JOIN instrument i ON i.id = b.instrument_id
    GROUP BY n.id, i.id HAVING sum(b.balance) <> 0`;
  return [
    ...(await faultsOf(tx, off, (row) => ({ kind: 'CUSTOMER_BALANCE_OFF' as const, ...row }))),
    ...(await faultsOf(tx, negative, (row) => ({ kind: 'CUSTOMER_NEGATIVE' as const, ...row }))),
    ...(await faultsOf(tx, posts, (row) => ({ kind: 'POST_TRANSFER_OFF' as const, ...row }))),
    ...(await faultsOf(tx, sums, (row) => ({ kind: 'BOOKS_UNBALANCED' as const, ...row }))),
  ];
}
