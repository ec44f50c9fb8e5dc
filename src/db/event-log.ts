/**
 * Writing to the event log. A writer appends to the outbox inside its own transaction, *after* the row change the event tells about, and
 * gives it no position; the sequencer (event-sequencer.ts) numbers what has committed.
 *
 * Why the order is right. The row lock taken by the change orders the writers of one subject: the second one changes the row, and so
 * draws its outbox number, only after the first has committed. So for one subject, numbers follow commits. Across subjects they need not.
 */
import { sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import type { Transaction } from './connection.ts';
import { relationOf } from './row-arrays.ts';

/** Wakes the sequencers: somebody committed events without a position. */
export const OUTBOX_CHANNEL = 'sluice_outbox';
/** Wakes the tails: events got positions. */
export const LOG_CHANNEL = 'sluice_log';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export type EventDraft = {
  /** A function of ledger ids or of the owned row it tells about (src/tokens/ids.ts): what makes a repeated append harmless. */
  readonly eventId: string;
  readonly type: string;
  /** The id of what the event is about. */
  readonly subject: string;
  /** Facts that never change; amounts and times as strings. Shape per type, e.g. src/deposits/deposit-events.ts. */
  readonly payload: { readonly [key: string]: JsonValue };
  /** Wall clock, for people; order comes from the position alone. */
  readonly recordedAt: Micros;
};

/**
 * Appends `drafts` in their order: one statement and one notification (delivered at commit) however many there are.
 * An event id that is already in the log is appended no second time.
 *
 * NOTIFY serialises commits on a lock of the whole cluster, so callers batch: one call per transaction.
 */
export async function appendEvents(tx: Transaction, drafts: readonly EventDraft[]): Promise<void> {
  if (drafts.length === 0) return;
  const rows = drafts.map((draft, line) => ({
    line,
    event_id: draft.eventId,
    type: draft.type,
    subject: draft.subject,
    payload: JSON.stringify(draft.payload),
    recorded_at: draft.recordedAt,
  }));
  // The inserting CTE runs to its end although nothing reads its rows; the identity is drawn after the sort, so numbers follow `line`.
  await sql`
    WITH appended AS (
      INSERT INTO event_outbox (event_id, type, subject, payload, recorded_at)
      SELECT event_id, type, subject, payload, recorded_at FROM ${relationOf(DRAFT_COLUMNS, rows)} AS draft
      ORDER BY line
      ON CONFLICT (event_id) DO NOTHING
    )
    SELECT pg_notify(${OUTBOX_CHANNEL}, '')
  `.execute(tx);
}

const DRAFT_COLUMNS = {
  line: 'integer',
  event_id: 'text',
  type: 'text',
  subject: 'text',
  payload: 'jsonb',
  recorded_at: 'bigint',
} as const;
