/**
 * Whether the books tell the same story as the ledger: what every treasury's account says equals what it holds, and every transfer is booked exactly as its
 * holdings moved. Entries that do not sum to zero need no check, there is no way to write one.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { faultsOf, type MoreFaults } from './bounded-faults.ts';
import { type CustomerFault, checkCustomers } from './check-customers.ts';
import { checkDeposits, type DepositFault } from './check-deposits.ts';
import { checkWithdrawals, type WithdrawalFault } from './check-withdrawals.ts';

/** One of them. */
export type SingleFault =
  | {
      readonly kind: 'TREASURY_OFF';
      readonly party: string;
      readonly instrument: string;
      readonly holdings: string;
      readonly booked: string;
      /** Holdings less what is booked: while it is the same, the fault is, whatever comes and goes. */
      readonly difference: string;
    }
  | { readonly kind: 'TRANSFER_OFF'; readonly transferId: string; readonly moved: string; readonly booked: string }
  | { readonly kind: 'CAUSE_UNKNOWN'; readonly cause: string }
  | { readonly kind: 'CREDIT_OFF'; readonly transferId: string }
  | CustomerFault
  | DepositFault
  | WithdrawalFault;

export type BooksFault = SingleFault | MoreFaults<SingleFault>;

/** @returns the faults found, of each check a hundred and how many more there are; empty when the books are right. One statement per check, each over a snapshot of its own; run it beside a live stream at will. */
export async function checkBooks(db: Database): Promise<readonly BooksFault[]> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (tx) => {
      const treasuries = sql<{
        party: string;
        instrument: string;
        holdings: string;
        booked: string;
        difference: string;
      }>`
        WITH held AS (
          SELECT treasury_id, instrument_id AS instrument_key, sum(amount::numeric) AS amount FROM holding
          WHERE archived_update_id IS NULL GROUP BY 1, 2
        ), booked AS (
          SELECT t.id AS treasury_id, b.instrument_id AS instrument_key, -b.balance AS amount
          FROM account_balance b
          JOIN account a ON a.id = b.account_id AND a.kind = 'TREASURY'
          JOIN treasury_party t ON t.network_id = a.network_id AND t.party = a.owner
        )
        SELECT t.party, i.admin || '/' || i.instrument_id AS instrument,
               coalesce(held.amount, 0)::text AS holdings, coalesce(booked.amount, 0)::text AS booked,
               trim_scale(coalesce(held.amount, 0) - coalesce(booked.amount, 0))::text AS difference
        FROM held FULL JOIN booked USING (treasury_id, instrument_key)
        JOIN treasury_party t ON t.id = treasury_id
        JOIN instrument i ON i.id = instrument_key
        WHERE coalesce(held.amount, 0) <> coalesce(booked.amount, 0)`;

      // What was booked for a transfer that is gone, derived anew, and taken back by a correction, is no fault.
      const transfers = sql<{ transferId: string; moved: string | null; booked: string; cause: string | null }>`
        WITH booked AS (
          SELECT split_part(e.cause, ':', 2) AS transfer_id, p.instrument_id, min(e.cause) AS cause,
                 sum(CASE WHEN d.kind = 'TREASURY' THEN p.amount::numeric ELSE 0 END
                   - CASE WHEN c.kind = 'TREASURY' THEN p.amount::numeric ELSE 0 END) AS amount
          FROM journal_entry e
          JOIN posting p ON p.entry_id = e.id
          JOIN account d ON d.id = p.debit_account_id
          JOIN account c ON c.id = p.credit_account_id
          WHERE e.cause LIKE 'transfer:%' GROUP BY 1, 2
        ), moved AS (
          SELECT id AS transfer_id, instrument_id, holdings_delta::numeric AS amount FROM transfer
        )
        SELECT transfer_id AS "transferId", moved.amount::text AS moved, coalesce(booked.amount, 0)::text AS booked, booked.cause
        FROM moved FULL JOIN booked USING (transfer_id, instrument_id)
        WHERE coalesce(moved.amount, 0) <> coalesce(booked.amount, 0)`;

      // An entry follows from an update that is there, whatever else its cause says behind it.
      const updates = sql<{ cause: string }>`
        SELECT e.cause FROM journal_entry e JOIN transfer t ON t.id = split_part(e.cause, ':', 2)
        WHERE e.cause LIKE 'transfer:%' AND e.cause NOT LIKE 'transfer:%:corrected:%' AND NOT EXISTS (
          SELECT FROM ledger_update u WHERE u.treasury_id = t.treasury_id
            AND u.update_id = regexp_replace(regexp_replace(e.cause, '^transfer:[^:]*:', ''), ':suspended$', '')
        )`;

      // Who was decided to have it is whom it was booked to; both ways.
      const credits = sql<{ transferId: string }>`
        WITH credited AS (
          SELECT DISTINCT split_part(e.cause, ':', 2) AS transfer_id, c.id AS account_id
          FROM journal_entry e JOIN posting p ON p.entry_id = e.id JOIN account c ON c.id = p.credit_account_id
          WHERE c.kind = 'CUSTOMER' AND (e.cause LIKE 'transfer:%' OR e.cause LIKE 'screening:%' OR e.cause LIKE 'desk:%')
        )
        SELECT coalesce(a.transfer_id, credited.transfer_id) AS "transferId"
        FROM attribution a
        FULL JOIN credited ON credited.transfer_id = a.transfer_id AND credited.account_id = a.account_id
        LEFT JOIN transfer t ON t.id = a.transfer_id
        WHERE a.transfer_id IS NULL OR t.id IS NULL OR t.status <> 'COMPLETED' OR t.holdings_delta <= 0
          OR credited.transfer_id IS NULL`;

      return [
        ...(await faultsOf(tx, treasuries, (row) => ({ kind: 'TREASURY_OFF' as const, ...row }))),
        ...(await faultsOf(tx, transfers, ({ transferId, moved, booked, cause }) =>
          moved === null && cause !== null
            ? { kind: 'CAUSE_UNKNOWN' as const, cause }
            : { kind: 'TRANSFER_OFF' as const, transferId, moved: moved ?? '0', booked },
        )),
        ...(await faultsOf(tx, updates, ({ cause }) => ({ kind: 'CAUSE_UNKNOWN' as const, cause }))),
        ...(await faultsOf(tx, credits, ({ transferId }) => ({ kind: 'CREDIT_OFF' as const, transferId }))),
        ...(await checkCustomers(tx)),
        ...(await checkDeposits(tx)),
        ...(await checkWithdrawals(tx)),
      ];
    });
}
