/**
 * What the network has sequenced for one participant and the participant has not processed yet. Normally nothing waits here. A node that
 * lost touch with its synchronizer, or catches up after a restore, works through it at a pace that tests set; until it is through, its
 * record time stands where its work stands.
 */
import type { Clock } from '../../env/clock.ts';

/** `held`: nothing until told; `atOnce`: everything now; else one item each time. */
export type IntakePace = 'held' | 'atOnce' | { readonly everyMs: number };

export type IntakeItem = {
  /** Of the update; undefined for what has none of its own. */
  readonly recordTimeMicros: bigint | undefined;
  readonly synchronizerId: string;
  process(): void;
  /** Of what lives on this node alone: called instead of `process` when the node is restored before it came to it. */
  lose?(): void;
};

export type IntakeControls = {
  /** Stops processing: the node stands still while the network goes on. */
  hold(): void;
  /** Processes the next `count` items of a held or paced intake. @returns how many there were. */
  step(count: number): number;
  /** Processes what waits and what comes: at once, or one item each `everyMs` until it has caught up. */
  release(pace?: { readonly everyMs: number }): void;
  /** Items that wait. */
  behind(): number;
};

export type Intake = IntakeControls & {
  /** Processes the item now, or later and after those that wait. */
  take(item: IntakeItem): void;
  /** Works through `items` at `pace`, with record times from `recordTimes` on. */
  replay(items: readonly IntakeItem[], recordTimes: ReadonlyMap<string, bigint>, pace: IntakePace): void;
  /** Loses what waits and lives on this node alone. @returns the rest, which waits no more. */
  takeBack(): readonly IntakeItem[];
  /** Whether it replays after a restore. */
  isReplaying(): boolean;
  /** @returns the record time that the node has reached per synchronizer; undefined when it keeps up with the network. */
  recordTimes(): ReadonlyMap<string, bigint> | undefined;
  close(): void;
};

/** @param observe the record times of the network, to be kept when the node stops following it. */
export function createIntake({
  clock,
  observe,
}: {
  readonly clock: Clock;
  readonly observe: () => ReadonlyMap<string, bigint>;
}): Intake {
  let waiting: IntakeItem[] = [];
  /** Undefined: the node keeps up. */
  let reached: Map<string, bigint> | undefined;
  let pacing: AbortController | undefined;
  let replaying = false;

  const processNext = (): boolean => {
    const item = waiting.shift();
    if (item === undefined) return false;
    const { recordTimeMicros, synchronizerId } = item;
    if (recordTimeMicros !== undefined && recordTimeMicros > (reached?.get(synchronizerId) ?? 0n))
      reached?.set(synchronizerId, recordTimeMicros);
    item.process();
    // A completion shares its update's offset: readers must not come between.
    while (waiting[0]?.lose !== undefined) waiting.shift()?.process();
    return true;
  };
  const step = (count: number): number => {
    let done = 0;
    while (done < count && processNext()) done += 1;
    return done;
  };
  const stopPacing = (): void => {
    pacing?.abort();
    pacing = undefined;
  };
  const follow = (): void => {
    reached = undefined;
    replaying = false;
  };
  const pace = async (everyMs: number, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      if (waiting.length === 0) {
        follow();
        return;
      }
      await clock.sleep(everyMs, signal);
      if (!signal.aborted) processNext();
    }
  };
  const hold = (): void => {
    stopPacing();
    reached ??= new Map(observe());
  };
  const release = (paced?: { readonly everyMs: number }): void => {
    stopPacing();
    if (reached === undefined) return;
    if (paced === undefined) {
      step(Number.POSITIVE_INFINITY);
      follow();
      return;
    }
    pacing = new AbortController();
    void pace(paced.everyMs, pacing.signal);
  };

  return {
    hold,
    step,
    release,
    behind: () => waiting.length,
    take: (item) => {
      if (reached === undefined) item.process();
      else waiting.push(item);
    },
    replay: (items, recordTimes, at) => {
      stopPacing();
      waiting = [...items];
      reached = new Map(recordTimes);
      replaying = true;
      if (at !== 'held') release(at === 'atOnce' ? undefined : at);
    },
    takeBack: () => {
      const items = waiting;
      waiting = [];
      for (const item of items) item.lose?.();
      return items.filter(({ lose }) => lose === undefined);
    },
    isReplaying: () => replaying,
    recordTimes: () => reached,
    close: stopPacing,
  };
}
