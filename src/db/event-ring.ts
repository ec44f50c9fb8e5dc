/** The newest events of the log, bounded by count and by bytes. Pure; positions are dense, so finding one is arithmetic. */
import { assert } from '../env/errors.ts';

export type EventRing<E extends { readonly position: bigint }> = {
  /** The newest position pushed, or the one it started at. */
  head(): bigint;
  /** True when every event after `position` is here. */
  covers(position: bigint): boolean;
  /** The event right after `position`; only for positions covered and below the head. */
  after(position: bigint): E;
  /** The bytes it was pushed with. */
  bytesAfter(position: bigint): number;
  /** @param bytes what it counts against the limit. @throws AssertionError when the position is not the head's successor. */
  push(event: E, bytes: number): void;
  size(): { readonly ringCount: number; readonly ringBytes: number };
};

/** @param options.head positions up to and including it are not in the ring. Both limits keep at least the newest event. */
export function createEventRing<E extends { readonly position: bigint }>(options: {
  readonly head: bigint;
  readonly countMax: number;
  readonly bytesMax: number;
}): EventRing<E> {
  // A circular array: slot of a position = position modulo countMax.
  const slots: ({ readonly event: E; readonly bytes: number } | undefined)[] = new Array(options.countMax);
  const slotOf = (position: bigint): number => Number(position % BigInt(options.countMax));
  let head = options.head;
  let count = 0;
  let totalBytes = 0;

  const tail = (): bigint => head - BigInt(count);

  function dropOldest(): void {
    const slot = slotOf(tail() + 1n);
    totalBytes -= slots[slot]?.bytes ?? 0;
    slots[slot] = undefined;
    count--;
  }

  return {
    head: () => head,
    covers: (position) => position >= tail(),
    after: (position) => {
      const held = slots[slotOf(position + 1n)];
      assert(held?.event.position === position + 1n, 'The ring was asked for an event it does not hold.', { position });
      return held.event;
    },
    bytesAfter: (position) => slots[slotOf(position + 1n)]?.bytes ?? 0,
    push: (event, bytes) => {
      assert(event.position === head + 1n, 'The event log has a gap.', { head, position: event.position });
      if (count === options.countMax) dropOldest();
      slots[slotOf(event.position)] = { event, bytes };
      head = event.position;
      count++;
      totalBytes += bytes;
      while (totalBytes > options.bytesMax && count > 1) dropOldest();
    },
    size: () => ({ ringCount: count, ringBytes: totalBytes }),
  };
}
