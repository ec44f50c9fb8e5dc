/**
 * A simulated process of ours: the loops that `serve` runs, wired as the command line wires them, on a clock, a database and a participant that the scheduler
 * owns. It can die at any point and come back with nothing but what the database kept.
 */
import type { Database } from '../../src/db/connection.ts';
import type { LogMemory } from '../../src/db/log-history.ts';
import type { Notifications } from '../../src/db/notifications.ts';
import type { Clock } from '../../src/env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../../src/env/errors.ts';
import type { Failpoint } from '../../src/env/failpoint.ts';
import type { LogFields, Logger } from '../../src/env/logger.ts';
import type { Random } from '../../src/env/random.ts';
import type { Ledger } from '../../src/ledger/ledger-client.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Anchor } from './anchor.ts';
import type { DatabaseAccess } from './database-access.ts';
import { createDice, type Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Hiding } from './hiding.ts';
import type { Marks } from './marks.ts';
import { createOutsideCalls, type OutsideCalls, type Stall } from './outside-calls.ts';
import { createParticipantAccess } from './participant-access.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import { Violation } from './violation.ts';

/** What one life of a process has to work with. Gone with it. */
export type Life = {
  readonly db: Database;
  readonly notifications: Notifications;
  readonly ledger: Ledger;
  /** For calls to whatever else is outside: a registry, a signer, another service of the participant. */
  readonly calls: OutsideCalls;
  readonly clock: Clock;
  /** For loops that poll: a poll may come much later than asked for. */
  readonly lazyClock: Clock;
  /** For who keeps something up: on time, as long as anything can go wrong. */
  readonly keeperClock: Clock;
  /** Whether nothing goes wrong any more. */
  readonly isCalm: () => boolean;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly signal: AbortSignal;
  /** What it has seen of the database, and where it writes that down; null where nobody looks whether it goes back. */
  readonly history: { readonly memory: LogMemory; readonly anchor: Anchor } | null;
};

/** What a process runs; resolves when the signal aborts. The seam for everything that is to be simulated. */
export type ProcessLoop = (life: Life) => Promise<void>;

export type Process = {
  readonly name: string;
  start(): void;
  /** Ends it on the spot, and starts it anew after a while. */
  crash(why: string): void;
  /** Stops it for a while: nothing of it happens, and whatever it holds it keeps holding. */
  pause(): void;
  wake(): void;
  /** Asks it to end, as SIGTERM does, and never restarts it. */
  stop(): void;
  /** Ends it on the spot, for ever. */
  kill(): void;
  hasEnded(): boolean;
  owns(actor: Actor): boolean;
  /** After its schedule, for good: signals that somebody listens to are kept by the runtime until they abort, and all that a schedule was made of with them. */
  letGo(): void;
};

export type ProcessOptions = {
  readonly name: string;
  readonly seed: number;
  readonly scheduler: Scheduler;
  readonly database: DatabaseAccess;
  readonly participant: Participant;
  readonly hiding: Hiding;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly stall: Stall;
  readonly skewMicros: bigint;
  readonly lazyStretch: number;
  readonly poolSize: number;
  readonly loop: ProcessLoop;
  readonly anchor?: Anchor | null;
  readonly onViolation: (violation: Violation) => void;
};

/** When nothing goes wrong any more, leases last longer and are asked for less often: nobody is there to lose one. */
export const KEEPER_STRETCH = 8;
const RESTART_MS_MAX = 3_000;
/** From a long garbage collection to well past every lease, lock and idle-transaction limit. */
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 40_000;

