/**
 * Payments that the database has forgotten. One that was restored from a backup lacks requests, attempts or hashes; the ledger has their transfers, which are read again. A transfer out of our treasury that carries
 * what we sealed for it names its withdrawal beyond doubt (transfer-metadata.ts), so the withdrawal is made anew, or found to be paid, in the transaction that reads it. Whichever moment of a withdrawal's life
 * the backup is of:
 *
 *   before the request            made anew from the seal: account, client, key; debited once more, since that went as well
 *   requested, judged or queued   found by its id: paid, and never again
 *   an attempt open               the same, also where another attempt paid: the open one settles, since all of them lie behind us
 *   offered                       known already: what became of the offer is read as ever
 *
 * A transfer of ours that nobody here knows of is proof that the database went back, even where nothing else told.
 */
import { sql } from 'kysely';
import { type AccountKind, type AccountRef, houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { coverShortfall } from '../books/shortfall.ts';
import type { Transaction } from '../db/connection.ts';
import { isRestoring, noteRestore, type RestoreWindow, safeRecordTime } from '../db/database-restore.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';
import { cancelIn } from './cancellation.ts';
import { requestEvent } from './request-terms.ts';
import { type OriginSeal, type WithdrawalOrigin, withdrawalOfMetadata } from './transfer-metadata.ts';
import type { Ours, RecoverPayment } from './withdrawal-sink.ts';
import { isFinal, WITHDRAWAL_STATES } from './withdrawal-state.ts';

const FINAL_STATES = WITHDRAWAL_STATES.filter(isFinal);

export type RecoveryOptions = {
  readonly seal: Pick<OriginSeal, 'open'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly window: RestoreWindow;
};

/** What a payment says of itself. */
type Payment = {
  readonly id: string;
  readonly memo: string | null;
  readonly sealedOrigin: string;
  readonly origin: WithdrawalOrigin;
  readonly receiver: string;
};

export function createPaymentRecovery({ seal, clock, logger, window }: RecoveryOptions): RecoverPayment {
  return async (tx, treasury, change) => {
    const payment = await paymentOf(tx, seal, change);
    if (payment === null) return null;
    if (!(await isOutOfPocket(tx, treasury, change))) {
      logger.error('What looks like a payment of ours took nothing from us: its registry alone made it.', {
        ...factsOf(payment, change),
      });
      return null;
    }
    const nowMicros = clock.nowMicros();
    const found = await findOwn(tx, treasury, change, payment);
    if (found === 'ANOTHER') {
      logger.error('A payment names a withdrawal that asked for something else.', factsOf(payment, change));
      return null;
    }
    if (found === null) {
      const laidOut = await makeAnew(tx, treasury, change, payment, nowMicros);
      if (laidOut !== null) {
        logger.error('A payment was read that its customer’s balance does not cover: the house laid out the rest.', {
          ...factsOf(payment, change),
          amount: laidOut,
        });
      }
    }
    if (!(await isNoted(tx, treasury, change))) {
      await noteRestore(tx, {
        cause: `transfer:${change.transferId}`,
        treasuryId: treasury.id,
        detail: `The transfer ${change.transferId} paid the withdrawal ${payment.id}, and the database knew of no such attempt.`,
        by: 'withdrawals',
        nowMicros,
        window,
        lostEvents: null,
        putBack: async () => null,
      });
    }
    logger.warn('A payment was read that the database had lost.', {
      ...factsOf(payment, change),
      isMadeAnew: found === null,
    });
    return found ?? { withdrawalId: payment.id, attempt: null };
  };
}

function factsOf({ id }: Payment, { transferId, updateId }: TransferChange) {
  return { withdrawalId: id, transferId, updateId };
}

/** @returns null where it carries nothing that we sealed for it. */
async function paymentOf(
  tx: Transaction,
  seal: Pick<OriginSeal, 'open'>,
  { transferId, instrument, amount, counterparty: receiver }: TransferChange,
): Promise<Payment | null> {
  if (receiver === null) return null;
  const { rows } = await sql<{ values: Record<string, unknown> | null }>`
    SELECT transfer_object #> '{meta,values}' AS values FROM transfer WHERE id = ${transferId}`.execute(tx);
  const values = Object.entries(rows[0]?.values ?? {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  const named = withdrawalOfMetadata(Object.fromEntries(values));
  if (named === null || named.sealedOrigin === null) return null;
  const { id, memo, sealedOrigin } = named;
  const origin = seal.open(sealedOrigin, { withdrawalId: id, receiver, instrument, amount, memo });
  return origin === null ? null : { id, memo, sealedOrigin, origin, receiver };
}

/**
 * Whether the update of a transfer consumed holdings of ours that are worth it. The metadata of a payment is known to its registry before it is paid, and an admin alone can make an offer that names us as its sender
 * and repeats all of it: that pays nobody, and what ends it brings nothing back.
 */
async function isOutOfPocket(
  tx: Transaction,
  treasury: Treasury,
  { instrument, amount, inputs, updateId }: TransferChange,
): Promise<boolean> {
  const { rows } = await sql<{ isSpent: boolean }>`
    SELECT coalesce(sum(h.amount::numeric), 0) >= ${formatAmount(amount)}::numeric AS "isSpent" FROM holding h
    WHERE h.treasury_id = ${treasury.id}::int AND h.instrument_id = ${instrument.key}::int AND h.archived_update_id = ${updateId}
      AND h.contract_id = ANY (${[...inputs]}::text[])`.execute(tx);
  return rows[0]?.isSpent === true;
}

/** The withdrawal that the database still has, locked; with the attempt of it that stands open. */
async function findOwn(
  tx: Transaction,
  treasury: Treasury,
  { instrument, amount }: TransferChange,
  { id, memo, receiver }: Payment,
): Promise<Ours | 'ANOTHER' | null> {
  const row = await tx.selectFrom('withdrawal').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (row === undefined) return null;
  const isSame =
    row.treasury_id === treasury.id &&
    row.instrument_id === instrument.key &&
    row.receiver === receiver &&
    parseAmount(row.amount) === amount &&
    row.memo === memo;
  if (!isSame) return 'ANOTHER';
  const open = await tx
    .selectFrom('attempt')
    .innerJoin('submission', 'submission.id', 'attempt.submission_id')
    .select(['submission_id as submissionId', 'number'])
    .where('submission.withdrawal_id', '=', id)
    .where('attempt.state', '=', 'OPEN')
    .executeTakeFirst();
  return { withdrawalId: id, attempt: open ?? null };
}

/** @returns what the house laid out for it, as decimal text; null: nothing. */
async function makeAnew(
  tx: Transaction,
  treasury: Treasury,
  change: TransferChange,
  { id, memo, sealedOrigin, origin, receiver }: Payment,
  nowMicros: Micros,
): Promise<string | null> {
  const { instrument, amount, recordTime } = change;
  const { client, idempotencyKey, requestHash, payer } = origin;
  const accounts = await openAccounts(tx, treasury.networkId, [payer]);
  await tx
    .insertInto('withdrawal')
    .values({
      id,
      network_id: treasury.networkId,
      client,
      idempotency_key: idempotencyKey,
      request_hash: Buffer.from(requestHash),
      account_id: accounts(payer),
      treasury_id: treasury.id,
      instrument_id: instrument.key,
      receiver,
      amount: formatAmount(amount),
      memo,
      state: 'REQUESTED',
      sealed_origin: sealedOrigin,
      recovered_at: nowMicros,
      // When it was asked for nobody knows any more; it was before this.
      created_at: recordTime,
      changed_at: nowMicros,
    })
    .execute();
  const laidOut =
    payer.kind === 'CUSTOMER'
      ? await coverShortfall(tx, treasury.networkId, change, {
          withdrawalId: id,
          claim: {
            accountId: accounts(payer),
            account: payer.owner,
            instrumentKey: instrument.key,
            instrument,
            gives: amount,
          },
          nowMicros,
        })
      : null;
  await postEntries(tx, treasury.networkId, [
    {
      cause: `withdrawal:${id}:requested`,
      description: 'withdrawal requested, made anew from its payment',
      recordTime,
      lines: [{ debit: payer, credit: houseAccount('WITHDRAWALS'), instrumentKey: instrument.key, amount }],
    },
  ]);
  if (payer.kind === 'REFUNDS') await sendBackAnew(tx, treasury, { id, transferId: payer.owner, nowMicros });
  await appendEvents(tx, [requestEvent(id, nowMicros)]);
  return laidOut;
}

/**
 * The deposit that it sends back lies here again, as before somebody decided to: at the desk, held for a verdict that was given in the life before, or with an earlier refund that came to nothing, or would have. It takes this
 * refund, as the desk does, its money goes to the account that pays it, and nobody is asked about it any more: whatever the answer would be, there is nothing left to credit, nor to send back.
 */
async function sendBackAnew(
  tx: Transaction,
  { networkId }: Treasury,
  refund: { readonly id: string; readonly transferId: string; readonly nowMicros: Micros },
): Promise<void> {
  const { id, transferId, nowMicros } = refund;
  const found = await lockWaiting(tx, transferId);
  if (found === null) return;
  const payer: AccountRef = { kind: 'REFUNDS', owner: transferId };
  const { kind, owner, instrumentKey, amount, earlierId } = found;
  if (kind !== payer.kind) {
    await postEntries(tx, networkId, [
      {
        cause: `desk:${transferId}:recovered`,
        description: 'was sent back',
        recordTime: nowMicros,
        lines: [{ debit: { kind, owner }, credit: payer, instrumentKey, amount: parseAmount(amount) }],
      },
    ]);
  }
  // In the life before it had ended unpaid, or there would have been no other.
  if (earlierId !== null) await cancelIn(tx, earlierId, { by: 'withdrawals', nowMicros });
  const accounts = await openAccounts(tx, networkId, [payer]);
  const known = await sql`
    UPDATE desk_case SET state = 'REFUNDED', withdrawal_id = ${id}, funds_account_id = ${accounts(payer)}, account_id = NULL, decided_by = NULL
    WHERE transfer_id = ${transferId}`.execute(tx);
  if (known.numAffectedRows === 0n) {
    // What is held by its memo alone is no case before it was denied, and without that nobody had sent it back.
    await sql`
      INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, named_account_id, funds_account_id, withdrawal_id)
      SELECT transfer_id, treasury_id, instrument_id, 'REFUNDED', 'DENIED', held, memo, sender, update_id, record_time, account_id, ${accounts(payer)}::bigint, ${id}
      FROM screening WHERE transfer_id = ${transferId}`.execute(tx);
  }
  await sql`
    UPDATE screening SET state = 'ENDED', next_try_at = NULL, decided_at = ${nowMicros}::bigint, decided_by = 'withdrawals'
    WHERE transfer_id = ${transferId} AND state IN ('WAITING', 'PARKED')`.execute(tx);
}

type Waiting = {
  readonly kind: AccountKind;
  readonly owner: string;
  readonly instrumentKey: number;
  readonly amount: string;
  /** The refund that was to pay it, and has not ended. */
  readonly earlierId: string | null;
};

/** Where the money of a deposit waits, with its case and its question locked in the order in which everybody locks them. @returns null where none does. */
async function lockWaiting(tx: Transaction, transferId: string): Promise<Waiting | null> {
  await sql`SELECT FROM desk_case WHERE transfer_id = ${transferId} FOR UPDATE`.execute(tx);
  await sql`SELECT FROM screening WHERE transfer_id = ${transferId} FOR UPDATE`.execute(tx);
  // A statement of its own, which sees what the locks waited for.
  const { rows } = await sql<Waiting>`
    SELECT a.kind, a.owner, d.instrument_id AS "instrumentKey", d.amount::text AS amount, w.id AS "earlierId"
    FROM desk_case d JOIN account a ON a.id = d.funds_account_id
    LEFT JOIN withdrawal w ON w.id = d.withdrawal_id AND w.state NOT IN (${sql.join(FINAL_STATES)})
    WHERE d.transfer_id = ${transferId} AND d.state IN ('OPEN', 'REFUNDED')
    UNION ALL
    SELECT 'HELD', a.owner, s.instrument_id, s.held::text, NULL
    FROM screening s JOIN account a ON a.id = s.account_id
    WHERE s.transfer_id = ${transferId} AND s.state IN ('WAITING', 'PARKED') AND s.held IS NOT NULL
      AND NOT EXISTS (SELECT FROM desk_case d WHERE d.transfer_id = s.transfer_id AND d.funds_account_id IS NOT NULL)`.execute(
    tx,
  );
  return rows[0] ?? null;
}

/** Whether it is known already that what led to this payment may be lost. */
async function isNoted(tx: Transaction, { id }: Treasury, { recordTime }: TransferChange): Promise<boolean> {
  const treasury = sql`${id}::int`;
  const { rows } = await sql<{ isNoted: boolean }>`
    SELECT ${isRestoring(treasury)} OR ${recordTime}::bigint <= ${safeRecordTime(treasury)} AS "isNoted"`.execute(tx);
  return rows[0]?.isNoted === true;
}
