/**
 * What makes an update the same on every participant and after every restore. Offsets and node ids are local, command ids and costs are told to one node
 * only, and interface views are rendered by whatever package version the node prefers at the time; none of that enters. Contract ids do: they are hashes over
 * the contract's content, so equal ids in equal places are equal money.
 */
import { PermanentError } from '../env/errors.ts';
import type { Event } from '../gen/com/daml/ledger/api/v2/event.ts';
import { qualifiedName } from '../tokens/value.ts';
import type { ReceivedUpdate } from './received-update.ts';

/** @returns a text that is equal for two readings of one update by the same party, whatever participants they came from. */
export function identityOf(update: ReceivedUpdate): string {
  const { kind, updateId, recordTime, synchronizerId, effectiveAt, transaction } = update;
  const events = [...(transaction?.events ?? [])].sort((left, right) => nodeIdOf(left) - nodeIdOf(right));
  return JSON.stringify([
    kind,
    updateId,
    String(recordTime),
    synchronizerId,
    String(effectiveAt),
    events.map(eventIdentity),
  ]);
}

/** @throws PermanentError HISTORY_CHANGED where one update id stands for two contents: no other offset mends that. */
export function requireSame(ours: ReceivedUpdate, theirs: ReceivedUpdate): void {
  if (identityOf(ours) === identityOf(theirs)) return;
  throw new PermanentError('HISTORY_CHANGED', 'The participant shows an update of ours with another content.', {
    updateId: ours.updateId,
    recordTime: ours.recordTime,
    shownRecordTime: theirs.recordTime,
  });
}

function eventIdentity({ event }: Event): readonly unknown[] {
  switch (event?.$case) {
    case 'created': {
      const { contractId, packageName, templateId } = event.value;
      return ['created', contractId, packageName, qualifiedName(templateId)];
    }
    case 'exercised': {
      const { contractId, choice, consuming, actingParties } = event.value;
      return ['exercised', contractId, choice, consuming, [...actingParties].sort()];
    }
    case 'archived':
      return ['archived', event.value.contractId];
    case undefined:
      return [];
  }
}

function nodeIdOf({ event }: Event): number {
  return event?.value.nodeId ?? -1;
}
