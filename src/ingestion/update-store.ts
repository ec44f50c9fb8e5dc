/** The updates as received, into `ledger_update`: the part of the history that everything else is derived from. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { relationOf } from '../db/row-arrays.ts';
import { PermanentError } from '../env/errors.ts';
import type { Treasury } from './effect-sink.ts';
import type { ReceivedUpdate } from './received-update.ts';

/**
 * Stores what is not stored yet. @returns the updates that were new, in order.
 * @throws PermanentError OFFSET_HOLDS_ANOTHER_UPDATE when an offset we have belongs to another update.
 */
export async function storeUpdates(
  tx: Transaction,
  treasury: Treasury,
  epoch: number,
  updates: readonly ReceivedUpdate[],
): Promise<readonly ReceivedUpdate[]> {
  if (updates.length === 0) return [];
  const once = [...new Map(updates.map((update) => [update.updateId, update])).values()];
  try {
    // The bytes go in one piece, which travels as it is; in an array of their own they would be spelled out in hexadecimal digits.
    const bytes = Buffer.concat(once.map(({ compressed }) => compressed));
    const { rows } = await sql<{ update_id: string }>`
      INSERT INTO ledger_update (treasury_id, epoch, update_id, ledger_offset, record_time, synchronizer_id, effective_at, kind,
                                 trace_parent, received)
      SELECT ${treasury.id}, ${epoch}, update_id, ledger_offset, record_time, synchronizer_id, effective_at, kind, trace_parent,
             substring(${bytes}::bytea FROM bytes_from FOR bytes_count)
      FROM ${relationOf(UPDATE_COLUMNS, rowsOf(once))} AS fresh
      ON CONFLICT (treasury_id, update_id) DO NOTHING
      RETURNING update_id`.execute(tx);
    const fresh = new Set(rows.map((row) => row.update_id));
    return once.filter((update) => fresh.has(update.updateId));
  } catch (error) {
    if (
      error instanceof PermanentError &&
      error.facts['constraint'] === 'ledger_update_treasury_id_epoch_ledger_offset_key'
    ) {
      throw new PermanentError(
        'OFFSET_HOLDS_ANOTHER_UPDATE',
        'The participant shows another update at an offset we have.',
        {},
        { cause: error },
      );
    }
    throw error;
  }
}

const UPDATE_COLUMNS = {
  update_id: 'text',
  ledger_offset: 'bigint',
  record_time: 'bigint',
  synchronizer_id: 'text',
  effective_at: 'bigint',
  kind: 'text',
  trace_parent: 'text',
  bytes_from: 'integer',
  bytes_count: 'integer',
} as const;

function rowsOf(updates: readonly ReceivedUpdate[]) {
  let bytesBefore = 0;
  return updates.map((update) => {
    const row = {
      update_id: update.updateId,
      ledger_offset: update.offset,
      record_time: update.recordTime,
      synchronizer_id: update.synchronizerId,
      effective_at: update.effectiveAt,
      kind: update.kind,
      trace_parent: update.traceParent,
      bytes_from: bytesBefore + 1, // PostgreSQL counts from one.
      bytes_count: update.compressed.length,
    };
    bytesBefore += update.compressed.length;
    return row;
  });
}
