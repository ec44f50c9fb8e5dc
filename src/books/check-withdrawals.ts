/**
 * Whether withdrawals, their bookings and the ledger tell one story: each is debited once and paid or booked back once, each payment is a transfer that was seen and is nobody else's, and holdings
 * are reserved for open attempts alone.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { faultsOf, type MoreFaults } from './bounded-faults.ts';

export type WithdrawalFault =
  | {
      readonly kind: 'WITHDRAWAL_OFF';
      readonly withdrawalId: string;
      readonly expected: string;
      readonly booked: string;
      /** What is wrong with it, the same however far it has come meanwhile. */
      readonly difference: string;
    }
  | { readonly kind: 'PAYMENT_OFF'; readonly withdrawalId: string; readonly why: string }
  | { readonly kind: 'RESERVATION_OFF'; readonly submissionId: string; readonly attempt: number; readonly why: string };

/** @param tx one snapshot for all checks. @returns the faults found, of each check a hundred and how many more there are. */
export async function checkWithdrawals(
  tx: Transaction,
): Promise<readonly (WithdrawalFault | MoreFaults<WithdrawalFault>)[]> {
  const found: (WithdrawalFault | MoreFaults<WithdrawalFault>)[] = [];
  for (const check of [OWNERS, BOOKINGS]) {
    found.push(...(await faultsOf(tx, check, (row) => ({ kind: 'WITHDRAWAL_OFF' as const, ...row }))));
  }
  for (const check of [PAYMENTS, SHARED_PAYMENTS, PAID_ALL_THE_SAME]) {
    found.push(...(await faultsOf(tx, check, (row) => ({ kind: 'PAYMENT_OFF' as const, ...row }))));
  }
  found.push(...(await faultsOf(tx, RESERVATIONS, (row) => ({ kind: 'RESERVATION_OFF' as const, ...row }))));
  return found;
}

type Booking = Omit<Extract<WithdrawalFault, { readonly kind: 'WITHDRAWAL_OFF' }>, 'kind'>;
type Payment = { readonly withdrawalId: string; readonly why: string };
type Reserved = { readonly submissionId: string; readonly attempt: number; readonly why: string };

const FINAL = sql`('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED')`;

/** What waits on the withdrawals' account for each: its amount until it is decided, then nothing. */
const BOOKINGS: RawBuilder<Booking> = sql<Booking>`
    WITH booked AS (
      SELECT split_part(e.cause, ':', 2) AS id,
        sum(CASE WHEN c.kind = 'WITHDRAWALS' THEN p.amount::numeric ELSE 0 END
          - CASE WHEN d.kind = 'WITHDRAWALS' THEN p.amount::numeric ELSE 0 END) AS amount
      FROM journal_entry e JOIN posting p ON p.entry_id = e.id
      JOIN account d ON d.id = p.debit_account_id JOIN account c ON c.id = p.credit_account_id
      WHERE e.cause LIKE 'withdrawal:%' GROUP BY 1
    ), wanted AS (
      SELECT id, CASE WHEN state IN ${FINAL} THEN 0 ELSE amount::numeric END AS amount FROM withdrawal
    )
    SELECT id AS "withdrawalId", coalesce(wanted.amount, 0)::text AS expected, coalesce(booked.amount, 0)::text AS booked,
      trim_scale(coalesce(booked.amount, 0) - coalesce(wanted.amount, 0))::text AS difference
    FROM wanted FULL JOIN booked USING (id)
    WHERE coalesce(wanted.amount, 0) <> coalesce(booked.amount, 0)
      OR wanted.id IS NULL
      OR NOT EXISTS (SELECT FROM journal_entry WHERE cause = 'withdrawal:' || wanted.id || ':requested')`;

/** Whoever asked is the one who is debited, and the one who gets it back, less what was kept as a fee; in the instrument that was asked for. */
const OWNERS: RawBuilder<Booking> = sql<Booking>`
    SELECT w.id AS "withdrawalId", 'account ' || w.account_id || ', instrument ' || w.instrument_id AS expected,
      'account ' || own.account_id || ', instrument ' || own.instrument_id AS booked,
      e.cause || ', account ' || own.account_id || ', instrument ' || own.instrument_id AS difference
    FROM withdrawal w
    JOIN journal_entry e ON e.cause IN ('withdrawal:' || w.id || ':requested', 'withdrawal:' || w.id || ':back')
    JOIN LATERAL (
      SELECT CASE WHEN e.cause LIKE '%:requested' THEN p.debit_account_id ELSE p.credit_account_id END AS account_id, p.instrument_id
      FROM posting p JOIN account c ON c.id = p.credit_account_id
      WHERE p.entry_id = e.id AND NOT (c.kind = 'FEES' AND w.state = 'RETURNED' AND e.cause LIKE '%:back' AND p.instrument_id = w.instrument_id)
    ) AS own ON own.account_id <> w.account_id OR own.instrument_id <> w.instrument_id`;

