/** Bounded reads of the event log. Positions are dense and appear in order, so a page needs no more than its bounds. */
import { CompiledQuery, type RawBuilder, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import type { Database } from './connection.ts';
import type { JsonValue } from './event-log.ts';
import type { Notifications } from './notifications.ts';

export type LogEvent = {
  readonly position: bigint;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  /** As written, read back from `jsonb`; whoever reads it parses it by the schema of its type. */
  readonly payload: JsonValue;
  readonly recordedAt: Micros;
};

/** @property bytesMax of payload text; a page has at least one event all the same. */
export type EventPageBounds = {
  readonly after: bigint;
  readonly upTo: bigint;
  readonly countMax: number;
  readonly bytesMax: number;
};

/** An event and the length of its payload as text, for memory limits. */
export type SizedEvent = { readonly event: LogEvent; readonly bytes: number };

/**
 * @property isLast true: nothing that was asked for lies between the page's last event and `upTo`.
 * @property log the log that it was read from, as it stood in the same snapshot: an empty page of another one means nothing.
 */
export type EventPage = {
  readonly events: readonly SizedEvent[];
  readonly isLast: boolean;
  readonly log: { readonly epoch: string; readonly head: bigint };
};

/** The log's epoch and its last position; 0 when it is empty. Everything up to it can be read. */
export async function readLogEnd(db: Database): Promise<{ epoch: string; head: bigint }> {
  const row = await db.selectFrom('event_log').select(['epoch', 'last_position']).executeTakeFirstOrThrow();
  return { epoch: row.epoch, head: row.last_position };
}

/** True: a read replica, whose log may end earlier than that of its primary. */
export async function readIsStandby(db: Database): Promise<boolean> {
  const { rows } = await sql<{ isStandby: boolean }>`SELECT pg_is_in_recovery() AS "isStandby"`.execute(db);
  return rows[0]?.isStandby === true;
}

/** Events after `after` up to and including `upTo`, oldest first. */
export async function readEvents(db: Database, bounds: EventPageBounds): Promise<EventPage> {
  const { after, upTo, countMax } = bounds;
  return await readPage(
    db,
    sql`
      SELECT * FROM event
      WHERE position > ${after}::bigint AND position <= ${upTo}::bigint
      ORDER BY position
      LIMIT ${countMax}::int
    `,
    bounds,
  );
}

/** Short enough not to be cut by bytes: a payload is a memo and a few facts. */
const NEWS_COUNT_MAX = 16;

/** Written out, since everybody who subscribes waits for it: to put it together takes as long as to plan it. */
const NEWS = `SELECT position, event_id AS "eventId", type, subject, payload::text AS text, recorded_at AS "recordedAt",
    (SELECT epoch FROM event_log) AS epoch
  FROM event WHERE position > $1::bigint ORDER BY position LIMIT ${NEWS_COUNT_MAX}`;

/**
 * What has come after `after`, where it is little: a statement that is planned in a third of the time of {@link readEvents}, for whoever is told that there is something.
 * @returns null where there is nothing, or more than a little: `readEvents` tells.
 */
export async function readNews(
  { db, notifications }: { readonly db: Database; readonly notifications: Notifications },
  after: bigint,
): Promise<{ readonly events: readonly SizedEvent[]; readonly epoch: string } | null> {
  type Row = Omit<LogEvent, 'payload'> & { readonly text: string; readonly epoch: string };
  const told = await notifications.ask?.({ name: 'news', text: NEWS, values: [after] });
  const rows =
    (told as readonly Row[] | null | undefined) ?? (await db.executeQuery<Row>(CompiledQuery.raw(NEWS, [after]))).rows;
  const [first] = rows;
  if (first === undefined || rows.length === NEWS_COUNT_MAX) return null;
  const events = rows.map(({ text, epoch: _epoch, ...event }) => {
    const payload: JsonValue = JSON.parse(text);
    return { event: { ...event, payload }, bytes: Buffer.byteLength(text) };
  });
  return { events, epoch: first.epoch };
}

/**
 * As {@link readEvents}, of some types only. Each type is a range of the index (type, position) read to its first `countMax` entries, so a
 * page costs the same however many other events lie between; a plain `type = ANY (…)` would sort or filter them all.
 */
export async function readEventsOfTypes(
  db: Database,
  types: readonly string[],
  bounds: EventPageBounds,
): Promise<EventPage> {
  const { after, upTo, countMax } = bounds;
  return await readPage(
    db,
    sql`
      SELECT found.*
      FROM unnest(${[...new Set(types)]}::text[]) AS wanted (type)
      CROSS JOIN LATERAL (
        SELECT * FROM event
        WHERE event.type = wanted.type AND position > ${after}::bigint AND position <= ${upTo}::bigint
        ORDER BY position
        LIMIT ${countMax}::int
      ) AS found
      ORDER BY found.position
      LIMIT ${countMax}::int
    `,
    bounds,
  );
}

type PageRow = { readonly epoch: string; readonly head: bigint } & (
  | (LogEvent & { readonly bytes: number; readonly foundCount: number })
  | { readonly position: null }
);

/** Cuts what was found where its payloads exceed the bytes, in the database: a payload may be as long as a stranger’s memo. */
async function readPage(db: Database, found: RawBuilder<unknown>, bounds: EventPageBounds): Promise<EventPage> {
  const { rows } = await sql<PageRow>`
    SELECT position, event_id AS "eventId", type, subject, payload, recorded_at AS "recordedAt", bytes, "foundCount",
      event_log.epoch, event_log.last_position AS head
    FROM event_log LEFT JOIN (
      SELECT *, (sum(bytes) OVER (ORDER BY position)) - bytes AS "bytesBefore", (count(*) OVER ())::int AS "foundCount"
      FROM (SELECT *, octet_length(payload::text) AS bytes FROM (${found}) AS event) AS event
    ) AS event ON "bytesBefore" < ${bounds.bytesMax}::bigint
    ORDER BY position
  `.execute(db);
  const [first] = rows;
  assert(first !== undefined, 'The event log has no row of its own.');
  let foundCount = 0;
  const events: SizedEvent[] = [];
  for (const row of rows) {
    if (row.position === null) continue;
    const { bytes, foundCount: count, epoch: _epoch, head: _head, ...event } = row;
    foundCount = count;
    events.push({ event, bytes });
  }
  return {
    events,
    isLast: foundCount < bounds.countMax && events.length === foundCount,
    log: { epoch: first.epoch, head: first.head },
  };
}
