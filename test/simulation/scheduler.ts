/**
 * One virtual clock and one list of what could happen next. Everything that the code under test waits for (a statement, a message, a failpoint, the passing of
 * time) is an operation here; the scheduler picks one, lets it happen, waits until nothing in this process moves any more, and picks the next. So every
 * interleaving follows from the seed, and the same seed replays it.
 */
import { createHash } from 'node:crypto';
import { type Clock, type Micros, millisToMicros } from '../../src/env/clock.ts';
import type { Dice } from './dice.ts';

/** Whoever waits. An incarnation of a process is one; when it dies, nothing it waits for ever happens. */
export type Actor = {
  readonly name: string;
  isDead: boolean;
  /** A stopped process: nothing of it happens before that time. */
  pausedUntil: Micros;
};

export type Operation = {
  readonly actor: Actor;
  /** For the trace; free of ids that differ between runs. */
  readonly label: string;
  /** Not before that many milliseconds have passed. */
  readonly delayMs?: number;
  /** Makes it happen. @returns what came of it, for the trace; null keeps it out of the trace. */
  readonly run: () => Promise<string | null> | string | null;
};

export type SchedulerOptions = {
  readonly dice: Dice;
  readonly startMicros: Micros;
  /** How often time moves on to the next due operation although others could happen now: slow work. */
  readonly hurry: number;
  /** How often the picked actor keeps running: runs of one actor beside evenly mixed ones. */
  readonly stickiness: number;
};

export type Scheduler = {
  /** The true time; processes see it with their skew. */
  readonly clock: Clock;
  createActor(name: string): Actor;
  /** @returns takes it off the list again, if it has not happened. */
  enqueue(operation: Operation): () => void;
  /** Waits until the operation is picked; never resolves when the actor dies first. */
  reach(actor: Actor, label: string, delayMs?: number): Promise<void>;
  /** @param options.stretch how much longer than asked for it sleeps; more than 1: of who polls, who grows patient when nothing goes wrong any more. `calmStretch` instead, from then on. */
  clockOf(
    actor: Actor,
    options: { readonly skewMicros: bigint; readonly stretch: number; readonly calmStretch?: number },
  ): Clock;
  /** Makes one thing happen. @returns false when there is nothing left to do. */
  step(): Promise<boolean>;
  /** From now on nothing is slow and nobody is favoured; who polls takes his time, the more so the longer nothing has changed. */
  calm(): void;
  /** Something has changed that others may wait for. */
  changed(): void;
  note(actor: Actor, label: string, outcome: string): void;
  stepsCount(): number;
  /** SHA-256 over all lines of the trace. */
  traceHash(): string;
  /** What happened, line by line. */
  trace(): readonly string[];
};

type Waiting = Operation & { readonly dueAt: Micros };

/** When nothing goes wrong any more, polls find little: fewer of them lose nothing but steps. Twice as few after so many steps in which nothing changed; what is waited for then is the passing of time. */
const CALM_STRETCH = 2;
const PATIENCE_STEPS = 40;
const STRETCH_MAX = 80;
const STEP_MICROS_MAX = 2_000; // Work takes a little time of its own.

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { dice } = options;
  const waiting = new Set<Waiting>();
  const lines: string[] = [];
  let { hurry, stickiness } = options;
  let isCalm = false;
  let changedAt = 0;
  let now = options.startMicros;
  let steps = 0;
  let favourite: Actor | null = null;

  const dueAt = ({ actor, dueAt }: Waiting): Micros => (actor.pausedUntil > dueAt ? actor.pausedUntil : dueAt);
  const nextDue = (after: Micros): Micros | null => {
    let soonest: Micros | null = null;
    for (const operation of waiting) {
      const due = dueAt(operation);
      if (due > after && (soonest === null || due < soonest)) soonest = due;
    }
    return soonest;
  };
  const ready = (): Waiting[] => {
    const list: Waiting[] = [];
    for (const operation of waiting) {
      if (operation.actor.isDead) waiting.delete(operation);
      else if (dueAt(operation) <= now) list.push(operation);
    }
    return list;
  };
  const choose = (list: readonly Waiting[]): Waiting => {
    const actors = [...new Set(list.map(({ actor }) => actor))];
    const kept = actors.find((actor) => actor === favourite);
    const actor = kept !== undefined && dice.chance(stickiness) ? kept : dice.pick(actors);
    favourite = actor;
    return dice.pick(list.filter((operation) => operation.actor === actor));
  };
  const enqueue = (operation: Operation): (() => void) => {
    if (operation.actor.isDead) return () => undefined;
    const entry: Waiting = { ...operation, dueAt: now + millisToMicros(operation.delayMs ?? 0) };
    waiting.add(entry);
    return () => void waiting.delete(entry);
  };
  const note = (actor: Actor, label: string, outcome: string): void => {
    lines.push(`${steps} ${now - options.startMicros} ${actor.name} ${label} ${outcome}`);
  };
  const sleeper = (actor: Actor, stretch: number) => async (durationMs: number, signal?: AbortSignal) => {
    if (signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const abort = (): void => {
        forget();
        resolve();
      };
      const forget = enqueue({
        actor,
        label: 'wake up',
        delayMs: durationMs * stretch,
        run: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
          return '';
        },
      });
      signal?.addEventListener('abort', abort, { once: true });
    });
  };
  const patient = (stretch: number): number =>
    stretch === 1
      ? 1
      : Math.min(STRETCH_MAX, stretch * CALM_STRETCH * 2 ** Math.floor((steps - changedAt) / PATIENCE_STEPS));
  const nature: Actor = { name: 'nature', isDead: false, pausedUntil: 0n };

  return {
    clock: { nowMicros: () => now, sleep: sleeper(nature, 1) },
    createActor: (name) => ({ name, isDead: false, pausedUntil: 0n }),
    enqueue,
    reach: (actor, label, delayMs = 0) =>
      new Promise<void>((resolve) => {
        enqueue({
          actor,
          label,
          delayMs,
          run: () => {
            resolve();
            return '';
          },
        });
      }),
    clockOf: (actor, { skewMicros, stretch, calmStretch }) => ({
      nowMicros: () => now + skewMicros,
      sleep: async (durationMs, signal) =>
        await sleeper(actor, isCalm ? (calmStretch ?? patient(stretch)) : stretch)(durationMs, signal),
    }),
    step: async () => {
      await settle();
      let list = ready();
      if (list.length === 0 || dice.chance(hurry)) {
        const due = nextDue(now);
        if (due === null && list.length === 0) return false;
        if (due !== null) now = due;
        list = ready();
      }
      const operation = choose(list);
      waiting.delete(operation);
      steps += 1;
      now += BigInt(dice.integer(1, STEP_MICROS_MAX));
      const outcome = await operation.run();
      if (outcome !== null) note(operation.actor, operation.label, outcome);
      await settle();
      return true;
    },
    calm: () => {
      hurry = 0;
      stickiness = 0;
      isCalm = true;
      changedAt = steps;
    },
    changed: () => {
      changedAt = steps;
    },
    note,
    stepsCount: () => steps,
    traceHash: () => createHash('sha256').update(lines.join('\n')).digest('hex'),
    trace: () => lines,
  };
}

/** Lets everything that can run without the outside do so: promise callbacks and what they cause. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
