/**
 * Where the money of a deposit is, and so who decides about it: the one reading that a verdict and the desk both go by, under the locks that both take.
 *
 *   EXPECTED  it is offered, nothing has come. A verdict is noted, people may say whose it will be.
 *   HELD      on the held account of the customer it is for. The screening service decides.
 *   AT_DESK   on the account that its case names. People decide; a verdict is noted, for them.
 *   SETTLED   credited, or on its way back to its sender. Nobody decides; a verdict is noted.
 *   OVER      it ended without bringing anything, or is no longer derived. Nobody decides.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { lockDeskCases } from './desk-case-rows.ts';
import { lockScreenings, type ScreeningRow } from './screening-rows.ts';

export type DepositPlace = {
  readonly place: 'EXPECTED' | 'HELD' | 'AT_DESK' | 'SETTLED' | 'OVER';
  /** Null: nobody was asked. */
  readonly screening: ScreeningRow | null;
  /** Whether the transfer, as it is derived now, is the offer, or brought the money, that we go by. */
  readonly isAsTheLedgerSays: boolean;
};

/** Locks the case, then the screening, as everybody does. */
export async function lockPlace(tx: Transaction, transferId: string): Promise<DepositPlace> {
  await lockDeskCases(tx, [transferId]);
  const screenings = await lockScreenings(tx, [transferId]);
  // A statement of its own, which sees what the locks waited for.
  const { rows } = await sql<Pick<DepositPlace, 'place' | 'isAsTheLedgerSays'>>`
    SELECT found.place, CASE found.place WHEN 'EXPECTED' THEN true WHEN 'OVER' THEN false
      ELSE coalesce(t.status = 'COMPLETED' AND t.holdings_delta::numeric = found.amount, false) END AS "isAsTheLedgerSays"
    FROM (SELECT ${transferId}::text AS id) AS one
    LEFT JOIN desk_case c ON c.transfer_id = one.id
    LEFT JOIN screening s ON s.transfer_id = one.id
    LEFT JOIN attribution a ON a.transfer_id = one.id
    LEFT JOIN transfer t ON t.id = one.id
    CROSS JOIN LATERAL (SELECT coalesce(c.amount, s.held)::numeric AS amount, CASE
      WHEN a.transfer_id IS NOT NULL OR c.state = 'REFUNDED' THEN 'SETTLED'
      WHEN c.funds_account_id IS NOT NULL THEN 'AT_DESK'
      WHEN s.held IS NOT NULL THEN 'HELD'
      WHEN t.status = 'PENDING' THEN 'EXPECTED'
      ELSE 'OVER' END AS place) AS found`.execute(tx);
  return { ...(rows[0] ?? { place: 'OVER', isAsTheLedgerSays: false }), screening: screenings.get(transferId) ?? null };
}
