/**
 * What the event log says of deposits. Written in the transaction that credits (src/deposits/deposit-sink.ts), read by subscriptions.
 * Payloads hold facts that never change; whoever wants the present state of the transfer looks it up by its id.
 */
import { z } from 'zod';

/** A deposit is on somebody's account. */
export const DEPOSIT_CREDITED = 'deposit.credited';
/** A deposit arrived whose memo names nobody; its amount waits on the unattributed account. */
export const DEPOSIT_UNATTRIBUTED = 'deposit.unattributed';
/** An offer to us appeared; nothing is credited. */
export const OFFER_RECEIVED = 'offer.received';
/** An offer to us ended without reaching us: rejected, withdrawn or expired. */
export const OFFER_ENDED = 'offer.ended';

export const DEPOSIT_FEED_TYPES = [DEPOSIT_CREDITED, DEPOSIT_UNATTRIBUTED] as const;

const common = {
  transferId: z.string(),
  treasuryParty: z.string(),
  instrument: z.object({ admin: z.string(), id: z.string() }),
  /** Decimal string, ten decimals. */
  amount: z.string(),
  memo: z.string().nullable(),
  sender: z.string().nullable(),
  updateId: z.string(),
  /** Microseconds as a decimal string. */
  recordTime: z.string(),
};

export const depositCreditedPayload = z.object({ ...common, account: z.string(), depositAccountId: z.string() });
export const depositUnattributedPayload = z.object({
  ...common,
  why: z.enum(['NO_MEMO', 'UNKNOWN_MEMO', 'INSTRUMENT_NOT_ACCEPTED']),
});
export const offerPayload = z.object({ ...common, status: z.string() });

export type DepositCredited = z.infer<typeof depositCreditedPayload>;
export type DepositUnattributed = z.infer<typeof depositUnattributedPayload>;
export type OfferPayload = z.infer<typeof offerPayload>;
