/** Which parties are treasuries of ours: a transfer between two of them is no customer's. */
import type { Transaction } from '../db/connection.ts';

export async function ownParties(tx: Transaction, networkId: number): Promise<ReadonlySet<string>> {
  const rows = await tx.selectFrom('treasury_party').select('party').where('network_id', '=', networkId).execute();
  return new Set(rows.map((row) => row.party));
}
