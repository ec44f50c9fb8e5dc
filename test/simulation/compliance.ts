/**
 * People who decide about deposits where a screening service is asked: at the desk, where what was denied takes two of them, and of whom some try to agree with themselves; and the operator, who switches the screening on and off
 * and has asked again what got no answer. What each of them said is kept as it was said.
 */
import { createDesk, type DeskLimits } from '../../src/deposits/desk.ts';
import { DeskRefusal } from '../../src/deposits/desk-refusal.ts';
import { readDepositScreening } from '../../src/deposits/screening-mode.ts';
import { createScreeningRequests } from '../../src/deposits/screening-requests.ts';
import { switchScreening } from '../../src/deposits/screening-switch.ts';
import type { Micros } from '../../src/env/clock.ts';
import { ControlRefusal } from '../../src/withdrawals/control-refusal.ts';
import { retryNow } from '../../src/withdrawals/retry-now.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';
import { MEMOS } from './traffic.ts';
import { must } from './violation.ts';

export type Compliance = {
  /** Whether deposits are to be screened, as the operator believes. */
  isWanted(): boolean;
  /** Makes what he wants hold, where something else does. */
  keepSwitched(life: Life): Promise<void>;
  /** Decides, through one life of a process, until it ends. @param screenedSince as that process started with it. */
  run(life: Life, screenedSince: Micros | null): Promise<void>;
  /** The service has said no for the first time: who spoke before did not know. */
  denied(transferId: string): void;
  /** How many people want a deposit to be that customer's: at any time, and knowing that it was denied. */
  voices(transferId: string, owner: string): { readonly ever: number; readonly sinceDenied: number };
};

/** What the database said at its commits of whether deposits wait. */
export type Switches = {
  /** A moment, to ask about what came after it. */
  now(): number;
  /** Whether it held at that moment or later. */
  hasHeldSince(moment: number, to: 'on' | 'off'): boolean;
};

const PAUSE_MS_MAX = 1_500;
const PEOPLE = ['clerk-1', 'clerk-2', 'clerk-3'];
const CUSTOMERS = Object.values(MEMOS);
const SWITCHED = 0.1;
const TRIES_MAX = 8; // Of an attempt; nothing but the question to the service is brought forward here.

export function createCompliance({
  faults,
  dice,
  marks,
  limits,
  switches,
}: {
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly limits: DeskLimits;
  readonly switches: Switches;
}): Compliance {
  let isWanted = dice.chance(0.85);
  const ever = new Map<string, Set<string>>();
  const sinceDenied = new Map<string, Set<string>>();
  const keyOf = (transferId: string, owner: string): string => `${transferId} ${owner}`;
  const everDenied = new Set<string>();

  /** Before it is sent: it may be taken whatever is heard of it. */
  const speak = (transferId: string, owner: string, by: string): void => {
    const person = personIn(by);
    for (const said of everDenied.has(transferId) ? [ever, sinceDenied] : [ever])
      said.set(keyOf(transferId, owner), (said.get(keyOf(transferId, owner)) ?? new Set()).add(person));
  };
  const drawPerson = (): string => {
    const person = dice.pick(PEOPLE);
    return dice.pick([person, person, `${person}/phone`, person.toUpperCase()]);
  };
  const keepSwitched = async ({ db, clock }: Life): Promise<void> => {
    const { isOn, decided } = await readDepositScreening(db, NETWORK);
    if (isOn === isWanted && decided !== null) return;
    const to = isWanted ? 'on' : 'off';
    const before = switches.now();
    await switchScreening(db, { network: NETWORK, to, by: 'operator-1', why: 'wanted', nowMicros: clock.nowMicros() });
    must(switches.hasHeldSince(before, to), 'a switch of the screening holds when it is told', { to });
    marks.add(`screening switched ${to}`);
  };
  const assign = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    const cases = await life.db
      .selectFrom('desk_case')
      .select(['transfer_id as transferId', 'why'])
      .where('state', 'in', ['OPEN', 'OFFERED'])
      .orderBy('transfer_id')
      .execute();
    const denied = cases.filter(({ why }) => why === 'DENIED');
    const known = denied.length > 0 && dice.chance(0.6) ? denied : cases;
    if (known.length === 0) return;
    const { transferId } = dice.pick(known);
    const account = dice.pick(CUSTOMERS);
    const by = drawPerson();
    speak(transferId, account, by);
    await createDesk({ ...life, limits, screenedSince, withdrawals: null }).assign({
      transferId,
      account,
      reason: 'looked at',
      by,
    });
    marks.add('desk: assigned');
  };
  const judge = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    const waiting = await life.db
      .selectFrom('desk_decision as d')
      .innerJoin('account as a', 'a.id', 'd.account_id')
      .select(['d.id', 'd.transfer_id as transferId', 'a.owner', 'd.requested_by as requestedBy'])
      .where('d.state', '=', 'AWAITING_APPROVAL')
      .orderBy('d.id')
      .execute();
    if (waiting.length === 0) return;
    const { id, transferId, owner, requestedBy } = dice.pick(waiting);
    const by = drawPerson();
    const desk = createDesk({ ...life, limits, screenedSince, withdrawals: null });
    if (dice.chance(0.15)) {
      await desk.refuse({ decisionId: id, reason: 'no', by });
      marks.add('desk: refused');
      return;
    }
    speak(transferId, owner, by);
    await desk.approve({ decisionId: id, reason: 'agreed', by });
    must(personIn(by) !== personIn(requestedBy), 'nobody agrees at the desk with himself', { by, requestedBy });
    marks.add('desk: approved');
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
    if (faults.isOver()) return;
    if (dice.chance(0.5)) await assign(life, screenedSince);
    else await judge(life, screenedSince);
  };

  return {
    isWanted: () => isWanted,
    keepSwitched,
    denied: (transferId) => void everDenied.add(transferId),
    voices: (transferId, owner) => ({
      ever: ever.get(keyOf(transferId, owner))?.size ?? 0,
      sinceDenied: sinceDenied.get(keyOf(transferId, owner))?.size ?? 0,
    }),
    run: async (life, screenedSince) => {
      await actThrough(life, {
        pauseMsMax: PAUSE_MS_MAX,
        // When nothing is left to decide they look as seldom as those who poll.
        clock: () => (faults.isOver() ? life.lazyClock : life.clock),
        act: async () => await act(life, screenedSince),
        isAnswer: (error) => {
          if (!(error instanceof DeskRefusal || error instanceof ControlRefusal)) return false;
          marks.add(`desk told ${error.code}`);
          return true;
        },
      });
    },
  };
}

/** Whose key it is. */
function personIn(by: string): string {
  return by.toLowerCase().split('/')[0] ?? '';
}
