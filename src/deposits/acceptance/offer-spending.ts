/** What offers may cost: tries counted per window, for the treasury, the instrument, the account and the sender at once. Strict across any number of processes: each count is one guarded statement. */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { BUDGET_WINDOW_MS, type OfferBudget } from './offer-rules.ts';

export type Spender = {
  readonly treasuryId: number;
  readonly instrumentKey: number;
  readonly depositAccountId: string | null;
  readonly sender: string;
};

/** When the window began that `nowMicros` lies in. */
export function windowOf(nowMicros: Micros): Micros {
  return nowMicros - (nowMicros % millisToMicros(BUDGET_WINDOW_MS));
}

/**
 * Takes one try from each budget, or from none.
 * @returns false where one of them is used up. Locks the treasury's own count first, so that two who spend wait for each other in one order.
 */
export async function spendTry(
  tx: Transaction,
  spender: Spender,
  budget: OfferBudget,
  nowMicros: Micros,
): Promise<boolean> {
  const taken: string[] = [];
  for (const [scope, max] of scopesOf(spender, budget)) {
    const { rows } = await sql`
      INSERT INTO offer_budget AS b (treasury_id, scope, window_start, spent)
      SELECT ${spender.treasuryId}, ${scope}, ${windowOf(nowMicros)}, 1 WHERE ${max}::int > 0
      ON CONFLICT (treasury_id, scope, window_start) DO UPDATE SET spent = b.spent + 1 WHERE b.spent < ${max}
      RETURNING b.spent`.execute(tx);
    if (rows.length === 0) {
      await sql`
        UPDATE offer_budget SET spent = spent - 1
        WHERE treasury_id = ${spender.treasuryId} AND scope = ANY (${taken}::text[]) AND window_start = ${windowOf(nowMicros)}`.execute(
        tx,
      );
      return false;
    }
    taken.push(scope);
  }
  return true;
}

/** The scopes whose budget is used up: a handful, since each has cost its whole budget. */
export async function readUsedUp(
  tx: Transaction,
  treasuryId: number,
  { all, perInstrument, perAccount, perSender }: OfferBudget,
  nowMicros: Micros,
): Promise<readonly string[]> {
  const { rows } = await sql<{ scope: string }>`
    SELECT scope FROM offer_budget WHERE treasury_id = ${treasuryId} AND window_start = ${windowOf(nowMicros)}
      AND spent >= CASE split_part(scope, ':', 1) WHEN 'all' THEN ${all}::int WHEN 'instrument' THEN ${perInstrument}::int
        WHEN 'account' THEN ${ofWholeAccount(perInstrument)}::int WHEN 'to' THEN ${perAccount}::int ELSE ${perSender}::int END`.execute(
    tx,
  );
  return rows.map(({ scope }) => scope);
}

/** Over an offer_action `a`: one of its budgets is among those of {@link readUsedUp}. */
export function isUsedUp(usedUp: readonly string[]): RawBuilder<boolean> {
  const list = sql`${[...usedUp]}::text[]`;
  return sql<boolean>`('all' = ANY (${list}) OR 'instrument:' || a.instrument_id = ANY (${list})
    OR coalesce('account:' || a.deposit_account_id = ANY (${list}) OR 'to:' || a.deposit_account_id || ':' || a.sender = ANY (${list}), false) OR 'sender:' || a.sender = ANY (${list}))`;
}

/** Forgets windows that are over. */
export async function forgetWindows(db: Database, treasuryId: number, nowMicros: Micros): Promise<void> {
  await db
    .deleteFrom('offer_budget')
    .where('treasury_id', '=', treasuryId)
    .where('window_start', '<', windowOf(nowMicros))
    .execute();
}

/** Of one account, whoever sends to it. */
function ofWholeAccount(perInstrument: number): number {
  return Math.ceil(perInstrument / 2);
}

function scopesOf(
  { instrumentKey, depositAccountId, sender }: Spender,
  { all, perInstrument, perAccount, perSender }: OfferBudget,
): readonly (readonly [string, number])[] {
  return [
    ['all', all],
    [`instrument:${instrumentKey}`, perInstrument],
    ...(depositAccountId === null
      ? []
      : ([
          [`account:${depositAccountId}`, ofWholeAccount(perInstrument)],
          [`to:${depositAccountId}:${sender}`, perAccount],
        ] as const)),
    [`sender:${sender}`, perSender],
  ];
}
