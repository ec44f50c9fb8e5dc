/**
 * Whether what waits is what was decided to wait: the accounts of nobody's deposits, of held ones and of refunds say exactly what the cases at the desk and the
 * open screenings say.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { faultsOf, type MoreFaults } from './bounded-faults.ts';

export type DepositFault = {
  readonly kind: 'WAITING_OFF';
  readonly account: string;
  readonly instrument: string;
  readonly expected: string;
  readonly booked: string;
  readonly difference: string;
};

/** @param tx one snapshot for all checks. @returns all faults found. */
export async function checkDeposits(tx: Transaction): Promise<readonly (DepositFault | MoreFaults<DepositFault>)[]> {
  const check = sql<Omit<DepositFault, 'kind'>>`
    WITH waiting AS (
      -- A refund that is under way has left the account; one that was not paid has come back.
      SELECT c.funds_account_id AS account_id, c.instrument_id, c.amount::numeric AS amount
      FROM desk_case c LEFT JOIN withdrawal w ON w.id = c.withdrawal_id
      WHERE c.funds_account_id IS NOT NULL
        AND (c.state = 'OPEN' OR w.state IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED'))
      UNION ALL
      -- One of before a restore that counts no longer, beside one that was paid, owes what it took until it has ended.
      SELECT w.account_id, w.instrument_id, -w.amount::numeric
      FROM desk_case c JOIN account payer ON payer.kind = 'REFUNDS' AND payer.owner = c.transfer_id
      JOIN withdrawal w ON w.account_id = payer.id AND w.id IS DISTINCT FROM c.withdrawal_id
      WHERE w.recovered_at IS NULL AND w.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED')
      UNION ALL
      SELECT holding.id, s.instrument_id, s.held::numeric
      FROM screening s JOIN account a ON a.id = s.account_id
      JOIN account holding ON holding.network_id = a.network_id AND holding.kind = 'HELD' AND holding.owner = a.owner
      WHERE s.state IN ('WAITING', 'PARKED') AND s.held IS NOT NULL
    ), expected AS (
      SELECT account_id, instrument_id AS instrument_key, sum(amount) AS amount FROM waiting GROUP BY 1, 2
    ), booked AS (
      SELECT b.account_id, b.instrument_id AS instrument_key, b.balance AS amount
      FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind IN ('UNATTRIBUTED', 'HELD', 'REFUNDS')
    )
    SELECT a.kind || ' ' || a.owner AS account, i.admin || '/' || i.instrument_id AS instrument,
      coalesce(expected.amount, 0)::text AS expected, coalesce(booked.amount, 0)::text AS booked,
      trim_scale(coalesce(booked.amount, 0) - coalesce(expected.amount, 0))::text AS difference
    FROM expected FULL JOIN booked USING (account_id, instrument_key)
    JOIN account a ON a.id = account_id JOIN instrument i ON i.id = instrument_key
    WHERE coalesce(expected.amount, 0) <> coalesce(booked.amount, 0)`;
  return await faultsOf(tx, check, (row) => ({ kind: 'WAITING_OFF' as const, ...row }));
}
