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

/** Over an offer_action `a`: none of its budgets is used up, as far as this statement sees. */
export function hasBudget(budget: OfferBudget, nowMicros: Micros): RawBuilder<boolean> {
  const isUsedUp = (scope: RawBuilder<unknown>, max: number): RawBuilder<boolean> => sql<boolean>`EXISTS (
    SELECT FROM offer_budget b WHERE b.treasury_id = a.treasury_id AND b.scope = ${scope} AND b.window_start = ${windowOf(nowMicros)} AND b.spent >= ${max}
  )`;
  return sql<boolean>`NOT (${isUsedUp(sql`'all'`, budget.all)}
    OR ${isUsedUp(sql`'instrument:' || a.instrument_id`, budget.perInstrument)}
    OR ${isUsedUp(sql`'account:' || a.deposit_account_id`, budget.perAccount)}
    OR ${isUsedUp(sql`'sender:' || a.sender`, budget.perSender)})`;
}

/** Forgets windows that are over. */
export async function forgetWindows(db: Database, treasuryId: number, nowMicros: Micros): Promise<void> {
  await db
    .deleteFrom('offer_budget')
    .where('treasury_id', '=', treasuryId)
    .where('window_start', '<', windowOf(nowMicros))
    .execute();
}

function scopesOf(
  { instrumentKey, depositAccountId, sender }: Spender,
  { all, perInstrument, perAccount, perSender }: OfferBudget,
): readonly (readonly [string, number])[] {
  return [
    ['all', all],
    [`instrument:${instrumentKey}`, perInstrument],
    ...(depositAccountId === null ? [] : [[`account:${depositAccountId}`, perAccount] as const]),
    [`sender:${sender}`, perSender],
  ];
}
