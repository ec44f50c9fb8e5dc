/**
 * Derived rows for a run of updates, whatever strangers put into them. All are written together; where one of them does not fit the tables, they are
 * written one by one, so that it alone is left out. The stream and the rebuild share this, and so leave out the same ones.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { PermanentError } from '../env/errors.ts';
import type { Anomaly } from '../tokens/holding-changes.ts';
import type { InstrumentBook } from './catalog.ts';
import { openDerivedBatch } from './derived-state.ts';
import type { TransferChange, Treasury } from './effect-sink.ts';
import { isPoison } from './poison.ts';
import type { ReceivedUpdate } from './received-update.ts';

export type Derived = {
  /** The updates whose rows are written, in order, with what they did to transfers. */
  readonly done: readonly { readonly update: ReceivedUpdate; readonly changes: readonly TransferChange[] }[];
  readonly refused: readonly { readonly update: ReceivedUpdate; readonly error: PermanentError }[];
};

type Options = {
  readonly tx: Transaction;
  readonly treasury: Treasury;
  readonly instruments: InstrumentBook;
  readonly onAnomaly: (update: ReceivedUpdate, anomaly: Anomaly) => void;
};

/** @param updates in ledger order. @throws RetryableError, and PermanentError that is no update's fault; `tx` must be rolled back. */
export async function deriveUpdates(options: Options, updates: readonly ReceivedUpdate[]): Promise<Derived> {
  const together = await attempt(options, updates);
  if ('done' in together) return together;
  const done: Derived['done'][number][] = [];
  const refused: Derived['refused'][number][] = [];
  for (const update of updates) {
    const alone = await attempt(options, [update]);
    if ('done' in alone) {
      done.push(...alone.done);
      refused.push(...alone.refused);
    } else {
      refused.push({ update, error: alone.poison });
    }
  }
  return { done, refused };
}

async function attempt(
  { tx, treasury, instruments, onAnomaly }: Options,
  updates: readonly ReceivedUpdate[],
): Promise<Derived | { readonly poison: PermanentError }> {
  await sql`SAVEPOINT derived`.execute(tx);
  try {
    const batch = await openDerivedBatch(tx, treasury, updates);
    const refused: Derived['refused'][number][] = [];
    const readable = updates.filter((update) => {
      try {
        for (const anomaly of batch.read(update).anomalies) onAnomaly(update, anomaly);
        return true;
      } catch (error) {
        if (!isPoison(error)) throw error;
        refused.push({ update, error });
        return false;
      }
    });
    const changes = await batch.write(tx, instruments);
    await sql`RELEASE SAVEPOINT derived`.execute(tx);
    return { done: readable.map((update, index) => ({ update, changes: changes[index] ?? [] })), refused };
  } catch (error) {
    if (!isPoison(error)) throw error;
    await sql`ROLLBACK TO SAVEPOINT derived`.execute(tx);
    return { poison: error };
  }
}
