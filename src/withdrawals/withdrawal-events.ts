/** What the event log says of withdrawals: one event per change of state, written in the transaction that changes it. */
import { z } from 'zod';
import { WITHDRAWAL_STATES } from './withdrawal-state.ts';

export const WITHDRAWAL_CHANGED = 'withdrawal.changed';

export const withdrawalChangedPayload = z.object({
  withdrawalId: z.string(),
  state: z.enum(WITHDRAWAL_STATES),
  isFinal: z.boolean(),
  /** Microseconds of the wall clock, as a decimal string. */
  changedAt: z.string(),
  failureCode: z.string().nullable(),
  /** The transfer that ingestion saw: the evidence of OFFERED and COMPLETED. */
  transferId: z.string().nullable(),
  updateId: z.string().nullable(),
});

export type WithdrawalChanged = z.infer<typeof withdrawalChangedPayload>;

/** Somebody held or parked a withdrawal, or let it go on. Its state is told by {@link WITHDRAWAL_CHANGED} alone. */
export const WITHDRAWAL_STOPPED = 'withdrawal.stopped';

export const withdrawalStoppedPayload = z.object({
  withdrawalId: z.string(),
  kind: z.enum(['HOLD', 'PARK']),
  isReleased: z.boolean(),
  by: z.string(),
  why: z.string(),
});

export type WithdrawalStopped = z.infer<typeof withdrawalStoppedPayload>;

/** Two people decide a withdrawal that nobody can read: asked for, agreed to, or refused. */
export const WITHDRAWAL_RESOLUTION = 'withdrawal.resolution';

export const withdrawalResolutionPayload = z.object({
  withdrawalId: z.string(),
  /** Decimal text. */
  resolutionId: z.string(),
  outcome: z.enum(['COMPLETED', 'RETURNED', 'FAILED']),
  state: z.enum(['AWAITING_APPROVAL', 'DONE', 'REFUSED']),
  requestedBy: z.string(),
  decidedBy: z.string().nullable(),
  evidence: z.string(),
  updateId: z.string().nullable(),
});

export type WithdrawalResolutionChanged = z.infer<typeof withdrawalResolutionPayload>;
