/**
 * Contract sets that we took over, as updates that can be stored, derived from and rebuilt like any other. What was there is written in the form in which a
 * participant itself shows an imported contract set: transactions of plain creates at the record time 0001-01-01 (`opening-effects.ts`). What was gone behind a gap of
 * history is written as one transaction that archives it, and so becomes an unexplained loss.
 */
import { createHash } from 'node:crypto';
import { type Micros, microsToTimestamp } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import type { DeepPartial, Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesResponse } from '../gen/com/daml/ledger/api/v2/update_service.ts';
import { type ActiveContracts, asEvent } from './active-contracts.ts';
import type { Treasury } from './effect-sink.ts';
import { SNAPSHOT_PREFIX } from './known-updates.ts';
import { IMPORT_RECORD_TIME } from './next-position.ts';
import { type ReceivedUpdate, receive } from './received-update.ts';

/** Contracts in one stored update: some 15 MB. */
const CONTRACTS_MAX = 5_000;

/**
 * @param scope what tells this snapshot from another of the same contracts; '' for an opening balance, whose ids are functions of what is in it alone.
 * @returns the contract set as updates, the last one at `offset`; none for an empty set.
 */
export function snapshotUpdates(
  treasury: Treasury,
  { events, synchronizerId }: ActiveContracts,
  offset: bigint,
  scope = '',
): readonly ReceivedUpdate[] {
  if (synchronizerId === null) return [];
  // Each has an offset of its own, and offsets are above zero.
  const wanted = Math.ceil(events.length / CONTRACTS_MAX);
  const count = offset < BigInt(wanted) ? Number(offset) : wanted;
  const size = Math.ceil(events.length / count);
  return Array.from({ length: count }, (_, index) => {
    const some = events.slice(index * size, (index + 1) * size);
    return written({
      updateId: idOf([treasury.party, scope, ...some.map(({ contractId }) => contractId)]),
      offset: offset - BigInt(count - 1 - index),
      synchronizerId,
      recordTime: microsToTimestamp(IMPORT_RECORD_TIME),
      events: some.map(asEvent),
    });
  });
}

/** Contracts of ours that ended in a part of history that nobody can show us. @param scope as above. */
export function vanishedUpdate(
  treasury: Treasury,
  {
    contractIds,
    synchronizerId,
    recordTime,
    offset,
    scope,
  }: {
    readonly contractIds: readonly string[];
    readonly synchronizerId: string;
    readonly recordTime: Micros;
    readonly offset: bigint;
    readonly scope: string;
  },
): ReceivedUpdate {
  return written({
    updateId: idOf([treasury.party, 'vanished', scope, ...contractIds]),
    offset,
    synchronizerId,
    recordTime: microsToTimestamp(recordTime),
    events: contractIds.map((contractId, nodeId) => ({
      event: {
        $case: 'exercised' as const,
        value: {
          offset,
          nodeId,
          lastDescendantNodeId: nodeId,
          contractId,
          choice: 'Archive',
          consuming: true,
          actingParties: [],
          witnessParties: [treasury.party],
        },
      },
    })),
  });
}

function idOf(parts: readonly string[]): string {
  return `${SNAPSHOT_PREFIX}${createHash('sha256').update(JSON.stringify(parts)).digest('hex')}`;
}

function written(transaction: DeepPartial<Transaction>): ReceivedUpdate {
  const message = GetUpdatesResponse.fromPartial({ update: { $case: 'transaction', value: transaction } });
  const bytes = GetUpdatesResponse.encode(message).finish();
  const update = receive({ bytes, message: GetUpdatesResponse.decode(bytes) });
  assert(update.kind !== 'CHECKPOINT', 'A snapshot is no checkpoint.');
  return update;
}
