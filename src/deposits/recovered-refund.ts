/**
 * A refund whose withdrawal a restored database had forgotten, and which was made anew from its payment. What it sends back lies here again as before somebody decided to: at the desk, held for a verdict that was given in the life
 * before, or with an earlier refund that came to nothing, or would have. What a restored database has credited meanwhile stays so, for people: the account of the refund goes below nothing then, and the check of the books tells.
 */
import { sql } from 'kysely';
import { type AccountKind, type AccountRef, openAccounts, postEntries } from '../books/journal.ts';
import { lineOf } from '../books/transfer-booking.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import type { RecoverRefund } from '../withdrawals/recovered-payments.ts';
import { DEPOSIT_REFUNDED, type DepositRefunded } from './deposit-events.ts';
import { lockDeskCases } from './desk-case-rows.ts';
import { endScreenings, lockScreenings } from './screening-rows.ts';

/**
 * Its case takes the refund, as the desk does, its money goes to the account that pays it, and nobody is asked about it any more: whatever the answer would be, there is nothing left to credit. An earlier refund counts no longer
 * (superseded-refund.ts), unless the ledger has shown its payment as well. Where nothing waits, nothing is done: `sluice recover` tells of it.
 */
export const recoverRefund: RecoverRefund = async (tx, { networkId }, { withdrawalId, transferId, nowMicros }) => {
  const found = await lockMoney(tx, transferId);
  if (found === null || found.isPaid) return;
  const { kind, owner, instrumentKey } = found;
  const payer: AccountRef = { kind: 'REFUNDS', owner: transferId };
  await postEntries(tx, networkId, [
    {
      cause: `desk:${transferId}:recovered:${withdrawalId}`,
      description: 'was sent back',
      recordTime: nowMicros,
      lines: kind === payer.kind ? [] : lineOf(instrumentKey, { kind, owner }, payer, parseAmount(found.amount)),
    },
  ]);
  const accounts = await openAccounts(tx, networkId, [payer]);
  // What is held by its memo alone is no case before it was denied, and without that hardly anybody had sent it back.
  await sql`
    INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, named_account_id, funds_account_id, withdrawal_id)
    VALUES (${transferId}, ${found.treasuryId}, ${instrumentKey}, 'REFUNDED', 'DENIED', ${found.amount}, ${found.memo}, ${found.sender},
      ${found.updateId}, ${found.recordTime}, ${found.namedId}, ${accounts(payer)}, ${withdrawalId})
    ON CONFLICT (transfer_id) DO UPDATE SET state = 'REFUNDED', withdrawal_id = excluded.withdrawal_id, amount = excluded.amount, funds_account_id = excluded.funds_account_id,
      account_id = NULL, decided_by = NULL`.execute(tx);
  await endScreenings(tx, [transferId], { by: 'withdrawals', nowMicros });
  const payload: DepositRefunded = {
    transferId,
    treasuryParty: found.treasuryParty,
    instrument: { admin: found.admin, id: found.instrumentId },
    amount: found.amount,
    memo: found.memo,
    sender: found.sender,
    updateId: found.updateId,
    recordTime: found.recordTime.toString(),
    withdrawalId,
  };
  await appendEvents(tx, [
    {
      eventId: eventId(DEPOSIT_REFUNDED, transferId, withdrawalId),
      type: DEPOSIT_REFUNDED,
      subject: transferId,
      payload,
      recordedAt: nowMicros,
    },
  ]);
};

type Money = {
  readonly kind: AccountKind;
  readonly owner: string;
  readonly instrumentKey: number;
  readonly admin: string;
  readonly instrumentId: string;
  /** Decimal text. */
  readonly amount: string;
  readonly treasuryId: number;
  readonly treasuryParty: string;
  readonly memo: string | null;
  readonly sender: string | null;
  /** The customer whose it was to be; null: nobody's. */
  readonly namedId: bigint | null;
  readonly updateId: string;
  readonly recordTime: bigint;
  /** Whether another refund of it is on the ledger already, as one that is found later than it should be is older than what followed it. */
  readonly isPaid: boolean;
};

/** Where the money of a deposit waits, with its case and its question locked in the order in which everybody locks them. @returns null where none does. */
async function lockMoney(tx: Transaction, transferId: string): Promise<Money | null> {
  await lockDeskCases(tx, [transferId]);
  await lockScreenings(tx, [transferId]);
  // A statement of its own, which sees what the locks waited for.
  const { rows } = await sql<Money>`
    SELECT a.kind, a.owner, t.instrument_id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId", coalesce(c.amount, s.held)::text AS amount,
      t.treasury_id AS "treasuryId", p.party AS "treasuryParty", t.memo, t.counterparty AS sender, s.account_id AS "namedId",
      coalesce(t.concluded_update_id, t.update_id) AS "updateId", coalesce(t.concluded_record_time, t.record_time) AS "recordTime", coalesce(w.state IN ('OFFERED', 'COMPLETED'), false) AS "isPaid"
    FROM transfer t JOIN instrument i ON i.id = t.instrument_id JOIN treasury_party p ON p.id = t.treasury_id
    LEFT JOIN desk_case c ON c.transfer_id = t.id AND c.state IN ('OPEN', 'REFUNDED')
    LEFT JOIN withdrawal w ON w.id = c.withdrawal_id
    LEFT JOIN screening s ON s.transfer_id = t.id AND s.state IN ('WAITING', 'PARKED') AND s.held IS NOT NULL
    LEFT JOIN account customer ON customer.id = s.account_id
    LEFT JOIN account holding ON holding.network_id = p.network_id AND holding.kind = 'HELD' AND holding.owner = customer.owner
    JOIN account a ON a.id = coalesce(c.funds_account_id, holding.id)
    WHERE t.id = ${transferId}`.execute(tx);
  return rows[0] ?? null;
}
