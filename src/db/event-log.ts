/**
 * Writing to the event log. A writer appends to the outbox inside its own transaction, *after* the row change the event tells about, and
 * gives it no position. A few events are numbered at the end of that transaction where nobody else is numbering, by a trigger of the
 * database (number_at_commit, migrations/); the sequencer (event-sequencer.ts) numbers all others that have committed.
 *
 * Why the order is right. The row lock taken by the change orders the writers of one subject: the second one changes the row, and so
 * draws its outbox number, only after the first has committed. So for one subject, numbers follow commits. Across subjects they need not.
 */
import { CompiledQuery, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import type { Transaction } from './connection.ts';
import { relationOf } from './row-arrays.ts';

/** Wakes whoever acts on what has happened: somebody committed events. */
export const OUTBOX_CHANNEL = 'sluice_outbox';
/** Wakes the sequencers: somebody committed events without a position. The trigger notifies it, too. */
export const UNNUMBERED_CHANNEL = 'sluice_unnumbered';
/** Wakes the tails: events got positions, and says the highest, or nothing. */
export const LOG_CHANNEL = 'sluice_log';
/** Listens to what a writer has numbered himself, as log-news.ts reads it. */
export const NEWS_LISTENER = 'listen_to_news';

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

/** Drafts of one call that their writer numbers. More are a backlog, for which nobody waits by the millisecond and which no commit should carry. */
const AT_COMMIT_MAX = 32;

/**
 * Appends `drafts` in their order: one statement, its notifications delivered at commit, however many there are.
 * An event id that is already in the log is appended no second time.
 *
 * NOTIFY serialises commits on a lock of the whole cluster, so callers batch: one call per transaction.
 */
export async function appendEvents(tx: Transaction, drafts: readonly EventDraft[]): Promise<void> {
  if (drafts.length === 0) return;
  if (drafts.length <= AT_COMMIT_MAX) await appendFew(tx, drafts);
  else await appendMany(tx, drafts);
}

/** Listed one by one, and written out: a short statement is put together and planned in a fraction of the time that one over arrays takes. */
async function appendFew(tx: Transaction, drafts: readonly EventDraft[]): Promise<void> {
  const rows = drafts.map((_, line) => {
    const [eventId, type, subject, payload, recordedAt] = [1, 2, 3, 4, 5].map((column) => 5 * line + column);
    // One row is enough for the trigger, which takes all that is there.
    const isLast = line === drafts.length - 1;
    return `($${eventId}, $${type}, $${subject}, $${payload}::jsonb, $${recordedAt}::bigint, ${isLast})`;
  });
  const values = drafts.flatMap(({ eventId, type, subject, payload, recordedAt }) => [
    eventId,
    type,
    subject,
    JSON.stringify(payload),
    recordedAt,
  ]);
  // The inserting CTE runs to its end although nothing reads its rows; they are inserted, and their numbers drawn, in the order of the list.
  const statement = `
    WITH appended AS (
      INSERT INTO event_outbox (event_id, type, subject, payload, recorded_at, at_commit) VALUES ${rows.join(', ')}
      ON CONFLICT (event_id) DO NOTHING
    )
    SELECT pg_notify('${OUTBOX_CHANNEL}', '')`;
  await tx.executeQuery(CompiledQuery.raw(statement, values));
}

async function appendMany(tx: Transaction, drafts: readonly EventDraft[]): Promise<void> {
  const rows = drafts.map((draft, line) => ({
    line,
    event_id: draft.eventId,
    type: draft.type,
    subject: draft.subject,
    payload: JSON.stringify(draft.payload),
    recorded_at: draft.recordedAt,
  }));
  // The identity is drawn after the sort, so numbers follow `line`.
  await sql`
    WITH appended AS (
      INSERT INTO event_outbox (event_id, type, subject, payload, recorded_at)
      SELECT event_id, type, subject, payload, recorded_at FROM ${relationOf(DRAFT_COLUMNS, rows)} AS draft
      ORDER BY line
      ON CONFLICT (event_id) DO NOTHING
    )
    SELECT pg_notify(${OUTBOX_CHANNEL}, ''), pg_notify(${UNNUMBERED_CHANNEL}, '')
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