export function createProcess(options: ProcessOptions): Process {
  const { name, seed, scheduler, database, participant, faults, dice, marks, skewMicros, stall, onViolation } = options;
  const supervisor = scheduler.createActor(`${name}/supervisor`);
  const endings: AbortController[] = [];
  let lives = 0;
  let current: { readonly actor: Actor; readonly ending: AbortController; readonly died: AbortController } | null =
    null;
  let isStopping = false;
  let isOver = false;

  const loggerOf = (fields: LogFields): Logger => {
    const heed = (message: string, more: LogFields = {}): void => {
      const code = more['code'];
      if (code !== undefined) marks.add(`${message} ${String(code)}`);
    };
    return {
      debug: () => undefined,
      info: () => undefined,
      warn: heed,
      error: heed,
      child: (more) => loggerOf({ ...fields, ...more }),
    };
  };

  const die = (): void => {
    if (current === null) return;
    current.actor.isDead = true;
    database.cut(current.actor);
    current.died.abort();
    current = null;
    options.anchor?.close();
  };
  const restart = (): void => {
    if (isStopping) {
      isOver = true;
      return;
    }
    scheduler.enqueue({
      actor: supervisor,
      label: 'restart',
      delayMs: dice.integer(1, RESTART_MS_MAX),
      run: () => {
        if (!isStopping) start();
        return '';
      },
    });
  };

  const start = (): void => {
    lives += 1;
    const actor = scheduler.createActor(`${name}.${lives}`);
    const ending = new AbortController();
    const died = new AbortController();
    endings.push(ending);
    current = { actor, ending, died };
    const logger = loggerOf({});
    const random = createDice(seed, name, lives);
    const calls = createOutsideCalls({ actor, scheduler, faults, dice, marks, stall });
    const life: Life = {
      db: database.open(actor, { poolSize: options.poolSize, logger }),
      notifications: database.notificationsOf(actor),
      ledger: createParticipantAccess({
        participant,
        actor,
        scheduler,
        faults,
        dice,
        marks,
        died: died.signal,
        calls,
        hiding: options.hiding,
      }),
      calls,
      clock: scheduler.clockOf(actor, { skewMicros, stretch: 1 }),
      lazyClock: scheduler.clockOf(actor, { skewMicros, stretch: options.lazyStretch }),
      keeperClock: scheduler.clockOf(actor, { skewMicros, stretch: 1, calmStretch: KEEPER_STRETCH }),
      isCalm: faults.isOver,
      random,
      logger,
      failpoint: async (point) => {
        if (faults.strikes('crashAtFailpoint')) {
          marks.add(`crash at ${point}`);
          scheduler.note(actor, `failpoint ${point}`, 'crash');
          crash('failpoint');
        }
        if (faults.strikes('pauseAtFailpoint')) {
          marks.add(`paused at ${point}`);
          scheduler.note(actor, `failpoint ${point}`, 'paused');
          pause();
        }
        await scheduler.reach(actor, `failpoint ${point}`);
      },
      signal: ending.signal,
      history: options.anchor ? { memory: options.anchor.open(), anchor: options.anchor } : null,
    };
    options.loop(life).then(
      () => {
        if (actor.isDead) return;
        if (!ending.signal.aborted) onViolation(new Violation('process ended without being asked', { name }));
        die();
        isOver = true;
      },
      (error: unknown) => {
        if (actor.isDead) return;
        if (error instanceof PermanentError && error.code === 'EVENT_LOG_REPLACED') {
          marks.add('process ended since the event log was replaced');
        } else if (!(error instanceof RetryableError)) {
          onViolation(
            new Violation('process failed for good', {
              name,
              error: messageOf(error),
              stack: error instanceof Error ? error.stack : '',
            }),
          );
        }
        marks.add('process gave up and was restarted');
        crash('gave up');
      },
    );
  };

  const pause = (): void => {
    if (current === null) return;
    const durationMs = Math.round(dice.logUniform(PAUSE_MS_MIN, PAUSE_MS_MAX));
    current.actor.pausedUntil = scheduler.clock.nowMicros() + BigInt(durationMs) * 1_000n;
  };

  const crash = (why: string): void => {
    if (current === null) return;
    scheduler.note(current.actor, 'crash', why);
    die();
    restart();
  };

  return {
    name,
    start,
    crash,
    pause,
    wake: () => {
      if (current !== null) current.actor.pausedUntil = 0n;
    },
    stop: () => {
      isStopping = true;
      if (current === null) isOver = true;
      current?.ending.abort();
    },
    kill: () => {
      isStopping = true;
      die();
      isOver = true;
    },
    hasEnded: () => isOver,
    owns: (actor) => current?.actor === actor,
    letGo: () => {
      isStopping = true;
      die();
      for (const ending of endings) ending.abort();
    },
  };
}
