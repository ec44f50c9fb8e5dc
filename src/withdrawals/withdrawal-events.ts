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
