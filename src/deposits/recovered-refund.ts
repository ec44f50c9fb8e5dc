/**
 * A refund whose withdrawal a restored database had forgotten, and which was made anew from its payment. What it sent back lies here again as before somebody decided to, or as nobody could know better: at the desk, held for a
 * verdict that was given in the life before, with an earlier refund that came to nothing or would have, or credited by a memo that was disabled since. The ledger has decided: it went back, so it is nobody's.
 */
import { sql } from 'kysely';
import { type AccountKind, type AccountRef, openAccounts, postEntries } from '../books/journal.ts';
import { coverShortfall } from '../books/shortfall.ts';
import { lineOf } from '../books/transfer-booking.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { cancelIn } from '../withdrawals/cancellation.ts';
import type { RecoverRefund } from '../withdrawals/recovered-payments.ts';
import { isFinal, WITHDRAWAL_STATES } from '../withdrawals/withdrawal-state.ts';
import { DEPOSIT_REFUNDED, type DepositRefunded } from './deposit-events.ts';
import { lockDeskCases } from './desk-case-rows.ts';
import { endScreenings, lockScreenings } from './screening-rows.ts';

const FINAL_STATES = WITHDRAWAL_STATES.filter(isFinal);
const BY = 'withdrawals';

/**
 * Its case takes the refund, as the desk does, its money goes to the account that pays it, and nobody is asked about it any more. Of a customer who has spent it the house lays out the rest, as for any payment that was read. Where
 * the deposit itself is not here nothing is done: `sluice recover` tells of it.
 */
export const recoverRefund: RecoverRefund = async (tx, { networkId }, refund) => {
  const { withdrawalId, transferId, payment, nowMicros } = refund;
  const found = await lockMoney(tx, transferId);
  if (found === null) return null;
  const { kind, owner, accountId, instrumentKey, earlierId } = found;
  const instrument = { admin: found.admin, id: found.instrumentId };
  const amount = parseAmount(found.amount);
  const payer: AccountRef = { kind: 'REFUNDS', owner: transferId };
  const laidOut =
    kind === 'CUSTOMER'
      ? await coverShortfall(tx, networkId, payment, {
          withdrawalId,
          claim: { accountId, account: owner, instrumentKey, instrument, gives: amount },
          nowMicros,
        })
      : null;
  await postEntries(tx, networkId, [
    {
      cause: `desk:${transferId}:recovered`,
      description: 'was sent back',
      recordTime: nowMicros,
      lines: kind === payer.kind ? [] : lineOf(instrumentKey, { kind, owner }, payer, amount),
    },
  ]);
  // In the life before it had ended unpaid, or there would have been no other.
  if (earlierId !== null) await cancelIn(tx, earlierId, { by: BY, nowMicros });
  const accounts = await openAccounts(tx, networkId, [payer]);
  // What is somebody's by its memo is no case before it was denied, or its memo disabled, and without that nobody had sent it back.
  await sql`
    INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, named_account_id, funds_account_id, withdrawal_id)
    VALUES (${transferId}, ${found.treasuryId}, ${instrumentKey}, 'REFUNDED', ${kind === 'HELD' ? 'DENIED' : 'MEMO_DISABLED'}, ${found.amount}, ${found.memo},
      ${found.sender}, ${found.updateId}, ${found.recordTime}, ${found.namedId}, ${accounts(payer)}, ${withdrawalId})
    ON CONFLICT (transfer_id) DO UPDATE SET state = 'REFUNDED', withdrawal_id = excluded.withdrawal_id, funds_account_id = excluded.funds_account_id,
      account_id = NULL, decided_by = NULL`.execute(tx);
  await endScreenings(tx, [transferId], { by: BY, nowMicros });
  const payload: DepositRefunded = {
    transferId,
    treasuryParty: found.treasuryParty,
    instrument,
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
  return laidOut;
};

type Money = {
  readonly kind: AccountKind;
  readonly owner: string;
  readonly accountId: bigint;
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
  /** The refund that was to pay it, and has not ended. */
  readonly earlierId: string | null;
};

/** On which account the money of a deposit is, with its case and its question locked in the order in which everybody locks them. @returns null where it has brought none. */
async function lockMoney(tx: Transaction, transferId: string): Promise<Money | null> {
  await lockDeskCases(tx, [transferId]);
  await lockScreenings(tx, [transferId]);
  // A statement of its own, which sees what the locks waited for.
  const { rows } = await sql<Money>`
    SELECT a.kind, a.owner, a.id AS "accountId", t.instrument_id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId",
      coalesce(c.amount, s.held, t.holdings_delta)::text AS amount, t.treasury_id AS "treasuryId", p.party AS "treasuryParty", t.memo, t.counterparty AS sender, coalesce(s.account_id, x.account_id) AS "namedId",
      coalesce(t.concluded_update_id, t.update_id) AS "updateId", coalesce(t.concluded_record_time, t.record_time) AS "recordTime", w.id AS "earlierId"
    FROM transfer t JOIN instrument i ON i.id = t.instrument_id JOIN treasury_party p ON p.id = t.treasury_id
    LEFT JOIN desk_case c ON c.transfer_id = t.id AND c.state IN ('OPEN', 'REFUNDED')
    LEFT JOIN withdrawal w ON w.id = c.withdrawal_id AND w.state NOT IN (${sql.join(FINAL_STATES)})
    LEFT JOIN attribution x ON x.transfer_id = t.id
    LEFT JOIN screening s ON s.transfer_id = t.id AND s.state IN ('WAITING', 'PARKED') AND s.held IS NOT NULL
    LEFT JOIN account holding ON holding.network_id = p.network_id AND holding.kind = 'HELD' AND holding.owner = (SELECT owner FROM account WHERE id = s.account_id)
    JOIN account a ON a.id = coalesce(c.funds_account_id, holding.id, x.account_id)
    WHERE t.id = ${transferId}`.execute(tx);
  return rows[0] ?? null;
}
