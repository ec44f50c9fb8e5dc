/** What the event log says of approvals: written in the transaction that does what it tells. */
import { z } from 'zod';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { eventId } from '../tokens/ids.ts';

export const APPROVAL_CHANGED = 'withdrawal.approval';

/**
 *   ASKED     people, or the screening service, have to say yes; again, where approvals ran out or the policy changed
 *   APPROVED  one person said yes; it may need more
 *   REFUSED   one person said no: it is over
 *   SCREENED  the screening service has decided
 *   GRANTED   all who were asked have said yes
 *   DENIED    the policy, as it is now, or the screening service, does not allow it: it is over
 *   EXPIRED   nobody, or too few, said yes in time, or before its deadline: it is over
 *   CANCELLED whoever asked for it wants it no more
 */
export const APPROVAL_CHANGES = [
  'ASKED',
  'APPROVED',
  'REFUSED',
  'SCREENED',
  'GRANTED',
  'DENIED',
  'EXPIRED',
  'CANCELLED',
] as const;
export type ApprovalChange = (typeof APPROVAL_CHANGES)[number];

export const approvalChangedPayload = z.object({
  withdrawalId: z.string(),
  change: z.enum(APPROVAL_CHANGES),
  /** The number of the verdict it is about. */
  verdict: z.number(),
  /** Who did it: a principal, `policy` or `screening`. */
  by: z.string(),
  /** Microseconds of the wall clock, as a decimal string. */
  changedAt: z.string(),
});

export type ApprovalChanged = z.infer<typeof approvalChangedPayload>;

/** @param told.occasion tells it from others of the same withdrawal, change and verdict. */
export async function announceApproval(
  tx: Transaction,
  told: Omit<ApprovalChanged, 'changedAt'> & { readonly occasion?: string; readonly nowMicros: Micros },
): Promise<void> {
  const { occasion = '', nowMicros, ...facts } = told;
  const payload: ApprovalChanged = { ...facts, changedAt: nowMicros.toString() };
  await appendEvents(tx, [
    {
      eventId: eventId(APPROVAL_CHANGED, facts.withdrawalId, `${facts.change}/${facts.verdict}/${occasion}`),
      type: APPROVAL_CHANGED,
      subject: facts.withdrawalId,
      recordedAt: nowMicros,
      payload,
    },
  ]);
}
