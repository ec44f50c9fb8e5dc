/**
 * Whether a deposit was sent back by a refund that is not here: a database that was restored may lack it, while the ledger shows that it was paid. Asked before a deposit becomes anybody's, whoever says so.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { DESK_CLIENT } from '../withdrawals/superseded-refund.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';

/** Refunds of one deposit that a restored database may lack; each of them needs a person. */
const LOST_MAX = 20;

/** Null where nothing is paid out from here; what was sent back while something was, is not looked for then. @throws as `hasPaid`: where that cannot be known yet, it becomes nobody's. */
export type PaidRefunds = Pick<Withdrawals, 'hasPaid'> | null;

export async function isSentBack(
  tx: Transaction,
  { transferId, treasuryParty }: { readonly transferId: string; readonly treasuryParty: string },
  refunds: PaidRefunds,
): Promise<boolean> {
  if (refunds === null) return false;
  const { all } = await refundKeysOf(tx, transferId);
  return await refunds.hasPaid(tx, { client: DESK_CLIENT, treasuryParty }, all);
}

/**
 * One key per refund of the deposit, by its ordinal: what a database counts that was restored goes back with it, and so would find the same key for the same refund again. Of those that it may have
 * lost the ledger is asked; those that were made anew from the ledger have no decision here, and their keys are taken.
 */
export async function refundKeysOf(
  tx: Transaction,
  transferId: string,
): Promise<{ readonly next: string; readonly all: readonly string[] }> {
  const keyOf = (ordinal: number) => `refund:${transferId}:${ordinal}`;
  const keysUpTo = (count: number) => Array.from({ length: count }, (_, index) => keyOf(index + 1));
  const decided = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM desk_decision WHERE transfer_id = ${transferId} AND withdrawal_id IS NOT NULL`.execute(
    tx,
  );
  const known = keysUpTo((decided.rows[0]?.count ?? 0) + LOST_MAX);
  const { rows } = await sql<{ key: string }>`
    SELECT idempotency_key AS key FROM withdrawal WHERE client = ${DESK_CLIENT} AND idempotency_key = ANY (${known}::text[])`.execute(
    tx,
  );
  const made = Math.max(decided.rows[0]?.count ?? 0, ...rows.map(({ key }) => known.indexOf(key) + 1));
  return { next: keyOf(made + 1), all: keysUpTo(made + LOST_MAX) };
}
