/**
 * The invariants of withdrawals, against what the network itself committed to the payee: nobody is paid twice, nothing that was paid counts as failed, nothing counts as paid that was not, what
 * is final stays as it is, and no holding is promised to two.
 */
import type pg from 'pg';
import { amountOf, formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { isFinal, type WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import { HALT_VIEW, type Halts, type HaltView } from './halts.ts';
import type { Hiding } from './hiding.ts';
import type { Marks } from './marks.ts';
import type { Orders } from './orders.ts';
import type { Payables } from './payables.ts';
import type { Policies } from './policies.ts';
import type { Pools } from './pools.ts';
import { named } from './server-sessions.ts';
import { must } from './violation.ts';

export type PayoutReferee = {
  /** @throws Violation. */
  afterCommit(view: PayoutView): void;
  /** The database went back, and the ledger did not. */
  wentBack(): void;
  /** Whether every order was placed and has come to its end. */
  isAtRest(): boolean;
  /** @throws Violation. */
  atRest(): Promise<void>;
  describe(): Promise<unknown>;
};

/** What it looks at after every commit; {@link PAYOUT_VIEW} reads it. */
export type PayoutView = HaltView & {
  readonly withdrawals: readonly Row[];
  readonly promised: readonly unknown[];
  /** What was debited for withdrawals and is neither paid nor given back. */
  readonly owed: string;
  /** Reserved, and archived in the ledger by somebody else. */
  readonly lostInputs: number;
  /** Transfers to ourselves that are under way. */
  readonly selfTransfers: number;
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
  FROM attempt a JOIN submission s ON s.id = a.submission_id AND s.purpose IN ('WITHDRAWAL', 'SELF_TRANSFER')
  CROSS JOIN LATERAL jsonb_array_elements_text(a.transfer_object->'inputHoldingCids') AS i (contract_id)
  WHERE a.state = 'OPEN' GROUP BY 1 HAVING count(*) > 1 OR NOT bool_and(EXISTS (
    SELECT FROM reservation r WHERE r.submission_id = a.submission_id AND r.number = a.number AND r.contract_id = i.contract_id AND r.is_open))`;

/** Columns of one row. */
export const PAYOUT_VIEW = `
  (SELECT coalesce(json_agg(w), '[]') FROM (${WITHDRAWALS}) AS w) AS withdrawals,
  (SELECT coalesce(json_agg(p), '[]') FROM (${PROMISED}) AS p) AS promised,
  (SELECT coalesce(abs(sum(b.balance)), 0)::text FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'WITHDRAWALS') AS owed,
  (SELECT count(*)::int FROM reservation r JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
   WHERE r.is_open AND h.archived_update_id IS NOT NULL) AS "lostInputs",
  (SELECT count(*)::int FROM self_transfer WHERE state = 'IN_FLIGHT') AS "selfTransfers", ${HALT_VIEW}`;

/** Whether it is the ledger that says so; what else is final may be asked for again after a restore. */
const isOfLedger = (state: WithdrawalState): boolean => state === 'COMPLETED' || state === 'RETURNED';

const NOTHING_LOST: ReadonlyMap<string, bigint> = new Map();

const LEFT_OVER = `
  SELECT r.contract_id FROM reservation r JOIN attempt a ON a.submission_id = r.submission_id AND a.number = r.number
  WHERE r.is_open AND a.state <> 'OPEN'`;

export function createPayoutReferee({
  observer,
  orders,
  payables,
  halts,
  marks,
  pools,
  policies,
  hidden,
}: {
  readonly observer: pg.Client;
  readonly orders: Orders;
  readonly payables: Payables;
  readonly halts: Halts;
  readonly hidden: Hiding['mode'];
  readonly marks: Marks;
  readonly pools: Pools;
  readonly policies: Policies;
}): PayoutReferee {
  const ends = new Map<string, WithdrawalState>();
  /** Keys of what had ended by the ledger before the database went back: it ends as it had. */
  const lostEnds = new Map<string, WithdrawalState>();
  /** Key → units of what had not failed when the database went back: whoever is paid may be paid by it, before the ledger has told of it. */
  const lostTries = new Map<string, bigint>();
  let newest: readonly Row[] = [];
  let selfTransfersUnderWay = 0;
  const keys = new Set(orders.all().map(({ key }) => key));

  const read = async (): Promise<readonly Row[]> =>
    (await observer.query<Row>({ name: 'withdrawals', text: WITHDRAWALS })).rows;

  const checkPayments = (rows: readonly Row[], lost: ReadonlyMap<string, bigint>): void => {
    const known = new Set(rows.map(({ key }) => key));
    const payments = payables.payments();
    for (const [units, times] of payments) {
      must(payables.find(formatAmount(amountOf(units))) !== undefined, 'nothing is paid that nobody asked for', {
        units,
      });
      must(times === 1, 'nobody is paid twice', { units, times });
    }
    const rowsOf = Map.groupBy(rows, ({ amount }): bigint => parseAmount(amount));
    for (const { key, account, state, amount } of rows) {
      const payable = payables.find(amount);
      must(
        payable !== undefined && (payable.key ?? key) === key && (payable.account ?? account) === account,
        'a withdrawal is what was asked for',
        { key, account, amount },
      );
      const times = payments.get(payable.units) ?? 0;
      // A refund that was not paid may have been asked for anew, and paid then.
      const isAnothers = (rowsOf.get(payable.units) ?? []).some(
        (other) => other.key !== key && (other.state === 'COMPLETED' || !isFinal(other.state)),
      );
      const isLostOnes = [...lost].some(([lostKey, units]) => units === payable.units && !known.has(lostKey));
      if (state === 'COMPLETED') must(times === 1 && !isAnothers, 'what counts as paid was paid', { key });
      // Who is not shown a payment, nor that its inputs are gone, cannot know of it.
      else if (isFinal(state) && hidden !== 'CONTRACTS_TOO')
        must(times === 0 || isAnothers || isLostOnes, 'what was paid does not count as failed', { key, state });
    }
  };

  return {
    afterCommit: ({ withdrawals: rows, promised, owed, lostInputs, selfTransfers, ...halted }) => {
      newest = rows;
      policies.note(rows);
      selfTransfersUnderWay = selfTransfers;
      halts.note(halted);
      if (lostInputs > 0) marks.add('reserved holding archived by somebody else');
      const open = rows
        .filter(({ state }) => !isFinal(state))
        .reduce((sum, { amount }) => sum + parseAmount(amount), 0n);
      must(parseAmount(owed) === open, 'what was debited and is not paid belongs to a withdrawal that goes on', {
        owed,
        open,
      });
      checkPayments(rows, lostTries);
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
      must(promised.length === 0, 'a holding is promised to one open attempt, and reserved for it', promised[0]);
    },

    wentBack: () => {
      for (const { key, state, amount } of newest) {
        if (isOfLedger(state)) lostEnds.set(key, state);
        if (state === 'COMPLETED' || !isFinal(state)) lostTries.set(key, parseAmount(amount));
      }
      ends.clear();
      newest = [];
      halts.wentBack();
      policies.wentBack();
    },

    isAtRest: () => orders.arePlaced() && newest.every(({ state }) => isFinal(state)) && selfTransfersUnderWay === 0,

    atRest: async () => {
      const rows = await read();
      checkPayments(rows, NOTHING_LOST); // By now the ledger has told of everything.
      const placed = rows.filter(({ key }) => keys.has(key));
      must(placed.length === keys.size, 'every order is one withdrawal', { placed: placed.length });
      for (const { key, state } of rows) {
        const was = lostEnds.get(key) ?? state;
        must(was === state, 'what the ledger has ended is final, whatever the database forgets', { key, was, state });
      }
      const leftOver = await observer.query({ name: 'left over', text: LEFT_OVER });
      must(leftOver.rows.length === 0, 'nothing stays reserved for what has ended', leftOver.rows[0]);
      await checkAccounts(placed);
      await pools.atRest(observer);
      for (const { state, attempts } of rows) marks.add(`withdrawal ended ${state} after ${attempts} attempts`);
    },

    describe: async () => await read(),
  };

  /** Customers are debited what was paid, once, and nothing else. */
  async function checkAccounts(rows: readonly Row[]): Promise<void> {
    const balances = await observer.query<{ owner: string; total: string }>(
      named(`SELECT a.owner, sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id
       WHERE a.kind = 'CUSTOMER' AND a.owner LIKE 'withdrawer-%' GROUP BY 1`),
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
