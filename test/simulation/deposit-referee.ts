/** The invariants of deposits about which somebody decides: what the database credits, holds and sends back against what came, what the screening service said and what people said. */
import type pg from 'pg';
import type { DeskLimits } from '../../src/deposits/desk.ts';
import type { Network } from '../../src/simnet/network.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { BACK, type Clerks } from './clerks.ts';
import type { Marks } from './marks.ts';
import type { Payables } from './payables.ts';
import type { ScreeningService } from './screening-service.ts';
import { named } from './server-sessions.ts';
import type { Deposit, Traffic } from './traffic.ts';
import { must } from './violation.ts';

export type DepositReferee = {
  /** @throws Violation. */
  afterCommit(): Promise<void>;
  wentBack(): void;
  isAtRest(): boolean;
  /** @throws Violation. */
  atRest(): Promise<void>;
  depositOf(came: Came): Deposit | undefined;
  /** A moment, to ask about what came after it. */
  now(): number;
  /** Whether deposits waited, or did not, at that moment or later. */
  hasHeldSince(moment: number, to: 'on' | 'off'): boolean;
};

/** What was paid names itself: no two deposits are alike. */
type Came = { readonly instrument: string; readonly amount: string };

type Credit = Came & { readonly transferId: string; readonly owner: string };

/** A withdrawal that is to pay a deposit back. */
type Refund = Came & {
  /** Of the withdrawal. */
  readonly id: string;
  readonly transferId: string;
  readonly receiver: string;
  /** What the deposit brought, as decimal text. */
  readonly came: string | null;
};

type View = {
  readonly isOn: boolean | null;
  readonly credits: readonly Credit[];
  readonly refunds: readonly Refund[];
  readonly questions: readonly {
    readonly transferId: string;
    readonly instrument: string;
    readonly account: string;
    readonly state: string;
    /** What is held with it, where it is not credited. */
    readonly held: string | null;
  }[];
  readonly balances: readonly (Came & { readonly kind: string; readonly owner: string })[];
};

const VIEW = `SELECT
  (SELECT is_on FROM deposit_screening) AS "isOn",
  (SELECT coalesce(json_agg(c), '[]') FROM (
     SELECT b.transfer_id AS "transferId", a.owner, i.instrument_id AS instrument, t.holdings_delta::text AS amount
     FROM attribution b JOIN account a ON a.id = b.account_id JOIN transfer t ON t.id = b.transfer_id JOIN instrument i ON i.id = t.instrument_id
   ) AS c) AS credits,
  (SELECT coalesce(json_agg(r), '[]') FROM (
     SELECT w.id, a.owner AS "transferId", w.receiver, i.instrument_id AS instrument, w.amount::text AS amount, t.holdings_delta::text AS came
     FROM withdrawal w JOIN account a ON a.id = w.account_id AND a.kind = 'REFUNDS' JOIN instrument i ON i.id = w.instrument_id
     LEFT JOIN transfer t ON t.id = a.owner
   ) AS r) AS refunds,
  (SELECT coalesce(json_agg(q), '[]') FROM (
     SELECT s.transfer_id AS "transferId", i.instrument_id AS instrument, a.owner AS account, s.state,
       CASE WHEN NOT EXISTS (SELECT FROM attribution b WHERE b.transfer_id = s.transfer_id)
         AND NOT EXISTS (SELECT FROM desk_case c WHERE c.transfer_id = s.transfer_id AND c.state = 'REFUNDED') THEN s.held::text END AS held
     FROM screening s JOIN account a ON a.id = s.account_id JOIN instrument i ON i.id = s.instrument_id
   ) AS q) AS questions,
  (SELECT coalesce(json_agg(b), '[]') FROM (
     SELECT a.kind, a.owner, i.instrument_id AS instrument, sum(b.balance)::text AS amount
     FROM account_balance b JOIN account a ON a.id = b.account_id JOIN instrument i ON i.id = b.instrument_id
     WHERE a.kind IN ('CUSTOMER', 'HELD') AND a.owner NOT LIKE 'withdrawer-%' GROUP BY 1, 2, 3 HAVING sum(b.balance) <> 0
   ) AS b) AS balances`;

