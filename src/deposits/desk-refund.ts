/**
 * Sends a deposit back to whom it came from: its money goes to an account of its own, and a withdrawal pays it out of there, with all that protects a withdrawal
 * from being paid twice. A case has one withdrawal; another one takes its place only after that has ended unpaid for certain.
 */
import { sql } from 'kysely';
import { type AccountRef, openAccounts, postEntries } from '../books/journal.ts';
import { lineOf } from '../books/transfer-booking.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { DESK_CLIENT } from '../withdrawals/superseded-refund.ts';
import { WithdrawalRefusal, type Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { DEPOSIT_REFUNDED, type DepositRefunded } from './deposit-events.ts';
import { depositFactsOf } from './desk-announcement.ts';
import type { LockedCase } from './desk-case-lock.ts';
import { DeskRefusal } from './desk-refusal.ts';
import { endScreenings } from './screening-rows.ts';
import { isSentBack, type PaidRefunds, refundKeysOf } from './sent-back.ts';

const SENT_BACK = 'The ledger shows that it was sent back, and the withdrawal that did it is not here.';

/** Before it becomes a customer's: what a restored database has forgotten may have paid it back. @throws DeskRefusal DEPOSIT_GONE; as `hasPaid`, where that cannot be known yet. */
export async function demandNotSentBack(tx: Transaction, found: LockedCase, refunds: PaidRefunds): Promise<void> {
  if (await isSentBack(tx, found, refunds)) throw new DeskRefusal('DEPOSIT_GONE', SENT_BACK);
}

/** @returns the id of the withdrawal. @throws DeskRefusal; `tx` must be rolled back then. */
export async function refundCase(
  tx: Transaction,
  found: LockedCase,
  wanted: { readonly decisionId: bigint; readonly nowMicros: Micros; readonly withdrawals: Withdrawals },
): Promise<string> {
  const { decisionId, nowMicros, withdrawals } = wanted;
  const { transferId, funds, sender } = found;
  if (sender === null) throw new DeskRefusal('SENDER_UNKNOWN');
  assert(funds !== null, 'What is sent back has come.', { transferId });
  if (await isSentBack(tx, found, withdrawals)) throw new DeskRefusal('REFUND_REFUSED', SENT_BACK);
  const keys = await refundKeysOf(tx, transferId);
  const payer: AccountRef = { kind: 'REFUNDS', owner: transferId };
  const amount = parseAmount(found.amount);
  await postEntries(tx, found.networkId, [
    {
      cause: `desk:${transferId}:${decisionId}`,
      description: 'to be sent back',
      recordTime: found.recordTime,
      // After a refund that was not paid it is there already.
      lines: funds.kind === 'REFUNDS' ? [] : lineOf(found.instrumentKey, funds, payer, amount),
    },
  ]);
  const { id } = await createOrRefuse(
    withdrawals.createIn(
      tx,
      {
        client: DESK_CLIENT,
        idempotencyKey: keys.next,
        account: transferId,
        treasuryParty: found.treasuryParty,
        instrument: { admin: found.admin, id: found.instrumentId },
        receiver: sender,
        amount,
        memo: null,
      },
      payer,
    ),
  );
  await endScreenings(tx, [transferId], { by: DESK_CLIENT, nowMicros });
  const accounts = await openAccounts(tx, found.networkId, [payer]);
  await sql`
    UPDATE desk_case SET state = 'REFUNDED', withdrawal_id = ${id}, funds_account_id = ${accounts(payer)}, account_id = NULL, decided_by = NULL
    WHERE transfer_id = ${transferId}`.execute(tx);
  await tx.updateTable('desk_decision').set({ withdrawal_id: id }).where('id', '=', decisionId).execute();
  const payload: DepositRefunded = { ...depositFactsOf(found), withdrawalId: id };
  await appendEvents(tx, [
    {
      eventId: eventId(DEPOSIT_REFUNDED, transferId, id),
      type: DEPOSIT_REFUNDED,
      subject: transferId,
      payload,
      recordedAt: nowMicros,
    },
  ]);
  return id;
}

async function createOrRefuse<T>(creating: Promise<T>): Promise<T> {
  try {
    return await creating;
  } catch (error) {
    if (error instanceof WithdrawalRefusal) throw new DeskRefusal('REFUND_REFUSED', error.message);
    throw error;
  }
}
