/** What the database can hold against a participant's history: the updates of a treasury that it ought to have, and where. Reads only. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Treasury } from './effect-sink.ts';
import { IMPORT_RECORD_TIME } from './next-position.ts';
import type { Position } from './position.ts';
import { type ReceivedUpdate, restoreUpdate } from './received-update.ts';

/** An update of ours; `offset` is where it stands in the present epoch. */
export type PlacedUpdate = { readonly update: ReceivedUpdate; readonly offset: bigint };

/** Begins the ids of updates that no participant knows: what we took over from a contract set and wrote down as one (`snapshot.ts`). */
export const SNAPSHOT_PREFIX = 'snapshot:';

/**
 * The newest updates that have a place in the present epoch, newest first: those received in it, the newest that came again in it, and the one it is
 * anchored at. Imports are left out: they are local to a node, and a restored one may have done them otherwise.
 * @returns at most `limit`; none where everything was taken over as an opening balance.
 */
export async function placedUpdates(
  db: Database,
  treasury: Treasury,
  position: Position,
  limit: number,
): Promise<readonly PlacedUpdate[]> {
  const { epoch, verified } = position;
  const { rows } = await sql<{ received: Buffer; offset: bigint }>`
    SELECT u.received, placed.ledger_offset AS offset
    FROM (
      (SELECT update_id, ledger_offset FROM ledger_update
       WHERE treasury_id = ${treasury.id} AND epoch = ${epoch} AND record_time <> ${IMPORT_RECORD_TIME}
         AND NOT starts_with(update_id, ${SNAPSHOT_PREFIX})
       ORDER BY ledger_offset DESC LIMIT ${limit})
      UNION SELECT ${verified?.updateId ?? null}::text, ${verified?.offset ?? null}::bigint
      UNION SELECT anchor_update_id, anchor_offset FROM stream_epoch WHERE treasury_id = ${treasury.id} AND epoch = ${epoch}
    ) AS placed
    JOIN ledger_update u ON u.treasury_id = ${treasury.id} AND u.update_id = placed.update_id
    WHERE u.record_time <> ${IMPORT_RECORD_TIME} AND NOT starts_with(u.update_id, ${SNAPSHOT_PREFIX})
    ORDER BY placed.ledger_offset DESC LIMIT ${limit}`.execute(db);
  return rows.map(({ received, offset }) => ({ update: restoreUpdate(received), offset }));
}

/**
 * The newest updates on the synchronizer that the treasury lives on, newest first, imports left out.
 * @param before only those with a smaller record time.
 * @param sinceGap only those behind the newest gap that an operator went on behind. What stands before it tells no place any more: the gap is booked, and whoever
 * reads on from before it books it again.
 */
export async function newestUpdates(
  db: Database,
  treasury: Treasury,
  limit: number,
  { before = null, sinceGap = true }: { readonly before?: Micros | null; readonly sinceGap?: boolean } = {},
): Promise<readonly ReceivedUpdate[]> {
  const { rows } = await sql<{ received: Buffer }>`
    SELECT received FROM ledger_update
    WHERE treasury_id = ${treasury.id} AND record_time <> ${IMPORT_RECORD_TIME} AND NOT starts_with(update_id, ${SNAPSHOT_PREFIX})
      AND synchronizer_id = (SELECT synchronizer_id FROM ledger_update WHERE treasury_id = ${treasury.id} ORDER BY epoch, ledger_offset LIMIT 1)
      AND (${before}::bigint IS NULL OR record_time < ${before}::bigint)
      AND (NOT ${sinceGap}::boolean OR epoch >=
        coalesce((SELECT max(epoch) FROM stream_epoch WHERE treasury_id = ${treasury.id} AND reason = 'RECOVERED'), 0))
    ORDER BY epoch DESC, ledger_offset DESC LIMIT ${limit}`.execute(db);
  return rows.map(({ received }) => restoreUpdate(received));
}

/** Whether something was taken over without its updates, be it nothing: the participant may have history that is in it and must not come again. */
export async function hasTakenOver(db: Database, treasury: Treasury): Promise<boolean> {
  const row = await db
    .selectFrom('stream_epoch')
    .select('epoch')
    .where('treasury_id', '=', treasury.id)
    .where('reason', 'in', ['OPENING', 'RECOVERED'])
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Those that were taken over count as well. */
export async function hasUpdates(db: Database, treasury: Treasury): Promise<boolean> {
  const first = await db
    .selectFrom('ledger_update')
    .select('update_id')
    .where('treasury_id', '=', treasury.id)
    .limit(1)
    .executeTakeFirst();
  return first !== undefined;
}
