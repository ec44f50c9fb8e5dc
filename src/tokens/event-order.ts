/** The events of a transaction in pre-order, and the refusal of what no ledger can have done. */
import type { Event, ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { DecodeError } from './value.ts';

/**
 * @returns the events by rising node id.
 * @throws DecodeError for an event of a kind that the LEDGER_EFFECTS shape does not have, a node id that is there twice, a subtree that ends before it begins or
 * beyond the one around it, and a contract that is created or consumed twice or consumed before it is created. No contract code can bring these about; a
 * participant that sends them has balances of its own.
 */
export function eventsInOrder({ events }: Transaction): readonly Event[] {
  const ordered = [...events].sort((left, right) => nodeIdOf(left) - nodeIdOf(right));
  const created = new Set<string>();
  const consumed = new Set<string>();
  const ends: number[] = [];
  let lastNodeId = -1;
  for (const { event } of ordered) {
    if (event?.$case !== 'created' && event?.$case !== 'exercised') {
      throw new DecodeError('An event is of a kind that this shape does not have.', { kind: event?.$case });
    }
    const { nodeId, contractId } = event.value;
    if (nodeId <= lastNodeId) throw new DecodeError('A node id is below zero or there twice.', { nodeId });
    lastNodeId = nodeId;
    if (event.$case === 'created') {
      if (created.has(contractId)) throw new DecodeError('A contract is created twice.', { contractId });
      if (consumed.has(contractId))
        throw new DecodeError('A contract is consumed before its creation.', { contractId });
      created.add(contractId);
      continue;
    }
    const { lastDescendantNodeId, consuming } = event.value;
    while ((ends.at(-1) ?? Number.POSITIVE_INFINITY) < nodeId) ends.pop();
    if (lastDescendantNodeId < nodeId || lastDescendantNodeId > (ends.at(-1) ?? Number.POSITIVE_INFINITY)) {
      throw new DecodeError('A subtree is not inside the one around it.', { nodeId });
    }
    ends.push(lastDescendantNodeId);
    if (consuming) {
      if (consumed.has(contractId)) throw new DecodeError('A contract is consumed twice.', { contractId });
      consumed.add(contractId);
    }
  }
  return ordered;
}

export function exercisedIn(events: readonly Event[]): ExercisedEvent[] {
  return events.flatMap(({ event }) => (event?.$case === 'exercised' ? [event.value] : []));
}

function nodeIdOf({ event }: Event): number {
  return event?.value.nodeId ?? -1;
}
