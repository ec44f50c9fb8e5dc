/**
 * Following one withdrawal: where it stands, then every change, and the end once it is final.
 *
 * The present state and the place in the log it belongs to come from one statement, so one snapshot: what changed the row is, in that
 * snapshot, either in the log up to its last position or still in the outbox. What the outbox held is known by its event ids and left out when
 * it appears, so that a subscriber never sees a state go back.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { formatEventCursor } from '../db/event-cursor.ts';
import type { LogEvent } from '../db/event-page.ts';
import type { EventTail } from '../db/event-tail.ts';
import { interruptible } from '../db/interruptible.ts';
import type { Micros } from '../env/clock.ts';
import { WITHDRAWAL_CHANGED, withdrawalChangedPayload } from '../withdrawals/withdrawal-events.ts';
import { isFinal, type WithdrawalState } from '../withdrawals/withdrawal-state.ts';

export type WithdrawalUpdate = {
  /** Resumes after this update. */
  readonly cursor: string;
  /** Null: no event, but the state found when the subscription began. */
  readonly eventId: string | null;
  readonly withdrawalId: string;
  readonly state: WithdrawalState;
  readonly isFinal: boolean;
  readonly changedAt: Micros;
  readonly failureCode: string | null;
  readonly transferId: string | null;
  readonly updateId: string | null;
};

/** Ended by its `return()`, also while it waits. */
export type WithdrawalUpdates = AsyncGenerator<WithdrawalUpdate, void, undefined>;

/**
 * Follows one withdrawal, and ends after its final state; at once where `cursor` is already past it.
 * @param cursor null: the present state first.
 * @returns null: there is no such withdrawal.
 * @throws CursorError.
 */
export async function followWithdrawal(
  { db, tail }: { readonly db: Database; readonly tail: EventTail },
  withdrawalId: string,
  cursor: string | null,
): Promise<WithdrawalUpdates | null> {
  const point = cursor === null ? null : await tail.pointAfter(cursor);
  const present = await readPresent(db, withdrawalId, point?.position ?? null);
  if (present === null) return null;
  const { epoch } = tail.head();
  return interruptible(async function* updates(ended): WithdrawalUpdates {
    if (point === null) {
      yield presentUpdateOf(withdrawalId, present, epoch);
      if (!isFinal(present.state)) yield* changes(present.position, new Set(present.pendingEventIds), ended);
    } else if (!isFinal(present.state) || present.hasEventsLeft) {
      yield* changes(point.position, new Set(), ended);
    }
  });

  /** @param alreadyTold ids of events that the subscriber knows by their outcome. */
  async function* changes(after: bigint, alreadyTold: Set<string>, ended: AbortSignal): WithdrawalUpdates {
    const events = tail.subscribe({ after, types: [WITHDRAWAL_CHANGED] });
    // Between events this generator stands in the other's `next()`; ending that one lets it go on.
    const leave = (): void => {
      events.return().catch(() => undefined); // What its reads threw reaches us from `next()`.
    };
    ended.addEventListener('abort', leave, { once: true });
    if (ended.aborted) return;
    for await (const event of events) {
      if (event.subject !== withdrawalId || alreadyTold.delete(event.eventId)) continue;
      const update = withdrawalUpdateOf(event, epoch);
      yield update;
      if (update.isFinal) return;
    }
  }
}

/** @param event of type {@link WITHDRAWAL_CHANGED}; its payload is ours, anything else is a broken invariant. */
export function withdrawalUpdateOf(event: LogEvent, epoch: string): WithdrawalUpdate {
  const { changedAt, ...facts } = withdrawalChangedPayload.parse(event.payload);
  return {
    ...facts,
    changedAt: BigInt(changedAt),
    cursor: formatEventCursor({ epoch, position: event.position }),
    eventId: event.eventId,
  };
}

function presentUpdateOf(withdrawalId: string, present: Present, epoch: string): WithdrawalUpdate {
  const { state, changedAt, failureCode, transferId, updateId } = present;
  return {
    cursor: formatEventCursor({ epoch, position: present.position }),
    eventId: null,
    withdrawalId,
    state,
    isFinal: isFinal(state),
    changedAt,
    failureCode,
    transferId,
    updateId,
  };
}

type Present = Pick<WithdrawalUpdate, 'state' | 'changedAt' | 'failureCode' | 'transferId' | 'updateId'> & {
  /** Of the newest event in the log. */
  readonly position: bigint;
  /** Of this withdrawal, committed and not yet in the log. */
  readonly pendingEventIds: readonly string[];
  /** Whether the log or the outbox has events of this withdrawal past the position asked about. */
  readonly hasEventsLeft: boolean;
};

/** @param after what to look past for `hasEventsLeft`; null: the end of the log. */
async function readPresent(db: Database, withdrawalId: string, after: bigint | null): Promise<Present | null> {
  const { rows } = await sql<Omit<Present, 'hasEventsLeft'> & { readonly hasLogged: boolean }>`
    SELECT withdrawal.state, withdrawal.changed_at AS "changedAt", withdrawal.failure_code AS "failureCode",
      withdrawal.transfer_id AS "transferId", withdrawal.update_id AS "updateId", event_log.last_position AS position,
      ARRAY(SELECT event_id FROM event_outbox WHERE subject = withdrawal.id) AS "pendingEventIds",
      EXISTS (
        SELECT FROM event
        WHERE type = ${WITHDRAWAL_CHANGED} AND position > coalesce(${after}::bigint, event_log.last_position)
          AND subject = withdrawal.id
      ) AS "hasLogged"
    FROM withdrawal, event_log
    WHERE withdrawal.id = ${withdrawalId}
  `.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  const { hasLogged, ...present } = row;
  return { ...present, hasEventsLeft: hasLogged || present.pendingEventIds.length > 0 };
}
