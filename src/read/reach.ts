/**
 * What of all rows somebody may see. Whatever lists rows of customers takes one: it has no default, so that it cannot be forgotten.
 */
import { type RawBuilder, sql } from 'kysely';

/** `ACCOUNT`: what belongs to one customer's account of one network, named as the exchange names it. */
export type Reach =
  | { readonly kind: 'EVERYTHING' }
  | { readonly kind: 'ACCOUNT'; readonly network: string; readonly owner: string };

export const EVERYTHING: Reach = { kind: 'EVERYTHING' };

/**
 * @param column with the id of a row of `account`.
 * @returns a condition that an index over that column serves: the account is found once, before.
 */
export function withinReach(reach: Reach, column: RawBuilder<unknown>): RawBuilder<boolean> {
  if (reach.kind === 'EVERYTHING') return sql<boolean>`true`;
  return sql<boolean>`${column} = (
    SELECT mine.id FROM account AS mine JOIN network AS its ON its.id = mine.network_id
    WHERE mine.kind = 'CUSTOMER' AND mine.owner = ${reach.owner} AND its.name = ${reach.network}
  )`;
}

/** Whether rows of this account are within it. */
export function reaches(reach: Reach, account: { readonly network: string; readonly owner: string } | null): boolean {
  if (reach.kind === 'EVERYTHING') return true;
  return account !== null && account.network === reach.network && account.owner === reach.owner;
}