const CAME = `
  SELECT t.id AS "transferId", i.instrument_id AS instrument, t.holdings_delta::text AS amount, s.state, s.account,
    EXISTS (SELECT FROM attribution b WHERE b.transfer_id = t.id) AS "isCredited",
    (SELECT w.state FROM desk_case c JOIN withdrawal w ON w.id = c.withdrawal_id WHERE c.transfer_id = t.id AND c.state = 'REFUNDED') AS refund,
    ARRAY(SELECT e.type FROM event e WHERE e.subject = t.id AND starts_with(e.type, 'deposit.') ORDER BY e.position) AS announced
  FROM transfer t JOIN instrument i ON i.id = t.instrument_id
  LEFT JOIN (SELECT q.transfer_id, q.state, a.owner AS account FROM screening q JOIN account a ON a.id = q.account_id WHERE q.held IS NOT NULL) AS s
    ON s.transfer_id = t.id
  WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED'`;

type Row = Came & {
  readonly transferId: string;
  readonly state: string | null;
  readonly account: string | null;
  readonly isCredited: boolean;
  /** The state of what is to pay it back; null: nothing is. */
  readonly refund: string | null;
  readonly announced: readonly string[];
};

export function createDepositReferee({
  network,
  observer,
  traffic,
  payables,
  service,
  clerks,
  limits,
  marks,
}: {
  readonly network: Network;
  readonly observer: pg.Client;
  readonly traffic: Traffic;
  readonly payables: Payables;
  readonly service: ScreeningService;
  readonly clerks: Clerks;
  readonly limits: DeskLimits;
  readonly marks: Marks;
}): DepositReferee {
  const judged = new Set<string>();
  /** Nothing is known yet of what is there. */
  let isFresh = false;
  let waiting = 0;
  let looks = 0;
  const lastHeld = { on: -1, off: -1 };
  let current: 'on' | 'off' | null = null;

  const keyOf = ({ instrument, amount }: Came): string => `${instrument} ${formatAmount(parseAmount(amount))}`;
  const depositOf = (came: Came): Deposit | undefined =>
    traffic
      .deposits()
      .find(
        ({ instrumentId, units }) => keyOf(came) === keyOf({ instrument: instrumentId, amount: formatAmount(units) }),
      );

  /** Above the limit two people are needed, as for what has none. */
  const neededFor = ({ instrument, amount }: Came): number => {
    const limit = [...limits].find(([name]) => name.endsWith(`/${instrument}`))?.[1];
    return limit !== undefined && parseAmount(amount) <= limit ? 1 : 2;
  };

  const demandLeave = (credit: Credit, { isOn, questions }: View): void => {
    const { transferId, owner } = credit;
    const deposit = depositOf(credit);
    must(deposit !== undefined, 'what is credited came', credit);
    const voices = clerks.voices(transferId, owner);
    const needed = neededFor(credit);
    must(
      deposit.customer === owner || voices.ever >= needed,
      'nobody is credited whom the memo does not name, unless enough people do',
      { ...credit, voices, needed },
    );
    const verdict = service.verdictOf({ id: transferId, account: owner });
    const asked = questions.find((question) => question.transferId === transferId)?.state ?? 'NEVER';
    const isOverruled = voices.sinceDenied >= 2;
    const isFree = isOn !== true && (asked === 'NEVER' || asked === 'ENDED');
    must(
      verdict === 'ALLOW' || isOverruled || isFree,
      'nothing is credited that the screening service did not allow, nor two people who knew that it denied it',
      { ...credit, verdict, asked, voices },
    );
    marks.add(
      `credited ${verdict === 'ALLOW' && asked !== 'NEVER' ? 'as allowed' : isOverruled ? 'as overruled' : 'unscreened'}`,
    );
  };

  const demandWanted = (refund: Refund): void => {
    const { transferId, receiver, amount, came } = refund;
    const deposit = depositOf(refund);
    must(
      deposit !== undefined && came !== null && parseAmount(came) === parseAmount(amount),
      'what goes back came',
      refund,
    );
    must(receiver === network.party(deposit.sender), 'what goes back goes to its sender', { refund, deposit });
    const voices = clerks.voices(transferId, BACK);
    must(voices.ever >= neededFor(refund), 'nothing goes back unless enough people want it to', { refund, voices });
    marks.add('deposit goes back');
  };

  const demandNotBoth = ({ credits }: View): void => {
    for (const credit of credits) {
      const deposit = depositOf(credit);
      must(deposit === undefined || !payables.isSentBack(deposit), 'nothing is credited that went back', credit);
    }
  };

  const checkBalances = ({ credits, questions, balances }: View): void => {
    const owed = new Map<string, bigint>();
    const add = (kind: string, owner: string, { instrument, amount }: Came): void => {
      const key = `${kind} ${owner} ${instrument}`;
      owed.set(key, (owed.get(key) ?? 0n) + parseAmount(amount));
    };
    for (const credit of credits) add('CUSTOMER', credit.owner, credit);
    for (const { account, instrument, held } of questions)
      if (held !== null) add('HELD', account, { instrument, amount: held });
    const booked = balances.map(({ kind, owner, instrument, amount }) => [`${kind} ${owner} ${instrument}`, amount]);
    const lines = (pairs: readonly (readonly [string, string])[]): string =>
      pairs
        .map(([key, amount]) => `${key} ${formatAmount(parseAmount(amount))}`)
        .sort()
        .join('\n');
    const expected = lines([...owed].map(([key, units]) => [key, formatAmount(units)]));
    const found = lines(booked.map(([key = '', amount = '0']) => [key, amount] as const));
    must(found === expected, 'customers have what was credited to them, once, and what is held is held for them', {
      found,
      expected,
    });
  };

  return {
    depositOf,
    now: () => looks,
    hasHeldSince: (moment, to) => current === to || lastHeld[to] >= moment,
    afterCommit: async () => {
      const { rows } = await observer.query<View>({ name: 'screening', text: VIEW });
      const [view] = rows;
      if (view === undefined) return;
      looks += 1;
      // Until the next commit it is what holds.
      if (current !== null) lastHeld[current] = looks - 1;
      current = view.isOn === null ? null : view.isOn ? 'on' : 'off';
      if (current !== null) lastHeld[current] = looks;
      for (const credit of view.credits) {
        const key = `${credit.transferId} ${credit.owner}`;
        if (judged.has(key)) continue;
        judged.add(key);
        if (!isFresh) demandLeave(credit, view);
      }
      isFresh = false;
      for (const refund of view.refunds) {
        if (judged.has(refund.id)) continue;
        judged.add(refund.id);
        demandWanted(refund);
      }
      demandNotBoth(view);
      checkBalances(view);
      waiting = view.questions.filter(({ state }) => state === 'WAITING' || state === 'PARKED').length;
    },
    wentBack: () => {
      if (traffic.deposits().some(payables.isSentBack)) marks.add('database lost after a deposit went back');
      judged.clear();
      isFresh = true;
    },
    isAtRest: () => waiting === 0,
    atRest: async () => {
      const { rows } = await observer.query<Row>(named(CAME));
      const came = rows.map(keyOf).sort();
      const paid = traffic
        .deposits()
        .map(({ instrumentId, units }) => keyOf({ instrument: instrumentId, amount: formatAmount(units) }))
        .sort();
      must(came.join() === paid.join(), 'every deposit is there once', { came, paid });
      for (const row of rows) checkPlace(row);
    },
  };

  /** Where a deposit has come to rest, and what was said of it. */
  function checkPlace(row: Row): void {
    const { transferId, state, account, isCredited, refund } = row;
    const deposit = depositOf(row);
    const isBack = deposit !== undefined && payables.isSentBack(deposit);
    must(isBack === (refund === 'COMPLETED'), 'what went back counts as gone, and nothing else', { ...row, isBack });
    if (refund !== null) {
      must(!isCredited, 'what goes back is not credited', row);
      marks.add(`deposit at rest: sent back, ${refund}`);
      return;
    }
    // Several refunds may have been tried.
    const announced = row.announced.filter((type) => type !== 'deposit.refunded');
    const verdict = account === null ? null : service.verdictOf({ id: transferId, account });
    const isHeld = !isCredited && account !== null;
    must(
      isCredited || isHeld || deposit?.customer === null,
      'a deposit is credited, or held, or nobody knows whose it is',
      row,
    );
    must(!isHeld || (state === 'DENIED' && verdict === 'DENY'), 'nothing stays held but what was denied', {
      ...row,
      verdict,
    });
    const last = isCredited ? ['deposit.credited'] : isHeld ? ['deposit.denied'] : ['deposit.unattributed'];
    must(
      last.includes(announced.at(-1) ?? '') && new Set(announced).size === announced.length,
      'what becomes of a deposit is announced once, and its end last',
      row,
    );
    marks.add(`deposit at rest: ${isCredited ? 'credited' : isHeld ? 'denied' : 'nobody’s'}`);
  }
}
