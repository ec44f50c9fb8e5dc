/** Following what happens to withdrawals that need people: from the event log, at least once and in order. */
import { formatEventCursor } from '../db/event-cursor.ts';
import type { EventTail } from '../db/event-tail.ts';
import { interruptible } from '../db/interruptible.ts';
import type { Micros } from '../env/clock.ts';
import { APPROVAL_CHANGED, type ApprovalChange, approvalChangedPayload } from '../policy/approval-events.ts';

export type ApprovalUpdate = {
  /** Resumes after this update. */
  readonly cursor: string;
  readonly eventId: string;
  readonly withdrawalId: string;
  readonly change: ApprovalChange;
  readonly by: string;
  readonly changedAt: Micros;
};

/** Ended by its `return()`, also while it waits. */
export type ApprovalUpdates = AsyncGenerator<ApprovalUpdate, void, undefined>;

/** Every change after a position of the log, and then those that come. */
export function followApprovals(tail: EventTail, after: bigint): ApprovalUpdates {
  const events = tail.subscribe({ after, types: [APPROVAL_CHANGED] });
  return interruptible(async function* updates(ended): ApprovalUpdates {
    const leave = (): void => {
      events.return().catch(() => undefined); // What their reads threw reaches us from `next()`.
    };
    if (ended.aborted) leave();
    else ended.addEventListener('abort', leave, { once: true });
    for await (const event of events) {
      const { withdrawalId, change, by, changedAt } = approvalChangedPayload.parse(event.payload);
      yield {
        withdrawalId,
        change,
        by,
        changedAt: BigInt(changedAt),
        cursor: formatEventCursor({ epoch: tail.head().epoch, position: event.position }),
        eventId: event.eventId,
      };
    }
  });
}
