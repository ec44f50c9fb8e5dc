/**
 * How a withdrawal learns what became of it: from the transaction that ingestion stores, inside that transaction. A transfer is ours if its transaction carries a hash we asked a signature for; where the
 * participant does not tell the hash, if it spends exactly what an attempt of ours was given, and pays exactly what that was to pay; where the database lost what it knew of the attempt, if it carries what we
 * sealed for it (recovered-payments.ts). The
 * attempt settles in the same commit that moves the position past the transfer, so nobody can find the position past it and the attempt still open.
 */
import { sql } from 'kysely';
import { houseAccount, postEntries } from '../books/journal.ts';
import type { Transaction } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { assert, unreachable } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { EffectSink, TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { openFreeze } from '../ingestion/freezes.ts';
import { settleAttempts } from '../submissions/attempts.ts';
import { formatAmount } from '../tokens/amount.ts';
import { endReturn } from './offers/return-end.ts';
import type { WithdrawalEvent } from './withdrawal-state.ts';
import { applyWithdrawalEvents } from './withdrawal-store.ts';

/** @param recover makes a withdrawal anew that the database has lost, or finds the one that lost its attempt. Left out: its payment stays unexplained. */
export function createWithdrawalSink({
  clock,
  logger,
  recover,
}: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recover?: RecoverPayment;
}): EffectSink {
  return {
    name: 'withdrawals',
    apply: async (tx, treasury, changes) => {
      const payouts = changes.filter(
        ({ direction, kind }) => direction === 'OUT' && (kind === 'DIRECT' || kind === 'OFFER'),
      );
      const fresh = payouts.filter(({ isNew }) => isNew);
      const reserved = await reservedAmong(tx, treasury, fresh);
      const signed = await signedAmong(tx, fresh);
      const write = async (seen: readonly Seen[]): Promise<void> =>
        await writeSeen({ tx, treasury, logger, nowMicros: clock.nowMicros() }, seen);
      // Payments are written together as long as each is of another withdrawal; whatever asks what became of an earlier one waits for its turn.
      const together = new Map<string, Seen>();
      const writeTogether = async (): Promise<void> => {
        await write([...together.values()]);
        together.clear();
      };
      for (const change of payouts) {
        const paid = change.isNew ? signedFor(signed, change) : null;
        if (paid !== null && !together.has(paid.withdrawalId)) {
          together.set(paid.withdrawalId, { change, ours: paid, isRecovered: false });
          continue;
        }
        await writeTogether();
        const known = paid ?? (await (change.isNew ? spentFor(tx, treasury, change, reserved) : offeredAs(tx, change)));
        const recovered =
          known === null && change.isNew && recover !== undefined ? await recover(tx, treasury, change) : null;
        const ours = known ?? recovered;
        if (ours === null) continue;
        const { withdrawalId } = ours;
        if (!change.isNew && change.status === 'PENDING') {
          // An offer that its registry replaced by a successor goes on; the withdrawal stays where it is.
          await tx.selectFrom('withdrawal').select('id').where('id', '=', withdrawalId).forUpdate().execute();
          await endReturn(tx, withdrawalId, 'PENDING', clock.nowMicros());
          continue;
        }
        await write([{ change, ours, isRecovered: recovered !== null }]);
      }
      await writeTogether();
    },
  };
}

/** A change, and the withdrawal that it is of. */
type Seen = { readonly change: TransferChange; readonly ours: Ours; readonly isRecovered: boolean };

type Writing = {
  readonly tx: Transaction;
  readonly treasury: Treasury;
  readonly logger: Logger;
  readonly nowMicros: Micros;
};

/** What follows from what was seen. A few statements for payments, however many. @param seen of different withdrawals. */
async function writeSeen({ tx, treasury, logger, nowMicros }: Writing, seen: readonly Seen[]): Promise<void> {
  if (seen.length === 0) return;
  const transitions = await applyWithdrawalEvents(
    tx,
    seen.map(({ change, ours, isRecovered }) => ({
      withdrawalId: ours.withdrawalId,
      event: eventOf(change, isRecovered),
      facts: {
        nowMicros,
        evidence: { transferId: change.transferId, updateId: change.updateId },
        ...(change.isNew && change.status === 'FAILED' && { doubt: TRANSFER_FAILED }),
      },
    })),
  );
  await tell(tx, logger, seen);
  const paid: Seen[] = [];
  for (const [index, one] of seen.entries()) {
    const { change, ours } = one;
    const { withdrawalId } = ours;
    const { transferId, updateId, status } = change;
    const transition = transitions[index];
    assert(transition !== undefined, 'What a withdrawal does with a transfer is not known.', { withdrawalId });
    const isUnexpected = transition.kind === 'MOVED' && ours.isAttemptDead === true;
    if (isUnexpected || transition.kind === 'ALARM' || transition.kind === 'MOVED_WITH_ALARM') {
      logger.error('A transfer was seen against a withdrawal that did not expect it.', {
        withdrawalId,
        transferId,
        status,
      });
      // What counted as ended has moved money, so nothing that counts as ended here can be relied on.
      await openFreeze(tx, {
        treasuryId: treasury.id,
        instrumentKey: null,
        reason: 'TRANSFER_NOT_EXPECTED',
        detail: `The transfer ${transferId} was seen for the withdrawal ${withdrawalId}, which no attempt of it that counts as open explains.`,
        cause: `update:${updateId}`,
        openedBy: 'withdrawals',
        nowMicros,
      });
    }
    if (!change.isNew) await endReturn(tx, withdrawalId, status, nowMicros);
    if (transition.kind === 'MOVED' && transition.state === 'UNRESOLVED') {
      await freezeUnreadable(tx, treasury, change, withdrawalId, nowMicros);
      logger.error('A payment ended in a way that nobody can read.', { withdrawalId, transferId });
    }
    // Noted: two people said so before, and it was booked then.
    if (status === 'COMPLETED' && transition.kind !== 'ALARM' && transition.kind !== 'NOTED') paid.push(one);
  }
  const attempts = seen.flatMap(({ ours }) => (ours.attempt === null ? [] : [ours.attempt]));
  await settleAttempts(tx, attempts, nowMicros);
  await bookPaid(tx, treasury, paid);
}

