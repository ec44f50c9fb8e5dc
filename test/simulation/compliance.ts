/** The operator where a screening service is asked about deposits: he switches the screening on and off, and has asked again what got no answer; and, with him, the people who decide what was denied (clerks.ts). */
import { readDepositScreening } from '../../src/deposits/screening-mode.ts';
import { createScreeningRequests } from '../../src/deposits/screening-requests.ts';
import { switchScreening } from '../../src/deposits/screening-switch.ts';
import type { Micros } from '../../src/env/clock.ts';
import { ControlRefusal } from '../../src/withdrawals/control-refusal.ts';
import { retryNow } from '../../src/withdrawals/retry-now.ts';
import type { Clerks } from './clerks.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

export type Compliance = {
  /** Whether deposits are to be screened, as the operator believes. */
  isWanted(): boolean;
  /** Makes what he wants hold, where something else does. */
  keepSwitched(life: Life): Promise<void>;
  /** He and the clerks act, through one life of a process, until it ends. @param screenedSince as that process started with it. */
  run(life: Life, screenedSince: Micros | null): Promise<void>;
};

/** What the database said at its commits of whether deposits wait. */
export type Switches = {
  /** A moment, to ask about what came after it. */
  now(): number;
  /** Whether it held at that moment or later. */
  hasHeldSince(moment: number, to: 'on' | 'off'): boolean;
};

const SWITCHED = 0.1;
const TRIES_MAX = 8; // Of an attempt; nothing but the question to the service is brought forward here.

export function createCompliance({
  clerks,
  faults,
  dice,
  marks,
  switches,
}: {
  readonly clerks: Clerks;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly switches: Switches;
}): Compliance {
  let isWanted = dice.chance(0.85);

  const keepSwitched = async ({ db, clock }: Life): Promise<void> => {
    const { isOn, decided } = await readDepositScreening(db, NETWORK);
    if (isOn === isWanted && decided !== null) return;
    const to = isWanted ? 'on' : 'off';
    const before = switches.now();
    await switchScreening(db, { network: NETWORK, to, by: 'operator-1', why: 'wanted', nowMicros: clock.nowMicros() });
    must(switches.hasHeldSince(before, to), 'a switch of the screening holds when it is told', { to });
    marks.add(`screening switched ${to}`);
  };
  const askAgain = async (life: Life): Promise<void> => {
    const { db, clock } = life;
    const parked = await db
      .selectFrom('screening')
      .select('transfer_id as transferId')
      .where('state', '=', 'PARKED')
      .orderBy('transfer_id')
      .execute();
    for (const { transferId } of parked) {
      await createScreeningRequests({ db, clock }).askAgain({ transferId, by: 'clerk-1' });
      marks.add('parked screening asked again');
    }
    const withheld = await db
      .selectFrom('withdrawal_screening as s')
      .innerJoin('withdrawal as w', 'w.id', 's.withdrawal_id')
      .select('w.id')
      .where('s.state', '=', 'PARKED')
      .where('w.state', 'in', ['AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT'])
      .orderBy('w.idempotency_key')
      .execute();
    for (const { id } of withheld) {
      await retryNow(db, id, { triesMax: TRIES_MAX, nowMicros: clock.nowMicros() });
      marks.add('parked screening of a withdrawal asked again');
    }
  };
  const act = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    if (!faults.isOver() && dice.chance(SWITCHED)) isWanted = !isWanted;
    await keepSwitched(life);
    if (faults.isOver() || dice.chance(0.1)) await askAgain(life);
    await clerks.act(life, screenedSince);
  };

  return {
    isWanted: () => isWanted,
    keepSwitched,
    run: async (life, screenedSince) => {
      await actThrough(life, {
        pauseMsMax: clerks.pauseMsMax,
        // When nothing is left to decide they look as seldom as those who poll.
        clock: () => (faults.isOver() ? life.lazyClock : life.clock),
        act: async () => await act(life, screenedSince),
        isAnswer: (error) => {
          if (!(error instanceof ControlRefusal)) return clerks.isAnswer(error);
          marks.add(`desk told ${error.code}`);
          return true;
        },
      });
    },
  };
}
