/**
 * Stops: withdrawals that the automation leaves alone. They are beside the state: nothing new is opened or signed, and what is signed goes on as the ledger has it. A hold is somebody's wish to look first; a
 * parked one is out of the automation, put there by a person or by a part of Sluice that could not get on with it. Each needs a word to go on; neither ends anything.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { eventId } from '../tokens/ids.ts';
import { ControlRefusal, demandKept } from './control-refusal.ts';
import { WITHDRAWAL_STOPPED, type WithdrawalStopped } from './withdrawal-events.ts';
import { isFinal } from './withdrawal-state.ts';

export type StopKind = 'HOLD' | 'PARK';

/** Whether a withdrawal is held or parked. @param withdrawalId as SQL of the statement it stands in. */
export function isStopped(withdrawalId: RawBuilder<unknown>, kind: StopKind): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM withdrawal_stop AS stop WHERE stop.withdrawal_id = ${withdrawalId} AND stop.kind = ${sql.lit(kind)} AND stop.released_at IS NULL
  )`;
}

/** @param by a principal, or the part of Sluice that does it. @param why for those who come after; 1 to 1000 bytes. */
export type StopWord = { readonly by: string; readonly why: string; readonly nowMicros: Micros };

/**
 * Holds or parks a withdrawal that has not ended. It holds from the commit on, in every process.
 * @returns whether it is new; one that stands keeps its first reason. @throws ControlRefusal.
 */
export async function stopWithdrawal(db: Database, id: string, kind: StopKind, word: StopWord): Promise<boolean> {
  demandKept(word.why);
  return await db.transaction().execute(async (tx) => {
    await lockOpen(tx, id);
    const inserted = await tx
      .insertInto('withdrawal_stop')
      .values({ withdrawal_id: id, kind, why: word.why, set_at: word.nowMicros, set_by: word.by })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    if (inserted === undefined) return false;
    await announce(tx, { id, kind, stopId: inserted.id, isReleased: false }, word);
    return true;
  });
}

/** Lets a held or parked withdrawal go on. @throws ControlRefusal NOT_HELD, NOT_PARKED and others. */
export async function releaseWithdrawal(db: Database, id: string, kind: StopKind, word: StopWord): Promise<void> {
  demandKept(word.why);
  await db.transaction().execute(async (tx) => {
    await lockOpen(tx, id);
    const released = await tx
      .updateTable('withdrawal_stop')
      .set({ released_at: word.nowMicros, released_by: word.by, release_why: word.why })
      .where('withdrawal_id', '=', id)
      .where('kind', '=', kind)
      .where('released_at', 'is', null)
      .returning('id')
      .executeTakeFirst();
    if (released === undefined) throw new ControlRefusal(kind === 'HOLD' ? 'NOT_HELD' : 'NOT_PARKED');
    await announce(tx, { id, kind, stopId: released.id, isReleased: true }, word);
  });
}

/** As all that work on a withdrawal, so that its end and its stops are in one order. */
async function lockOpen(tx: Transaction, id: string): Promise<void> {
  const row = await tx.selectFrom('withdrawal').select('state').where('id', '=', id).forUpdate().executeTakeFirst();
  if (row === undefined) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
  if (isFinal(row.state)) throw new ControlRefusal('WITHDRAWAL_FINAL');
}

async function announce(
  tx: Transaction,
  stop: { readonly id: string; readonly kind: StopKind; readonly stopId: bigint; readonly isReleased: boolean },
  { by, why, nowMicros }: StopWord,
): Promise<void> {
  const { id, kind, stopId, isReleased } = stop;
  const payload: WithdrawalStopped = { withdrawalId: id, kind, isReleased, by, why };
  await appendEvents(tx, [
    {
      eventId: eventId(WITHDRAWAL_STOPPED, id, `${stopId}/${isReleased ? 'released' : 'set'}`),
      type: WITHDRAWAL_STOPPED,
      subject: id,
      recordedAt: nowMicros,
      payload,
    },
  ]);
}
