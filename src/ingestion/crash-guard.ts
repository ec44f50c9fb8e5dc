/**
 * Against an update that ends the process, again and again: memory run out, a defect in a library, an error nobody thought of. A process that dies cannot say what it died of, so a worker says
 * beforehand that it is at work, and afterwards that it ended in order. One that finds several before it gone without a word, and all of them together no further than a batch, works *carefully* for as
 * many updates: one by one, each written down before it is touched. An update that a worker vanished with several times in a row halts its stream, by its name; everything else, the API and the other streams, goes on.
 *
 * A worker that is killed for other reasons is careful for a moment, too, and nothing more comes of it: killed between two updates it held none in its hands.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { assert, PermanentError } from '../env/errors.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { Treasury } from './effect-sink.ts';
import type { Checkpoint, ReceivedUpdate } from './received-update.ts';

/** In a row, with the same update in hand. Enough that no series of accidents looks like it. */
export const CRASHES_MAX = 20;

/** In a row, without getting further than a batch together: then the next is careful. A kill or two at the head of a ledger are no sign of anything. */
export const VANISHED_MAX = 3;

export const CRASH_LOOP = 'CRASH_LOOP';

type Item = ReceivedUpdate | Checkpoint;

/**
 * To be asked by whoever has just claimed the stream.
 * @param carefulCount how many updates an earlier worker may have had in hand at most.
 * @returns the writer to use instead of `writer`.
 * @throws PermanentError CRASH_LOOP with the update and its offset: the stream must halt.
 */
export async function guardAgainstCrashes(
  writer: BatchWriter,
  { db, treasury, carefulCount }: { readonly db: Database; readonly treasury: Treasury; readonly carefulCount: number },
): Promise<BatchWriter> {
  let carefulLeft = (await begin(db, treasury, carefulCount)) ? carefulCount : 0;
  return {
    write: async (batch, start) => {
      let position = start;
      for (const part of carefulLeft === 0 ? [batch] : partsOf(batch)) {
        const [first] = part;
        const isCareful = carefulLeft > 0 && first !== undefined && first.kind !== 'CHECKPOINT';
        if (isCareful) await takeInHand(db, treasury, first);
        position = await writer.write(part, position);
        if (!isCareful) continue;
        carefulLeft -= 1;
        if (carefulLeft === 0) await putDown(db, treasury);
      }
      return position;
    },
  };
}

/** One update each; checkpoints with one another. */
function partsOf(batch: readonly Item[]): readonly (readonly Item[])[] {
  const parts: Item[][] = [];
  for (const item of batch) {
    const last = parts.at(-1);
    if (item.kind === 'CHECKPOINT' && last?.[0]?.kind === 'CHECKPOINT') last.push(item);
    else parts.push([item]);
  }
  return parts;
}

/**
 * The worker's try has ended in order, whatever came of it: nobody vanished.
 * @param fencingToken under which it followed the stream. One that was paused and ends after its successor has claimed the stream says nothing about that one.
 */
export async function noteOrderlyEnd(db: Database, treasury: Treasury, fencingToken: bigint): Promise<void> {
  // The lock lets no successor begin between the look and the note.
  await sql`
    UPDATE stream_crash SET is_open = false
    FROM (
      SELECT treasury_id FROM ingestion_stream WHERE treasury_id = ${treasury.id} AND fencing_token = ${fencingToken} FOR SHARE
    ) AS ours
    WHERE stream_crash.treasury_id = ours.treasury_id`.execute(db);
}

/**
 * Lets a stream that halted for a crash loop try again, e.g. with a new version; it takes effect at the next start of a worker.
 * @returns false where there was nothing of the kind.
 */
export async function forgetCrashes(db: Database, treasuryId: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('stream_crash')
    .where('treasury_id', '=', treasuryId)
    .where('in_flight_update', 'is not', null)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/**
 * Notes that a worker begins, and counts how the one before ended. Beside a suspect, `crashes` counts those that vanished with it in hand, and an offset says that it is in hand; without one, those that
 * vanished since the stream had as many updates as `in_flight_offset` says.
 * @returns whether to be careful.
 */
async function begin(db: Database, treasury: Treasury, carefulCount: number): Promise<boolean> {
  // An update that was stored after all is no suspect any more.
  const { rows } = await sql<Before>`
    SELECT coalesce(c.is_open, false) AS "isVanished", c.in_flight_update IS NOT NULL AS "isNamed",
      CASE WHEN u.update_id IS NULL THEN c.in_flight_update END AS suspect, c.in_flight_offset AS offset,
      coalesce(c.crashes, 0)::int AS crashes, s.updates_count AS "updatesCount"
    FROM ingestion_stream s
    LEFT JOIN stream_crash c ON c.treasury_id = s.treasury_id
    LEFT JOIN ledger_update u ON u.treasury_id = c.treasury_id AND u.update_id = c.in_flight_update
    WHERE s.treasury_id = ${treasury.id}`.execute(db);
  const [before] = rows;
  assert(before !== undefined, 'A stream was claimed that is not there.', { treasury: treasury.name });
  const { suspect, offset } = before;
  const row = suspect === null ? withoutSuspect(before, carefulCount) : withSuspect(before, suspect);
  await db
    .insertInto('stream_crash')
    .values({ treasury_id: treasury.id, ...row })
    .onConflict((conflict) => conflict.column('treasury_id').doUpdateSet(row))
    .execute();
  if (suspect === null) return row.crashes >= VANISHED_MAX;
  if (row.is_open) return true;
  throw new PermanentError(
    CRASH_LOOP,
    `Update ${suspect} at offset ${offset ?? 'unknown'} has ended the worker ${row.crashes} times in a row.`,
    { updateId: suspect, offset, crashes: row.crashes },
  );
}

type Before = {
  readonly isVanished: boolean;
  /** Whether an update was named. */
  readonly isNamed: boolean;
  /** That update, unless it is stored. */
  readonly suspect: string | null;
  readonly offset: bigint | null;
  readonly crashes: number;
  readonly updatesCount: bigint;
};

function withoutSuspect({ isVanished, isNamed, offset, crashes, updatesCount }: Before, carefulCount: number) {
  const since = isNamed || offset === null ? null : offset;
  const isNearby = since !== null && updatesCount - since < BigInt(carefulCount);
  return {
    is_open: true,
    in_flight_update: null,
    in_flight_offset: isVanished && isNearby ? since : updatesCount,
    crashes: isVanished ? (isNearby ? crashes + 1 : 1) : 0,
  };
}

function withSuspect({ isVanished, offset, crashes }: Before, suspect: string) {
  const count = crashes + (isVanished && offset !== null ? 1 : 0);
  const isLoop = count >= CRASHES_MAX;
  // Of a halted stream the offset stays, for whoever asks where.
  return {
    is_open: !isLoop,
    in_flight_update: suspect,
    in_flight_offset: isLoop ? offset : null,
    crashes: count,
  };
}

async function takeInHand(db: Database, treasury: Treasury, { updateId, offset }: ReceivedUpdate): Promise<void> {
  await db
    .updateTable('stream_crash')
    .set((row) => ({
      in_flight_update: updateId,
      in_flight_offset: offset,
      crashes: row.case().when('in_flight_update', '=', updateId).then(row.ref('crashes')).else(0).end(),
    }))
    .where('treasury_id', '=', treasury.id)
    .execute();
}

async function putDown(db: Database, treasury: Treasury): Promise<void> {
  await db
    .updateTable('stream_crash')
    .set({ in_flight_update: null, in_flight_offset: null, crashes: 0 })
    .where('treasury_id', '=', treasury.id)
    .execute();
}
