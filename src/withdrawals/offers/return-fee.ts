/** What is kept from a customer when an offer to him comes back. */
import type { Transaction } from '../../db/connection.ts';
import { type Amount, parseAmount, ZERO } from '../../tokens/amount.ts';

/** As the token's policy has it now; none where nobody decided. @returns zero or more; whoever charges it caps it at what came back. */
export async function readReturnFee(tx: Transaction, instrumentKey: number): Promise<Amount> {
  const row = await tx
    .selectFrom('token')
    .select('return_fee')
    .where('instrument_id', '=', instrumentKey)
    .executeTakeFirst();
  return row === undefined ? ZERO : parseAmount(row.return_fee);
}