/** The last line of what began with a request. The commit that it belongs to may still fail, and then comes again. */
async function tell(tx: Transaction, logger: Logger, seen: readonly Seen[]): Promise<void> {
  const { rows } = await sql<{ id: string; state: string; requestId: string | null }>`
    SELECT id, state, request_id AS "requestId" FROM withdrawal WHERE id = ANY (${seen.map(({ ours }) => ours.withdrawalId)}::text[])`.execute(
    tx,
  );
  for (const { change, ours } of seen) {
    const row = rows.find(({ id }) => id === ours.withdrawalId);
    const requestId = row?.requestId ?? null;
    logger.info('The ledger shows a transfer of a withdrawal.', {
      withdrawalId: ours.withdrawalId,
      updateId: change.updateId,
      status: change.status,
      state: row?.state,
      ...(requestId !== null && { requestId }),
    });
  }
}

export type Ours = {
  readonly withdrawalId: string;
  readonly attempt: { readonly submissionId: string; readonly number: number } | null;
  /** That attempt counted as dead, by proof, and committed all the same. Left out: it did not. */
  readonly isAttemptDead?: boolean;
};

/** @returns null for a transfer that is not certainly a payment of ours. */
export type RecoverPayment = (tx: Transaction, treasury: Treasury, change: TransferChange) => Promise<Ours | null>;

/** What of `payouts` carries a hash that we asked a signature for, by the hash in hexadecimal. */
async function signedAmong(tx: Transaction, payouts: readonly TransferChange[]): Promise<ReadonlyMap<string, Ours>> {
  const hashes = payouts.flatMap(({ signedHash }) =>
    signedHash === null || signedHash.length === 0 ? [] : [Buffer.from(signedHash)],
  );
  if (hashes.length === 0) return new Map();
  const { rows } = await sql<{
    hash: Buffer;
    submissionId: string;
    number: number;
    withdrawalId: string;
    isAttemptDead: boolean;
  }>`
    SELECT h.hash, h.submission_id AS "submissionId", h.number, s.withdrawal_id AS "withdrawalId", a.state IN ('LAPSED', 'GIVEN_UP') AS "isAttemptDead"
    FROM signed_hash h JOIN submission s ON s.id = h.submission_id JOIN attempt a ON a.submission_id = h.submission_id AND a.number = h.number
    WHERE h.hash = ANY (${hashes}::bytea[]) AND s.withdrawal_id IS NOT NULL`.execute(tx);
  return new Map(
    rows.map(({ hash, withdrawalId, isAttemptDead, ...attempt }) => [
      hash.toString('hex'),
      { withdrawalId, attempt, isAttemptDead },
    ]),
  );
}

function signedFor(signed: ReadonlyMap<string, Ours>, { signedHash }: TransferChange): Ours | null {
  return signedHash === null ? null : (signed.get(Buffer.from(signedHash).toString('hex')) ?? null);
}

/** Inputs of `payouts` that an attempt of ours holds. Asked once for all of them, since most of a history is of others' making, or long settled. */
async function reservedAmong(
  tx: Transaction,
  treasury: Treasury,
  payouts: readonly TransferChange[],
): Promise<ReadonlySet<string>> {
  const inputs = payouts.flatMap((payout) => payout.inputs);
  if (inputs.length === 0) return new Set();
  const { rows } = await sql<{ contractId: string }>`
    SELECT contract_id AS "contractId" FROM reservation
    WHERE treasury_id = ${treasury.id} AND is_open AND contract_id = ANY (${inputs}::text[])`.execute(tx);
  return new Set(rows.map(({ contractId }) => contractId));
}

