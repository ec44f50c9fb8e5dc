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
import { houseAccount, openAccounts, postEntries } from '../books/journal.ts';
import { coverShortfall } from '../books/shortfall.ts';
import type { Transaction } from '../db/connection.ts';
import { isRestoring, noteRestore, type RestoreWindow, safeRecordTime } from '../db/database-restore.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';
import { requestEvent } from './request-terms.ts';
import { type OriginSeal, type WithdrawalOrigin, withdrawalOfMetadata } from './transfer-metadata.ts';
import type { Ours, RecoverPayment } from './withdrawal-sink.ts';

export type RecoveryOptions = {
  readonly seal: Pick<OriginSeal, 'open'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly window: RestoreWindow;
  readonly recoverRefund: RecoverRefund;
};

/** Told of a refund that was made anew from its payment, whose deposit the database takes for something else. */
export type RecoverRefund = (
  tx: Transaction,
  treasury: Treasury,
  refund: {
    readonly withdrawalId: string;
    /** Of the deposit. */
    readonly transferId: string;
    readonly nowMicros: Micros;
  },
) => Promise<void>;

/** What a payment says of itself. */
type Payment = {
  readonly id: string;
  readonly memo: string | null;
  readonly sealedOrigin: string;
  readonly origin: WithdrawalOrigin;
  readonly receiver: string;
};

export function createPaymentRecovery({ seal, clock, logger, window, recoverRefund }: RecoveryOptions): RecoverPayment {
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
      const laidOut = await makeAnew(tx, treasury, change, payment, { recoverRefund, nowMicros });
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
  { recoverRefund, nowMicros }: Pick<RecoveryOptions, 'recoverRefund'> & { readonly nowMicros: Micros },
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
  await appendEvents(tx, [requestEvent(id, nowMicros)]);
  if (payer.kind === 'REFUNDS')
    await recoverRefund(tx, treasury, { withdrawalId: id, transferId: payer.owner, nowMicros });
  return laidOut;
}

/** Whether it is known already that what led to this payment may be lost. */
async function isNoted(tx: Transaction, { id }: Treasury, { recordTime }: TransferChange): Promise<boolean> {
  const treasury = sql`${id}::int`;
  const { rows } = await sql<{ isNoted: boolean }>`
    SELECT ${isRestoring(treasury)} OR ${recordTime}::bigint <= ${safeRecordTime(treasury)} AS "isNoted"`.execute(tx);
  return rows[0]?.isNoted === true;
}
