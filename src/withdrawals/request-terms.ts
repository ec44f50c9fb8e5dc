/** What is asked for with a withdrawal, what is wrong with it on its face, and what follows from it alone: its hash, what travels with its payment, what the policy judges it by, and how it is told of. */
import { createHash } from 'node:crypto';
import type { AccountRef } from '../books/journal.ts';
import type { EventDraft } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { UNPRINTABLE } from '../env/storable-text.ts';
import type { Judgeable } from '../policy/judging.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import type { OriginSeal } from './transfer-metadata.ts';
import { WITHDRAWAL_CHANGED, type WithdrawalChanged } from './withdrawal-events.ts';

export type WithdrawalRequest = {
  /** The principal that asks; idempotency keys are its own. */
  readonly client: string;
  readonly idempotencyKey: string;
  /** The customer's account at the exchange. */
  readonly account: string;
  /** Who pays. Null: the fullest that has enough, chosen once; a repetition of the request meets the choice of the first. */
  readonly treasuryParty: string | null;
  readonly instrument: Instrument;
  /** A party id. */
  readonly receiver: string;
  readonly amount: Amount;
  /** What the receiver asked for, or null. */
  readonly memo: string | null;
  /** The last record time at which it may be signed for; after it, what is not in flight fails. Null or left out: none. */
  readonly deadline?: Micros | null;
  /** Of the request that it came with, 1 to 64 characters: no part of what is asked for. Null or left out: none. */
  readonly requestId?: string | null;
};

/** Refusals that a caller must expect. */
export type WithdrawalRefusalCode =
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'IDEMPOTENCY_KEY_INVALID'
  | 'PAID_BEFORE'
  | 'TREASURY_UNKNOWN'
  | 'INSUFFICIENT_FUNDS'
  | 'INSTRUMENT_NOT_ACCEPTED'
  | 'RECEIVER_INVALID'
  | 'AMOUNT_NOT_POSITIVE'
  | 'MEMO_INVALID'
  | 'ACCOUNT_INVALID';

export class WithdrawalRefusal extends PermanentError {
  constructor(code: WithdrawalRefusalCode, message: string) {
    super(code, message);
  }
}

const PARTY_ID = /^[A-Za-z0-9_-]{1,185}::1220[0-9a-f]{64}$/;
const TEXT_BYTES_MAX = 255;

/** Whether a request can be understood at all. @throws WithdrawalRefusal. */
export function demandWellFormed({ idempotencyKey, account, receiver, amount, memo }: WithdrawalRequest): void {
  const isText = (text: string) =>
    text !== '' && text.isWellFormed() && Buffer.byteLength(text) <= TEXT_BYTES_MAX && !UNPRINTABLE.test(text);
  if (!isText(idempotencyKey))
    throw new WithdrawalRefusal('IDEMPOTENCY_KEY_INVALID', 'An idempotency key has 1 to 255 bytes of printable text.');
  if (!isText(account))
    throw new WithdrawalRefusal('ACCOUNT_INVALID', 'An account has 1 to 255 bytes of printable text.');
  if (memo !== null && !isText(memo))
    throw new WithdrawalRefusal('MEMO_INVALID', 'A memo has 1 to 255 bytes of printable text.');
  if (!PARTY_ID.test(receiver)) throw new WithdrawalRefusal('RECEIVER_INVALID', 'The receiver is not a party id.');
  if (amount <= 0n) throw new WithdrawalRefusal('AMOUNT_NOT_POSITIVE', 'The amount is greater than zero.');
}

/** Over everything that says what is to be done; JSON of an array, so that no two requests look alike. */
export function hashOf(request: WithdrawalRequest & { readonly treasuryParty: string }): Buffer {
  const { account, treasuryParty, instrument, receiver, amount, memo, deadline = null } = request;
  const parts = [account, treasuryParty, instrument.admin, instrument.id, receiver, formatAmount(amount), memo];
  // Only where there is one: requests from before there were any have the hash they had.
  if (deadline !== null) parts.push(deadline.toString());
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

/** What is to travel with the payment; null: nothing. */
export function sealOf(
  seal: Pick<OriginSeal, 'seal'> | undefined,
  id: string,
  { client, idempotencyKey, account, receiver, instrument, amount, memo }: WithdrawalRequest,
  requestHash: Uint8Array,
  { kind, owner }: AccountRef,
): string | null {
  if (seal === undefined || (kind !== 'CUSTOMER' && kind !== 'REFUNDS')) return null;
  return seal.seal(
    { client, idempotencyKey, account, requestHash, payer: { kind, owner } },
    { withdrawalId: id, receiver, instrument, amount, memo },
  );
}

/** What the policy judges a request by. */
export function judgeableOf(
  request: WithdrawalRequest & { readonly treasuryParty: string },
  payer: AccountRef,
  target: {
    readonly networkId: number;
    readonly treasuryId: number;
    readonly instrumentKey: number;
    readonly accountId: bigint;
  },
): Judgeable {
  const { client, receiver, treasuryParty, instrument, amount } = request;
  const { networkId, accountId, treasuryId, instrumentKey } = target;
  return {
    networkId,
    facts: {
      account: payer.kind === 'CUSTOMER' ? payer.owner : null,
      client,
      receiver,
      treasuryParty,
      instrument,
      amount,
    },
    subject: { accountId, receiver, client, treasuryId, instrumentKey },
  };
}

/** What tells that there is a new one. */
export function requestEvent(id: string, nowMicros: Micros): EventDraft {
  const payload: WithdrawalChanged = {
    withdrawalId: id,
    state: 'REQUESTED',
    isFinal: false,
    changedAt: nowMicros.toString(),
    failureCode: null,
    transferId: null,
    updateId: null,
  };
  return {
    eventId: eventId(WITHDRAWAL_CHANGED, id, 'REQUESTED'),
    type: WITHDRAWAL_CHANGED,
    subject: id,
    recordedAt: nowMicros,
    payload,
  };
}
