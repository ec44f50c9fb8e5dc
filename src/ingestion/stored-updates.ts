/** The updates as they were stored, in the order in which they count: what every derived table follows from. */
import type { Transaction } from '../db/connection.ts';
import { messageOf } from '../env/errors.ts';
import type { Treasury } from './effect-sink.ts';
import { type ReceivedUpdate, restoreUpdate } from './received-update.ts';

/** Where reading goes on, exclusive. */
export type StoredPlace = { readonly epoch: number; readonly offset: bigint };

export const BEFORE_ALL: StoredPlace = { epoch: 0, offset: 0n };

export type StoredPage = {
  readonly updates: readonly ReceivedUpdate[];
  /** Whose bytes cannot be read, or do not say what the columns beside them say. */
  readonly damaged: readonly { readonly updateId: string; readonly why: string }[];
  /** Rows, damaged ones included. */
  readonly count: number;
  readonly last: StoredPlace;
};

const PAGE_UPDATES = 500;

/** @returns the next page; null at the end. */
export async function readStoredPage(
  tx: Transaction,
  treasury: Treasury,
  after: StoredPlace,
): Promise<StoredPage | null> {
  const rows = await tx
    .selectFrom('ledger_update')
    .select([
      'epoch',
      'ledger_offset',
      'update_id',
      'record_time',
      'synchronizer_id',
      'kind',
      'effective_at',
      'received',
    ])
    .where('treasury_id', '=', treasury.id)
    .where(({ eb, refTuple, tuple }) => eb(refTuple('epoch', 'ledger_offset'), '>', tuple(after.epoch, after.offset)))
    .orderBy('epoch')
    .orderBy('ledger_offset')
    .limit(PAGE_UPDATES)
    .execute();
  const last = rows.at(-1);
  if (last === undefined) return null;
  const updates: ReceivedUpdate[] = [];
  const damaged: { updateId: string; why: string }[] = [];
  for (const row of rows) {
    const restored = restore(row);
    if ('why' in restored) damaged.push({ updateId: row.update_id, why: restored.why });
    else updates.push(restored);
  }
  return { updates, damaged, count: rows.length, last: { epoch: last.epoch, offset: last.ledger_offset } };
}

type Row = {
  readonly update_id: string;
  readonly ledger_offset: bigint;
  readonly record_time: bigint;
  readonly synchronizer_id: string;
  readonly kind: string;
  readonly effective_at: bigint | null;
  readonly received: Buffer;
};

/** The columns are for finding, the bytes are what counts; that the two agree shows an edit of either. */
function restore(row: Row): ReceivedUpdate | { readonly why: string } {
  let update: ReceivedUpdate;
  try {
    update = restoreUpdate(row.received);
  } catch (error) {
    return { why: messageOf(error) };
  }
  const { updateId, offset, recordTime, synchronizerId, kind, effectiveAt } = update;
  const inBytes = [updateId, offset, recordTime, synchronizerId, kind, effectiveAt];
  const inColumns = [
    row.update_id,
    row.ledger_offset,
    row.record_time,
    row.synchronizer_id,
    row.kind,
    row.effective_at,
  ];
  const isSame = inBytes.every((value, index) => value === inColumns[index]);
  return isSame ? update : { why: `the bytes say ${inBytes.join(' ')}, the columns ${inColumns.join(' ')}` };
}