/** The open attempt, perhaps signed, that was given these very inputs to pay this very receiver this very amount. A memo or an id in it alone says nothing: anybody can write them. */
async function spentFor(
  tx: Transaction,
  treasury: Treasury,
  change: TransferChange,
  reserved: ReadonlySet<string>,
): Promise<Ours | null> {
  const [input] = change.inputs;
  if (input === undefined || !reserved.has(input)) return null;
  const { rows } = await sql<{ submissionId: string; number: number; withdrawalId: string }>`
    SELECT s.id AS "submissionId", one.number, w.id AS "withdrawalId"
    FROM reservation one JOIN submission s ON s.id = one.submission_id JOIN withdrawal w ON w.id = s.withdrawal_id
    JOIN attempt a ON a.submission_id = one.submission_id AND a.number = one.number AND a.sign_requested_at IS NOT NULL
    WHERE one.treasury_id = ${treasury.id} AND one.contract_id = ${input} AND one.is_open
      AND s.instrument_id = ${change.instrument.key} AND w.receiver = ${change.counterparty}
      AND w.amount = ${formatAmount(change.amount)}::numeric
      AND (SELECT array_agg(r.contract_id ORDER BY r.contract_id) FROM reservation r WHERE r.submission_id = one.submission_id AND r.number = one.number)
        = (SELECT array_agg(spent ORDER BY spent) FROM unnest(${[...change.inputs]}::text[]) AS spent)`.execute(tx);
  const [row] = rows;
  if (row === undefined) return null;
  return { withdrawalId: row.withdrawalId, attempt: { submissionId: row.submissionId, number: row.number } };
}

/** The withdrawal whose offer goes on here. */
async function offeredAs(tx: Transaction, { transferId }: TransferChange): Promise<Ours | null> {
  const row = await tx.selectFrom('withdrawal').select('id').where('transfer_id', '=', transferId).executeTakeFirst();
  return row === undefined ? null : { withdrawalId: row.id, attempt: null };
}

const TRANSFER_FAILED = {
  code: 'TRANSFER_FAILED',
  detail:
    'Its transfer is on the ledger, and says of itself that it failed: look up with the receiver and the registry what became of the money, then call `resolveWithdrawal`.',
};

function eventOf({ isNew, status }: TransferChange, isRecovered: boolean): WithdrawalEvent {
  if (isRecovered) return { kind: 'PAYMENT_RECOVERED', as: stateRecovered(status) };
  // What we signed was committed, and its registry says that nothing was transferred by it.
  if (isNew && status === 'FAILED') return { kind: 'INPUTS_VANISHED' };
  if (isNew) return { kind: status === 'PENDING' ? 'OFFER_SEEN' : 'TRANSFER_SEEN' };
  switch (status) {
    case 'PENDING':
      return { kind: 'OFFER_SEEN' };
    case 'COMPLETED':
      return { kind: 'OFFER_ACCEPTED' };
    case 'REJECTED':
    case 'WITHDRAWN':
    case 'EXPIRED':
      return { kind: 'OFFER_RETURNED' };
    case 'FAILED':
      return { kind: 'OFFER_END_UNREADABLE' };
    default:
      return unreachable(status);
  }
}

/** Only what says that it paid has paid; what says anything else, and was signed by us, is for people. */
function stateRecovered(status: TransferChange['status']): 'COMPLETED' | 'OFFERED' | 'UNRESOLVED' {
  if (status === 'COMPLETED') return 'COMPLETED';
  return status === 'PENDING' ? 'OFFERED' : 'UNRESOLVED';
}

/** Where the money is, nobody knows: it may be the receiver's, ours, or locked for ever. Until somebody has looked, nothing of that instrument moves. */
async function freezeUnreadable(
  tx: Transaction,
  treasury: Treasury,
  { transferId, instrument, updateId, isNew }: TransferChange,
  withdrawalId: string,
  nowMicros: bigint,
): Promise<void> {
  await openFreeze(tx, {
    treasuryId: treasury.id,
    instrumentKey: instrument.key,
    reason: 'OFFER_END_UNREADABLE',
    detail: isNew
      ? `The transfer ${transferId} of the withdrawal ${withdrawalId} says of itself that it did not pay.`
      : `The offer ${transferId} of the withdrawal ${withdrawalId} ended otherwise than by a choice of the token standard.`,
    cause: `update:${updateId}`,
    openedBy: 'withdrawals',
    nowMicros,
  });
}

/** An outgoing transfer is unexplained until somebody who asked for it is found; this is he. */
async function bookPaid(tx: Transaction, treasury: Treasury, paid: readonly Seen[]): Promise<void> {
  await postEntries(
    tx,
    treasury.networkId,
    paid.map(({ change, ours }) => ({
      cause: `withdrawal:${ours.withdrawalId}:paid`,
      description: 'withdrawal paid',
      recordTime: change.recordTime,
      lines: [
        {
          debit: houseAccount('WITHDRAWALS'),
          credit: houseAccount('UNEXPLAINED'),
          instrumentKey: change.instrument.key,
          amount: change.amount,
        },
      ],
    })),
  );
}
