/**
 * What the event log says of deposits. Written in the transaction that decides (the deposit sink, a verdict, the desk), read by subscriptions.
 * Payloads hold facts that never change; whoever wants the present state of the transfer looks it up by its id.
 */
import { z } from 'zod';

/** A deposit is on somebody's account. */
export const DEPOSIT_CREDITED = 'deposit.credited';
/** A deposit arrived that belongs to nobody; its amount waits on the unattributed account. */
export const DEPOSIT_UNATTRIBUTED = 'deposit.unattributed';
/** A deposit is somebody's and not available: it waits for the verdict of the screening service. */
export const DEPOSIT_HELD = 'deposit.held';
/** The screening service denied it: it stays held until a person decides. */
export const DEPOSIT_DENIED = 'deposit.denied';
/** It goes back to its sender by a withdrawal, whose own events say how that ends. */
export const DEPOSIT_REFUNDED = 'deposit.refunded';
/** An offer to us appeared; nothing is credited. */
export const OFFER_RECEIVED = 'offer.received';
/** An offer to us ended without reaching us: rejected, withdrawn or expired. */
export const OFFER_ENDED = 'offer.ended';
/** Somebody at the desk asked for something, agreed, refused or did it. Its subject is the transfer. */
export const DESK_DECISION = 'desk.decision';

export const DEPOSIT_FEED_TYPES = [
  DEPOSIT_CREDITED,
  DEPOSIT_UNATTRIBUTED,
  DEPOSIT_HELD,
  DEPOSIT_DENIED,
  DEPOSIT_REFUNDED,
] as const;

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

/** `depositAccountId` null: a person decided. */
export const depositCreditedPayload = z.object({
  ...common,
  account: z.string(),
  depositAccountId: z.string().nullable(),
});
export const depositHeldPayload = depositCreditedPayload;
export const depositDeniedPayload = z.object({
  ...common,
  account: z.string(),
  depositAccountId: z.string().nullable(),
  /** The screening service's own. */
  caseId: z.string().nullable(),
});
export const depositRefundedPayload = z.object({ ...common, withdrawalId: z.string() });
export const depositUnattributedPayload = z.object({
  ...common,
  why: z.enum(['NO_MEMO', 'UNKNOWN_MEMO', 'MEMO_DISABLED', 'INSTRUMENT_NOT_ACCEPTED']),
});
export const offerPayload = z.object({ ...common, status: z.string() });
export const deskDecisionPayload = z.object({
  transferId: z.string(),
  decisionId: z.string(),
  kind: z.enum(['ASSIGN', 'REFUND', 'REJECT']),
  state: z.enum(['AWAITING_APPROVAL', 'DONE', 'REFUSED']),
  account: z.string().nullable(),
  withdrawalId: z.string().nullable(),
  requestedBy: z.string(),
  decidedBy: z.string().nullable(),
  reason: z.string(),
});

export type DepositFacts = {
  readonly transferId: string;
  readonly treasuryParty: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: string;
};
export type DepositCredited = z.infer<typeof depositCreditedPayload>;
export type DepositHeld = z.infer<typeof depositHeldPayload>;
export type DepositDenied = z.infer<typeof depositDeniedPayload>;
export type DepositRefunded = z.infer<typeof depositRefundedPayload>;
export type DepositUnattributed = z.infer<typeof depositUnattributedPayload>;
export type OfferPayload = z.infer<typeof offerPayload>;
export type DeskDecisionPayload = z.infer<typeof deskDecisionPayload>;
