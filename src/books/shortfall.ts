/**
 * Payments that were made and that their customers' balances do not cover: the database was restored, and what had come in since is missing. The ledger has decided, so nothing is refused and
 * ingestion goes on; the house lays out the rest on an account of its own, aloud, until a post transfer settles it.
 */
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { amountOf, formatAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { BOOKS_SHORTFALL, type BooksShortfall } from './book-events.ts';
import { type Claim, missingFunds } from './customer-funds.ts';
import { houseAccount, postEntries } from './journal.ts';

/**
 * Call it before the debit, in its transaction: the customer has afterwards what he is to give.
 * @returns what the house laid out, as decimal text; null: he has enough, or the exchange keeps the balances.
 */
export async function coverShortfall(
  tx: Transaction,
  networkId: number,
  payment: { readonly transferId: string; readonly updateId: string; readonly recordTime: Micros },
  {
    withdrawalId,
    claim,
    nowMicros,
  }: { readonly withdrawalId: string; readonly claim: Claim; readonly nowMicros: Micros },
): Promise<string | null> {
  const missing = await missingFunds(tx, networkId, claim);
  if (missing === 0n) return null;
  const { account, instrument, instrumentKey } = claim;
  await postEntries(tx, networkId, [
    {
      cause: `shortfall:${withdrawalId}`,
      description: 'laid out for a payment that was read',
      recordTime: payment.recordTime,
      lines: [
        {
          debit: houseAccount('SHORTFALL'),
          credit: { kind: 'CUSTOMER', owner: account },
          instrumentKey,
          amount: amountOf(missing),
        },
      ],
    },
  ]);
  const amount = formatAmount(missing);
  const payload: BooksShortfall = {
    withdrawalId,
    account,
    instrument: { admin: instrument.admin, id: instrument.id },
    amount,
    transferId: payment.transferId,
    updateId: payment.updateId,
  };
  await appendEvents(tx, [
    {
      eventId: eventId(BOOKS_SHORTFALL, withdrawalId, payment.updateId),
      type: BOOKS_SHORTFALL,
      subject: withdrawalId,
      recordedAt: nowMicros,
      payload,
    },
  ]);
  return amount;
}
