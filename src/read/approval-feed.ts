/** Following what happens to withdrawals that need people: from the event log, at least once and in order. */
import { formatEventCursor } from '../db/event-cursor.ts';
import type { LogEvent } from '../db/event-page.ts';
import type { EventTail } from '../db/event-tail.ts';
import type { Micros } from '../env/clock.ts';
import { APPROVAL_CHANGED, type ApprovalChange, approvalChangedPayload } from '../policy/approval-events.ts';
import { createLogFeed, type LogFeed } from './log-feed.ts';

export type ApprovalUpdate = {
  /** Resumes after this update. */
  readonly cursor: string;
  readonly eventId: string;
  readonly withdrawalId: string;
  readonly change: ApprovalChange;
  readonly by: string;
  readonly changedAt: Micros;
};

/** Every change after a position of the log, and then those that come. */
export function followApprovals(tail: EventTail, after: bigint): LogFeed<ApprovalUpdate> {
  return createLogFeed(tail, { after, types: [APPROVAL_CHANGED] }, (event) =>
    approvalUpdateOf(event, tail.head().epoch),
  );
}

/** @param event of type {@link APPROVAL_CHANGED}; its payload is ours, anything else is a broken invariant. */
export function approvalUpdateOf({ eventId, position, payload }: LogEvent, epoch: string): ApprovalUpdate {
  const { withdrawalId, change, by, changedAt } = approvalChangedPayload.parse(payload);
  const cursor = formatEventCursor({ epoch, position });
  return { withdrawalId, change, by, changedAt: BigInt(changedAt), cursor, eventId };
}
