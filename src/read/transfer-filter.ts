/**
 * Which transfers a list shows, as conditions that an index serves together with the list's order (record time, id):
 *
 *   treasury             transfer_by_treasury
 *   account              attribution_by_account
 *   memo                 transfer_by_memo
 *   counterparty         transfer_by_counterparty; also for the sender of what came in and the receiver of what went out
 *   instrument, amounts  transfer_by_instrument: amounts are looked at along it, so they need the instrument
 *   updateId             the keys of each treasury, and transfer_by_conclusion
 *   status PENDING       transfer_pending
 *   nothing, times       transfer_by_time
 */
import { type RawBuilder, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import type { TransferTable } from '../gen/db.ts';

/** All that are given hold together; null: any. */
export type TransferFilter = {
  readonly treasury: { readonly network: string; readonly party: string } | null;
  readonly direction: TransferTable['direction'] | null;
  readonly status: TransferTable['status'] | null;
  readonly kind: TransferTable['kind'] | null;
  /** The customer's account at the exchange. */
  readonly account: string | null;
  /** True: credited to a customer. False: not. */
  readonly isAttributed: boolean | null;
  /** The whole memo, as it came. */
  readonly memo: string | null;
  /** Party id of the other side. */
  readonly counterparty: string | null;
  readonly instrument: { readonly network: string; readonly admin: string; readonly instrumentId: string } | null;
  /** Decimal text, inclusive. */
  readonly amountMin: string | null;
  readonly amountMax: string | null;
  /** First seen at this record time or later. */
  readonly from: Micros | null;
  /** First seen before this record time. */
  readonly before: Micros | null;
  /** First seen, or ended, in this update. */
  readonly updateId: string | null;
};

/** Over the table `transfer`, joined with `attribution`. */
export function conditionOf(filter: TransferFilter): RawBuilder<boolean> {
  const { treasury, direction, status, kind, account, isAttributed, memo, counterparty, instrument } = filter;
  const { amountMin, amountMax, from, before, updateId } = filter;
  const conditions = [sql<boolean>`true`];
  if (treasury !== null) {
    // A sub-select and not the joined names, so that the index by (treasury, record time, id) serves both filter and order.
    conditions.push(sql`transfer.treasury_id = (
      SELECT wanted.id FROM treasury_party AS wanted JOIN network AS its ON its.id = wanted.network_id
      WHERE its.name = ${treasury.network} AND wanted.party = ${treasury.party}
    )`);
  }
  if (direction !== null) conditions.push(sql`transfer.direction = ${direction}`);
  // The predicate of a partial index, which the planner uses only where it sees it.
  if (status !== null) conditions.push(sql`transfer.status = ${sql.lit(status)}`);
  if (kind !== null) conditions.push(sql`transfer.kind = ${kind}`);
  if (account !== null) {
    conditions.push(sql`attribution.account_id = ANY (ARRAY(
      SELECT id FROM account AS wanted WHERE wanted.kind = 'CUSTOMER' AND wanted.owner = ${account}
    ))`);
  }
  if (isAttributed === true) conditions.push(sql`attribution.transfer_id IS NOT NULL`);
  if (isAttributed === false) conditions.push(sql`attribution.transfer_id IS NULL`);
  // What the index holds of a memo, and then all of it.
  if (memo !== null)
    conditions.push(sql`left(transfer.memo, 64) = left(${memo}::text, 64) AND transfer.memo = ${memo}`);
  if (counterparty !== null) {
    conditions.push(
      sql`left(transfer.counterparty, 255) = left(${counterparty}::text, 255) AND transfer.counterparty = ${counterparty}`,
    );
  }
  if (instrument !== null) {
    conditions.push(sql`transfer.instrument_id = (
      SELECT wanted.id FROM instrument AS wanted JOIN network AS its ON its.id = wanted.network_id
      WHERE its.name = ${instrument.network} AND wanted.admin = ${instrument.admin}
        AND wanted.instrument_id = ${instrument.instrumentId}
    )`);
  }
  if (amountMin !== null) conditions.push(sql`transfer.amount >= ${amountMin}::numeric`);
  if (amountMax !== null) conditions.push(sql`transfer.amount <= ${amountMax}::numeric`);
  if (from !== null) conditions.push(sql`transfer.record_time >= ${from}::bigint`);
  if (before !== null) conditions.push(sql`transfer.record_time < ${before}::bigint`);
  if (updateId !== null) {
    conditions.push(sql`transfer.id = ANY (ARRAY(
      SELECT begun.id FROM treasury_party AS seer JOIN transfer AS begun ON begun.treasury_id = seer.id AND begun.update_id = ${updateId}
      UNION
      SELECT ended.id FROM transfer AS ended WHERE ended.concluded_update_id = ${updateId} AND ended.concluded_update_id <> ended.update_id
    ))`);
  }
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
}
