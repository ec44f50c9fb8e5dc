/**
 * Following withdrawals: all of them by the event log; or one, where it stands, then every change, and the end once it is final.
 *
 * The present state and the place in the log it belongs to come from one statement, so one snapshot: what changed the row is, in that
 * snapshot, either in the log up to its last position or still in the outbox. What the outbox held is known by its event ids and left out when
 * it appears, so that a subscriber never sees a state go back.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { formatEventCursor } from '../db/event-cursor.ts';
import type { LogEvent } from '../db/event-page.ts';
import type { Events, EventTail } from '../db/event-tail.ts';
import { interruptible } from '../db/interruptible.ts';
import type { Micros } from '../env/clock.ts';
import { WITHDRAWAL_CHANGED, withdrawalChangedPayload } from '../withdrawals/withdrawal-events.ts';
import { isFinal, type WithdrawalState } from '../withdrawals/withdrawal-state.ts';
import { createLogFeed, type LogFeed } from './log-feed.ts';
import { conditionOf, type WithdrawalFilter } from './withdrawal-filter.ts';

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
  const present = await readPresent(db, withdrawalId);
  if (present === null) return null;
  return interruptible(async function* updates(ended): WithdrawalUpdates {
    if (point === null) {
      yield presentUpdateOf(withdrawalId, present);
      if (!isFinal(present.state)) yield* changes(present.position, new Set(present.pendingEventIds), ended);
      return;
    }
    for (const event of await readChanges(db, withdrawalId, { after: point.position, upTo: present.position })) {
      yield withdrawalUpdateOf(event, tail.head().epoch);
    }
    // Whatever is not in the log by now comes by the tail; of a final one nothing comes that is not written yet.
    if (isFinal(present.state) && present.pendingEventIds.length === 0) return;
    yield* changes(present.position, new Set(), ended);
  });

  /** @param alreadyTold ids of events that the subscriber knows by their outcome. */
  async function* changes(after: bigint, alreadyTold: Set<string>, ended: AbortSignal): WithdrawalUpdates {
    const events = tail.subscribe({ after, types: [WITHDRAWAL_CHANGED] });
    for await (const event of endedBy(events, ended)) {
      if (event.subject !== withdrawalId || alreadyTold.delete(event.eventId)) continue;
      const update = withdrawalUpdateOf(event, tail.head().epoch);
      yield update;
      if (update.isFinal) return;
    }
  }
}

/** All that are given hold together; null: any. */
export type WithdrawalFeedFilter = Pick<WithdrawalFilter, 'states' | 'account' | 'treasury'>;

/** Every change of every withdrawal after a position of the log, and then those that come. */
export function followWithdrawals(
  { db, tail }: { readonly db: Database; readonly tail: EventTail },
  { after, filter }: { readonly after: bigint; readonly filter: WithdrawalFeedFilter },
): LogFeed<WithdrawalUpdate> {
  const { states } = filter;
  return createLogFeed(tail, { after, types: [WITHDRAWAL_CHANGED] }, async (event) => {
    const update = withdrawalUpdateOf(event, tail.head().epoch);
    const isWanted = states === null || states.includes(update.state);
    return isWanted && (await isOf(db, update.withdrawalId, filter)) ? update : null;
  });
}

/** Whose it is and who pays are no part of an event; they never change, so the row says it of every event, however old. */
async function isOf(db: Database, withdrawalId: string, { account, treasury }: WithdrawalFeedFilter): Promise<boolean> {
  if (account === null && treasury === null) return true;
  const condition = conditionOf({ states: null, account, treasury, createdFrom: null, createdBefore: null });
  const { rows } = await sql`SELECT FROM withdrawal WHERE withdrawal.id = ${withdrawalId} AND ${condition}`.execute(db);
  return rows.length > 0;
}

/**
 * `events`, ended when `ended` aborts. Between events a generator that reads them stands in their `next()`; ending them lets it go on.
 */
function endedBy(events: Events, ended: AbortSignal): Events {
  const leave = (): void => {
    events.return().catch(() => undefined); // What their reads threw reaches us from `next()`.
  };
  if (ended.aborted) leave();
  else ended.addEventListener('abort', leave, { once: true });
  return events;
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

function presentUpdateOf(withdrawalId: string, present: Present): WithdrawalUpdate {
  const { epoch, state, changedAt, failureCode, transferId, updateId } = present;
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
  readonly epoch: string;
  readonly position: bigint;
  /** Of this withdrawal, committed and not yet in the log. */
  readonly pendingEventIds: readonly string[];
};

async function readPresent(db: Database, withdrawalId: string): Promise<Present | null> {
  const { rows } = await sql<Present>`
    SELECT withdrawal.state, withdrawal.changed_at AS "changedAt", withdrawal.failure_code AS "failureCode",
      withdrawal.transfer_id AS "transferId", withdrawal.update_id AS "updateId", event_log.epoch, event_log.last_position AS position,
      ARRAY(SELECT event_id FROM event_outbox WHERE subject = withdrawal.id) AS "pendingEventIds"
    FROM withdrawal, event_log
    WHERE withdrawal.id = ${withdrawalId}
  `.execute(db);
  return rows[0] ?? null;
}

/**
 * What the log has of one withdrawal after one position and up to another. By the index event_of_withdrawal, so that a follower who comes back
 * after a month does not read a month of everybody's withdrawals. Some events per attempt, so a few hundred at the very most.
 */
async function readChanges(
  db: Database,
  withdrawalId: string,
  { after, upTo }: { readonly after: bigint; readonly upTo: bigint },
): Promise<readonly LogEvent[]> {
  const { rows } = await sql<LogEvent>`
    SELECT position, event_id AS "eventId", type, subject, payload, recorded_at AS "recordedAt"
    FROM event
    WHERE type = ${sql.lit(WITHDRAWAL_CHANGED)} AND subject = ${withdrawalId}
      AND position > ${after}::bigint AND position <= ${upTo}::bigint
    ORDER BY position
  `.execute(db);
  return rows;
}
