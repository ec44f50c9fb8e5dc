/** What is on accounts, as part of a statement: summed for the accounts it is asked about, and kept balances where Sluice keeps them. */
import { type RawBuilder, sql } from 'kysely';

/**
 * @param accountId of a row before it in the FROM clause.
 * @returns `(SELECT instrument_id, balance …)`, to be joined LATERAL and given a name: credits less debits. A join with the view of all balances would sum every posting there is.
 */
export function sumsOf(accountId: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(
    SELECT line.instrument_id, sum(line.amount) AS balance FROM (
      SELECT instrument_id, amount::numeric AS amount FROM posting WHERE credit_account_id = ${accountId}
      UNION ALL
      SELECT instrument_id, -(amount::numeric) FROM posting WHERE debit_account_id = ${accountId}
    ) AS line GROUP BY 1
  )`;
}

/**
 * As {@link sumsOf}, of a customer's account: what Sluice keeps is read, however many postings there are.
 * @param isKept whether it does.
 */
export function customerSumsOf(accountId: RawBuilder<unknown>, isKept: RawBuilder<boolean>): RawBuilder<unknown> {
  return sql`(
    SELECT kept.instrument_id, kept.balance FROM customer_balance AS kept WHERE ${isKept} AND kept.account_id = ${accountId}
    UNION ALL
    SELECT summed.instrument_id, summed.balance FROM ${sumsOf(accountId)} AS summed WHERE NOT ${isKept}
  )`;
}

/** Whether Sluice keeps the balances of a network, as SQL. */
export function isKeptIn(networkId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM customer_books AS books WHERE books.network_id = ${networkId} AND books.mode = 'INTERNAL')`;
}
