/**
 * Against an update that ends the process, again and again: memory run out, a defect in a library, an error nobody thought of. A process that dies cannot say what it died of, so a worker says
 * beforehand that it is at work, and afterwards that it ended in order. One that finds its predecessor gone without a word works *carefully* for as many updates as a batch may have had: one by one, each
 * written down before it is touched. An update that a worker vanished with several times in a row halts its stream, by its name; everything else, the API and the other streams, goes on.
 *
 * A worker that is killed for other reasons is careful for a moment, too, and nothing more comes of it: killed between two updates it held none in its hands.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { Treasury } from './effect-sink.ts';
import type { Checkpoint, ReceivedUpdate } from './received-update.ts';

/** In a row, with the same update in hand. Enough that no series of accidents looks like it. */
export const CRASHES_MAX = 5;

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
  let carefulLeft = (await begin(db, treasury)) ? carefulCount : 0;
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

/** The worker's try has ended in order, whatever came of it: nobody vanished. */
export async function noteOrderlyEnd(db: Database, treasury: Treasury): Promise<void> {
  await db.updateTable('stream_crash').set({ is_open: false }).where('treasury_id', '=', treasury.id).execute();
}

/**
 * Lets a stream that halted for a crash loop try again, e.g. with a new version; it takes effect at the next start of a worker.
 * @returns false where there was nothing of the kind.
 */
export async function forgetCrashes(db: Database, treasuryId: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('stream_crash')
    .where('treasury_id', '=', treasuryId)
    .where('crashes', '>', 0)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Notes that a worker is at it, and counts how the one before ended. @returns whether to be careful. */
async function begin(db: Database, treasury: Treasury): Promise<boolean> {
  // An update that was stored after all is no suspect any more.
  const { rows } = await sql<{ isVanished: boolean; suspect: string | null; offset: bigint | null; crashes: number }>`
    SELECT c.is_open AS "isVanished", CASE WHEN u.update_id IS NULL THEN c.in_flight_update END AS suspect,
      c.in_flight_offset AS offset, c.crashes::int AS crashes
    FROM stream_crash c LEFT JOIN ledger_update u ON u.treasury_id = c.treasury_id AND u.update_id = c.in_flight_update
    WHERE c.treasury_id = ${treasury.id}`.execute(db);
  const before = rows[0] ?? { isVanished: false, suspect: null, offset: null, crashes: 0 };
  const { isVanished, suspect, offset } = before;
  const wasInHand = isVanished && suspect !== null && offset !== null;
  const crashes = suspect === null ? 0 : before.crashes + (wasInHand ? 1 : 0);
  const isLoop = crashes >= CRASHES_MAX;
  // An offset says that it is in hand; of a halted stream it stays, for whoever asks where.
  const row = { is_open: !isLoop, in_flight_update: suspect, in_flight_offset: isLoop ? offset : null, crashes };
  await db
    .insertInto('stream_crash')
    .values({ treasury_id: treasury.id, ...row })
    .onConflict((conflict) => conflict.column('treasury_id').doUpdateSet(row))
    .execute();
  if (isLoop) {
    throw new PermanentError(
      CRASH_LOOP,
      `Update ${suspect} at offset ${offset ?? 'unknown'} has ended the worker ${crashes} times in a row.`,
      { updateId: suspect, offset, crashes },
    );
  }
  return isVanished || suspect !== null;
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
