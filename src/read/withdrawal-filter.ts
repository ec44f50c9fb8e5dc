/**
 * Which withdrawals a list shows, as conditions that an index serves together with the list's order (time of the request, id):
 *
 *   account          withdrawal_by_account
 *   treasury         withdrawal_by_treasury
 *   states           withdrawal_open where all of them are open, withdrawal_unpaid where all of them are ends without payment: few among
 *                    many that were paid. Those that were paid are nearly all, so withdrawal_by_time meets them at once.
 *   receiver         withdrawal_of_receiver
 *   instrument       withdrawal_of_instrument
 *   nothing, times   withdrawal_by_time
 */
import { type RawBuilder, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { isFinal, WITHDRAWAL_STATES, type WithdrawalState } from '../withdrawals/withdrawal-state.ts';

/** All that are given hold together; null: any. */
export type WithdrawalFilter = {
  readonly states: readonly WithdrawalState[] | null;
  /** The customer's account at the exchange. */
  readonly account: string | null;
  readonly treasury: { readonly network: string; readonly party: string } | null;
  /** Party id of who is paid. */
  readonly receiver?: string | null;
  readonly instrument?: { readonly network: string; readonly admin: string; readonly instrumentId: string } | null;
  /** Requested at this time or later. */
  readonly createdFrom: Micros | null;
  /** Requested before this time. */
  readonly createdBefore: Micros | null;
};

/** In which a withdrawal may still be paid, or ended. */
export const OPEN_STATES = WITHDRAWAL_STATES.filter((state) => !isFinal(state));
const UNPAID_STATES = WITHDRAWAL_STATES.filter((state) => isFinal(state) && state !== 'COMPLETED');

/** Over the table `withdrawal`. */
export function conditionOf({
  states,
  account,
  treasury,
  receiver = null,
  instrument = null,
  createdFrom,
  createdBefore,
}: WithdrawalFilter): RawBuilder<boolean> {
  const conditions = [sql<boolean>`true`];
  if (states !== null) {
    conditions.push(sql`withdrawal.state = ANY (${[...states]}::text[])`);
    // The predicates of partial indexes, which the planner uses only where it sees them: from a parameter it cannot always conclude them.
    for (const indexed of [OPEN_STATES, UNPAID_STATES]) {
      if (states.every((state) => indexed.includes(state))) {
        conditions.push(sql`withdrawal.state IN (${sql.join(indexed.map((state) => sql.lit(state)))})`);
      }
    }
  }
  // Sub-selects and not the joined names, so that the index by (account, time, id) serves, or that by treasury.
  if (treasury !== null) {
    conditions.push(sql`withdrawal.treasury_id = (
      SELECT wanted.id FROM treasury_party AS wanted JOIN network AS its ON its.id = wanted.network_id
      WHERE its.name = ${treasury.network} AND wanted.party = ${treasury.party}
    )`);
  }
  if (account !== null) {
    conditions.push(sql`withdrawal.account_id = ANY (ARRAY(
      SELECT id FROM account AS wanted WHERE wanted.kind = 'CUSTOMER' AND wanted.owner = ${account}
    ))`);
  }
  if (receiver !== null) conditions.push(sql`withdrawal.receiver = ${receiver}`);
  if (instrument !== null) {
    conditions.push(sql`withdrawal.instrument_id = (
      SELECT wanted.id FROM instrument AS wanted JOIN network AS its ON its.id = wanted.network_id
      WHERE its.name = ${instrument.network} AND wanted.admin = ${instrument.admin}
        AND wanted.instrument_id = ${instrument.instrumentId}
    )`);
  }
  if (createdFrom !== null) conditions.push(sql`withdrawal.created_at >= ${createdFrom}::bigint`);
  if (createdBefore !== null) conditions.push(sql`withdrawal.created_at < ${createdBefore}::bigint`);
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
}
