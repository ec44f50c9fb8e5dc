/**
 * Which faults a schedule knows and how often they strike. Each class is on in half of the seeds, its rate spread over orders of magnitude ("swarm"): a schedule
 * with one fault gets further than one with all, and different bugs need different company.
 */
import type { Dice } from './dice.ts';

export const FAULT_CLASSES = [
  /** A process dies at a named failpoint. */
  'crashAtFailpoint',
  /** A process dies before or after a statement. */
  'crashAtStatement',
  /** A process dies at any time. */
  'crash',
  /** A process stops for a while and goes on as if nothing had happened. */
  'pause',
  /** The statement is carried out, its answer never arrives. */
  'answerLost',
  /** The connection breaks before the statement is carried out. */
  'connectionCut',
  /** The caller is told of a broken connection, and the server carries the statement out later all the same. */
  'lateStatement',
  /** The server refuses a statement for a reason of its own. */
  'statementError',
  /** Statements take their time. */
  'slowStatement',
  /** A new connection is refused. */
  'connectRefused',
  /** The update stream ends or fails between two messages. */
  'streamTorn',
  'messageTwice',
  'messageLate',
  /** Unary calls fail, before or after the participant answered. */
  'callFailed',
  /** The participant falls silent. */
  'participantStall',
  'hintLost',
] as const;

export type FaultClass = (typeof FAULT_CLASSES)[number];

export type FaultPlan = {
  /** Whether the fault strikes now. */
  strikes(fault: FaultClass): boolean;
  isOn(fault: FaultClass): boolean;
  /** Rates of what is on, for the report of a failure. */
  describe(): string;
  /** From now on nothing strikes. */
  end(): void;
};

/** Rate per opportunity: of a statement there are hundreds in a schedule, of a failpoint dozens. */
const RATE_MIN = 0.002;
const RATE_MAX = 0.1;
const ON = 0.5;

/** @param off classes that stay off whatever the seed says: how a failure is narrowed down. */
export function drawFaultPlan(dice: (purpose: string) => Dice, off: ReadonlySet<string>): FaultPlan {
  const drawn = FAULT_CLASSES.map((name) => {
    const own = dice(`fault/${name}`);
    const isOn = own.chance(ON) && !off.has(name);
    return { name, dice: own, rate: isOn ? own.logUniform(RATE_MIN, RATE_MAX) : 0 };
  });
  const byName = new Map(drawn.map((fault) => [fault.name, fault]));
  let isOver = false;
  return {
    strikes: (name) => {
      const fault = byName.get(name);
      return fault?.dice.chance(fault.rate) === true && !isOver;
    },
    isOn: (name) => !isOver && (byName.get(name)?.rate ?? 0) > 0,
    describe: () =>
      drawn
        .filter(({ rate }) => rate > 0)
        .map(({ name, rate }) => `${name} ${rate.toFixed(3)}`)
        .join(', '),
    end: () => {
      isOver = true;
    },
  };
}
