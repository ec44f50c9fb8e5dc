/**
 * The invariants of withdrawals, against what the network itself committed to the payee: nobody is paid twice, nothing that was paid counts as failed, nothing counts as paid that was not, what
 * is final stays as it is, and no holding is promised to two.
 */
import type pg from 'pg';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { isFinal, type WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import type { Marks } from './marks.ts';
import type { Orders } from './orders.ts';
import { must } from './violation.ts';

export type PayoutReferee = {
  /** @throws Violation. */
  afterCommit(): Promise<void>;
  /** Whether every order was placed and has come to its end. */
  isAtRest(): Promise<boolean>;
  /** @throws Violation. */
  atRest(): Promise<void>;
  describe(): Promise<unknown>;
};

type Row = {
  readonly id: string;
  readonly key: string;
  readonly account: string;
  readonly state: WithdrawalState;
  readonly amount: string;
  readonly attempts: number;
  readonly openAttempts: number;
};

const WITHDRAWALS = `
  SELECT w.id, w.idempotency_key AS key, c.owner AS account, w.state, w.amount::text AS amount,
         (SELECT count(*)::int FROM submission s JOIN attempt a ON a.submission_id = s.id WHERE s.withdrawal_id = w.id) AS attempts,
         (SELECT count(*)::int FROM submission s JOIN attempt a ON a.submission_id = s.id WHERE s.withdrawal_id = w.id AND a.state = 'OPEN') AS "openAttempts"
  FROM withdrawal w JOIN account c ON c.id = w.account_id ORDER BY w.idempotency_key`;

/** Inputs of open attempts, one row each. Read from what will be signed, not from the reservations that are to guard it. */
const PROMISED = `
  SELECT i.contract_id AS "contractId", count(*)::int AS times,
         bool_and(EXISTS (SELECT FROM reservation r WHERE r.submission_id = a.submission_id AND r.number = a.number AND r.contract_id = i.contract_id AND r.is_open)) AS "areReserved"
  FROM attempt a CROSS JOIN LATERAL jsonb_array_elements_text(a.transfer_object->'inputHoldingCids') AS i (contract_id)
  WHERE a.state = 'OPEN' GROUP BY 1 HAVING count(*) > 1 OR NOT bool_and(EXISTS (
    SELECT FROM reservation r WHERE r.submission_id = a.submission_id AND r.number = a.number AND r.contract_id = i.contract_id AND r.is_open))`;

const LEFT_OVER = `
  SELECT r.contract_id FROM reservation r JOIN attempt a ON a.submission_id = r.submission_id AND a.number = r.number
  WHERE r.is_open AND a.state <> 'OPEN'`;

export function createPayoutReferee({
  observer,
  orders,
  marks,
}: {
  readonly observer: pg.Client;
  readonly orders: Orders;
  readonly marks: Marks;
}): PayoutReferee {
  const ends = new Map<string, WithdrawalState>();
  const unitsOf = new Map(orders.all().map(({ key, units }) => [key, units]));
  const ordered = new Set(unitsOf.values());

  const read = async (): Promise<readonly Row[]> =>
    (await observer.query<Row>({ name: 'withdrawals', text: WITHDRAWALS })).rows;

  const checkPayments = (rows: readonly Row[]): void => {
    const payments = orders.payments();
    for (const [units, times] of payments) {
      must(ordered.has(units), 'nothing is paid that nobody asked for', { units });
      must(times === 1, 'nobody is paid twice', { units, times });
    }
    for (const { key, state, amount } of rows) {
      const units = unitsOf.get(key) ?? 0n;
      must(units === parseAmount(amount), 'a withdrawal is what was asked for', { key, amount });
      const times = payments.get(units) ?? 0;
      if (state === 'COMPLETED') must(times === 1, 'what counts as paid was paid', { key });
      else if (isFinal(state)) must(times === 0, 'what was paid does not count as failed', { key, state });
    }
  };

  return {
    afterCommit: async () => {
      const rows = await read();
      checkPayments(rows);
      for (const { id, key, state, openAttempts } of rows) {
        const end = ends.get(id);
        must(end === undefined || end === state, 'what is final stays as it is', { key, was: end, is: state });
        if (isFinal(state)) ends.set(id, state);
        must(openAttempts === (state === 'IN_FLIGHT' ? 1 : 0), 'an attempt is open exactly while in flight', {
          key,
          state,
          openAttempts,
        });
      }
      const promised = await observer.query({ name: 'promised', text: PROMISED });
      must(
        promised.rows.length === 0,
        'a holding is promised to one open attempt, and reserved for it',
        promised.rows[0],
      );
    },

    isAtRest: async () => orders.arePlaced() && (await read()).every(({ state }) => isFinal(state)),

    atRest: async () => {
      const rows = await read();
      checkPayments(rows);
      must(rows.length === orders.all().length, 'every order is one withdrawal', { rows: rows.length });
      const leftOver = await observer.query({ name: 'left over', text: LEFT_OVER });
      must(leftOver.rows.length === 0, 'nothing stays reserved for what has ended', leftOver.rows[0]);
      await checkAccounts(rows);
      for (const { state, attempts } of rows) marks.add(`withdrawal ended ${state} after ${attempts} attempts`);
    },

    describe: async () => await read(),
  };

  /** Customers are debited what was paid, once, and nothing else. */
  async function checkAccounts(rows: readonly Row[]): Promise<void> {
    const balances = await observer.query<{ owner: string; total: string }>(
      `SELECT a.owner, sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id
       WHERE a.kind = 'CUSTOMER' AND a.owner LIKE 'withdrawer-%' GROUP BY 1`,
    );
    const booked = new Map(balances.rows.map(({ owner, total }) => [owner, total]));
    for (const account of new Set(rows.map((row) => row.account))) {
      const paid = rows
        .filter((row) => row.account === account && row.state === 'COMPLETED')
        .reduce((sum, { amount }) => sum + parseAmount(amount), 0n);
      const found = booked.get(account) ?? '0';
      must(
        found.replace(/^-/, '') === formatAmount(paid) || (paid === 0n && Number(found) === 0),
        'customers are debited what they were paid',
        { account, found, paid },
      );
    }
  }
}
