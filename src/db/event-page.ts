/** Bounded reads of the event log. Positions are dense and appear in order, so a page needs no more than its bounds. */
import { sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import type { Database } from './connection.ts';
import type { JsonValue } from './event-log.ts';

export type LogEvent = {
  readonly position: bigint;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  /** As written, read back from `jsonb`; whoever reads it parses it by the schema of its type. */
  readonly payload: JsonValue;
  readonly recordedAt: Micros;
};

export type EventPageBounds = { readonly after: bigint; readonly upTo: bigint; readonly limit: number };

/** An event and the length of its payload as text, for memory limits. */
export type SizedEvent = { readonly event: LogEvent; readonly bytes: number };

/** The log's epoch and its last position; 0 when it is empty. Everything up to it can be read. */
export async function readLogEnd(db: Database): Promise<{ epoch: string; head: bigint }> {
  const row = await db.selectFrom('event_log').select(['epoch', 'last_position']).executeTakeFirstOrThrow();
  return { epoch: row.epoch, head: row.last_position };
}

/** Events after `after` up to and including `upTo`, oldest first. */
export async function readEvents(db: Database, { after, upTo, limit }: EventPageBounds): Promise<SizedEvent[]> {
  const { rows } = await sql<LogEvent & { bytes: number }>`
    SELECT position, event_id AS "eventId", type, subject, payload, recorded_at AS "recordedAt",
      octet_length(payload::text) AS bytes
    FROM event
    WHERE position > ${after}::bigint AND position <= ${upTo}::bigint
    ORDER BY position
    LIMIT ${limit}::int
  `.execute(db);
  return rows.map(sized);
}

/**
 * As {@link readEvents}, of some types only. Each type is a range of the index (type, position) read to its first `limit` entries, so a
 * page costs the same however many other events lie between; a plain `type = ANY (…)` would sort or filter them all.
 */
export async function readEventsOfTypes(
  db: Database,
  types: readonly string[],
  { after, upTo, limit }: EventPageBounds,
): Promise<SizedEvent[]> {
  const { rows } = await sql<LogEvent & { bytes: number }>`
    SELECT position, event_id AS "eventId", wanted.type, subject, payload, recorded_at AS "recordedAt",
      octet_length(payload::text) AS bytes
    FROM unnest(${[...new Set(types)]}::text[]) AS wanted (type)
    CROSS JOIN LATERAL (
      SELECT position, event_id, subject, payload, recorded_at
      FROM event
      WHERE event.type = wanted.type AND position > ${after}::bigint AND position <= ${upTo}::bigint
      ORDER BY position
      LIMIT ${limit}::int
    ) AS found
    ORDER BY position
    LIMIT ${limit}::int
  `.execute(db);
  return rows.map(sized);
}

function sized({ bytes, ...event }: LogEvent & { bytes: number }): SizedEvent {
  return { event, bytes };
}