/** Each completed one has a transfer, of what was asked for. */
const PAYMENTS: RawBuilder<Payment> = sql<Payment>`
    SELECT w.id AS "withdrawalId", CASE
        WHEN t.id IS NULL THEN 'its transfer is not there'
        WHEN t.direction <> 'OUT' OR t.status <> 'COMPLETED' THEN 'its transfer did not pay'
        WHEN t.treasury_id <> w.treasury_id OR t.instrument_id <> w.instrument_id OR t.amount::numeric <> w.amount::numeric
          THEN 'its transfer paid something else'
        ELSE 'its transfer paid somebody else'
      END AS why
    FROM withdrawal w LEFT JOIN transfer t ON t.id = w.transfer_id
    WHERE w.state = 'COMPLETED'
      -- Where nobody could read it, two people said so.
      AND NOT EXISTS (SELECT FROM withdrawal_resolution r WHERE r.withdrawal_id = w.id AND r.state = 'DONE' AND r.outcome = 'COMPLETED')
      AND (t.id IS NULL OR t.direction <> 'OUT' OR t.status <> 'COMPLETED'
      OR t.treasury_id <> w.treasury_id OR t.instrument_id <> w.instrument_id OR t.amount::numeric <> w.amount::numeric
      OR t.counterparty <> w.receiver)`;

/** No transfer is that of two. */
const SHARED_PAYMENTS: RawBuilder<Payment> = sql<Payment>`
    SELECT min(id) AS "withdrawalId", 'its transfer is also that of ' || max(id) AS why FROM withdrawal WHERE transfer_id IS NOT NULL
    GROUP BY transfer_id HAVING count(*) > 1`;

/** Of those that ended unpaid no attempt was ever seen. */
const PAID_ALL_THE_SAME: RawBuilder<Payment> = sql<Payment>`
    SELECT w.id AS "withdrawalId", 'it ended unpaid, and attempt ' || a.number || ' was seen on the ledger' AS why
    FROM withdrawal w JOIN submission s ON s.withdrawal_id = w.id JOIN attempt a ON a.submission_id = s.id
    WHERE w.state IN ('REJECTED', 'CANCELLED', 'FAILED') AND a.state = 'SETTLED'`;

/** What an open attempt may spend is what its transfer names, or the offer it ends, all of it reserved for it; an ended one has nothing, and nobody else reserves. */
const RESERVATIONS: RawBuilder<Reserved> = sql<Reserved>`
    WITH reserved AS (
      SELECT submission_id, number, array_agg(contract_id ORDER BY contract_id) AS inputs FROM reservation WHERE is_open GROUP BY 1, 2
    ), named AS (
      -- The transfer of an offer to us spends what is its sender's; what is reserved for its end is a contract that stands for the offer.
      SELECT a.submission_id, a.number, CASE WHEN s.purpose IN ('WITHDRAWAL', 'SELF_TRANSFER')
        THEN ARRAY(SELECT value FROM jsonb_array_elements_text(a.transfer_object->'inputHoldingCids') ORDER BY value)
        ELSE ARRAY(
          SELECT i.contract_id FROM offer_action o JOIN transfer_instruction i ON i.treasury_id = o.treasury_id AND i.transfer_id = o.transfer_id
          JOIN reservation r ON r.treasury_id = i.treasury_id AND r.contract_id = i.contract_id
          WHERE o.id = s.offer_action_id AND r.submission_id = a.submission_id AND r.number = a.number
          UNION ALL
          SELECT i.contract_id FROM withdrawal w JOIN transfer_instruction i ON i.treasury_id = w.treasury_id AND i.transfer_id = w.transfer_id
          JOIN reservation r ON r.treasury_id = i.treasury_id AND r.contract_id = i.contract_id
          WHERE w.id = s.offer_return_id AND r.submission_id = a.submission_id AND r.number = a.number LIMIT 1
        ) END AS inputs
      FROM attempt a JOIN submission s ON s.id = a.submission_id WHERE a.state = 'OPEN'
    )
    SELECT submission_id AS "submissionId", number::int AS attempt,
      CASE WHEN named.inputs IS NULL THEN 'holdings are reserved for it, and it is not open'
        ELSE 'what is reserved is not what its transfer spends' END AS why
    FROM named FULL JOIN reserved USING (submission_id, number)
    WHERE named.inputs IS DISTINCT FROM reserved.inputs`;
