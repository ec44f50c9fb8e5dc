/**
 * People at the desk, who decide about deposits that nobody could be credited with, or that were denied: they say whose one is, or send it back, and some of them try to agree with themselves. What each of them said is kept as it was said.
 */
import { releaseHeld } from '../../src/cli/recover-report.ts';
import { createDesk, type DeskLimits } from '../../src/deposits/desk.ts';
import type { DeskCaseState } from '../../src/deposits/desk-case-rows.ts';
import { DeskRefusal } from '../../src/deposits/desk-refusal.ts';
import type { Micros } from '../../src/env/clock.ts';
import { DESK_CLIENT } from '../../src/withdrawals/superseded-refund.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { ID_KEY, SEAL } from './orders.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';
import { MEMOS } from './traffic.ts';
import { must } from './violation.ts';

export type Clerks = {
  /** One of them does something, through one life of a process. @param screenedSince as that process started with it. @throws what {@link isAnswer} knows, as well. */
  act(life: Life, screenedSince: Micros | null): Promise<void>;
  isAnswer(error: unknown): boolean;
  /** Between two things that somebody does. */
  readonly pauseMsMax: number;
  /** They do so until the life ends. */
  run(life: Life): Promise<void>;
  /** What deposits are sent back by; null: none is. */
  withdrawalsOf(life: Life): Withdrawals | null;
  /** The screening service has said no for the first time: who spoke before did not know. */
  denied(transferId: string): void;
  /** How many people want a deposit to be that customer's, or {@link BACK}: at any time, and knowing that it was denied. */
  voices(transferId: string, wish: string): { readonly ever: number; readonly sinceDenied: number };
};

const PAUSE_MS_MAX = 1_500;
/** Where what they decide is to be paid and received as well before a schedule is over. */
const SHORT_PAUSE_MS_MAX = 300;
/** To its sender, instead of a customer's name. */
export const BACK = 'back';
const PEOPLE = ['clerk-1', 'clerk-2', 'clerk-3'];
const CUSTOMERS = Object.values(MEMOS);

export function createClerks({
  faults,
  dice,
  marks,
  limits,
  areSentBack,
}: {
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly limits: DeskLimits;
  /** Whether they send deposits back. */
  readonly areSentBack: boolean;
}): Clerks {
  const pauseMsMax = areSentBack ? SHORT_PAUSE_MS_MAX : PAUSE_MS_MAX;
  const ever = new Map<string, Set<string>>();
  const sinceDenied = new Map<string, Set<string>>();
  const keyOf = (transferId: string, wish: string): string => `${transferId} ${wish}`;
  const everDenied = new Set<string>();

  /** Before it is sent: it may be taken whatever is heard of it. */
  const speak = (transferId: string, wish: string, by: string): void => {
    const person = personIn(by);
    for (const said of everDenied.has(transferId) ? [ever, sinceDenied] : [ever])
      said.set(keyOf(transferId, wish), (said.get(keyOf(transferId, wish)) ?? new Set()).add(person));
  };
  const drawPerson = (): string => {
    const person = dice.pick(PEOPLE);
    return dice.pick([person, person, `${person}/phone`, person.toUpperCase()]);
  };
  const withdrawalsOf = ({ db, clock, history }: Life): Withdrawals | null =>
    areSentBack
      ? createWithdrawals({
          db,
          clock,
          network: NETWORK,
          idKey: ID_KEY,
          ...(history !== null && { seal: SEAL, log: history.memory }),
        })
      : null;
  const deskOf = (life: Life, screenedSince: Micros | null) =>
    createDesk({ ...life, limits, screenedSince, withdrawals: withdrawalsOf(life) });

  const casesIn = async ({ db }: Life, states: readonly DeskCaseState[]) =>
    await db
      .selectFrom('desk_case as c')
      .innerJoin('instrument as i', 'i.id', 'c.instrument_id')
      .select(['c.transfer_id as transferId', 'c.why', 'i.is_accepted as isAccepted'])
      .where('c.state', 'in', states)
      .orderBy('c.transfer_id')
      .execute();
  const assign = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    const cases = areSentBack
      ? (await casesIn(life, ['OPEN', 'OFFERED', 'REFUNDED'])).filter(({ isAccepted }) => isAccepted)
      : await casesIn(life, ['OPEN', 'OFFERED']);
    const denied = cases.filter(({ why }) => why === 'DENIED');
    const known = denied.length > 0 && dice.chance(0.6) ? denied : cases;
    if (known.length === 0) return;
    const { transferId } = dice.pick(known);
    const account = dice.pick(CUSTOMERS);
    const by = drawPerson();
    speak(transferId, account, by);
    await deskOf(life, screenedSince).assign({ transferId, account, reason: 'looked at', by });
    marks.add('desk: assigned');
  };
  const sendBack = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    const cases = (await casesIn(life, ['OPEN', 'REFUNDED'])).filter(({ isAccepted }) => isAccepted);
    if (cases.length === 0) return;
    const { transferId } = dice.pick(cases);
    const by = drawPerson();
    speak(transferId, BACK, by);
    await deskOf(life, screenedSince).refund({ transferId, reason: 'looked at', by });
    marks.add('desk: sent back');
  };
  const judge = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    const waiting = await life.db
      .selectFrom('desk_decision as d')
      .leftJoin('account as a', 'a.id', 'd.account_id')
      .select(['d.id', 'd.transfer_id as transferId', 'a.owner', 'd.requested_by as requestedBy'])
      .where('d.state', '=', 'AWAITING_APPROVAL')
      .orderBy('d.id')
      .execute();
    if (waiting.length === 0) return;
    const { id, transferId, owner, requestedBy } = dice.pick(waiting);
    const by = drawPerson();
    const desk = deskOf(life, screenedSince);
    if (dice.chance(0.15)) {
      await desk.refuse({ decisionId: id, reason: 'no', by });
      marks.add('desk: refused');
      return;
    }
    speak(transferId, owner ?? BACK, by);
    await desk.approve({ decisionId: id, reason: 'agreed', by });
    must(personIn(by) !== personIn(requestedBy), 'nobody agrees at the desk with himself', { by, requestedBy });
    marks.add('desk: approved');
  };
  /** As `sluice recover --release` does, once somebody has looked. */
  const release = async ({ db, clock }: Life): Promise<void> => {
    const held = await db
      .selectFrom('restored_withdrawal as r')
      .innerJoin('withdrawal as w', 'w.id', 'r.withdrawal_id')
      .select('w.id')
      .where('r.wanted_at', 'is', null)
      .where('w.client', '=', DESK_CLIENT)
      .orderBy('w.id')
      .execute();
    if (held.length === 0) return;
    await releaseHeld(
      db,
      held.map(({ id }) => id),
      { by: 'operator-1', why: 'still wanted', clock },
    );
    marks.add('restored refund released by the operator');
  };
  const act = async (life: Life, screenedSince: Micros | null): Promise<void> => {
    if (areSentBack && life.history !== null) await release(life);
    if (faults.isOver()) return;
    if (areSentBack && dice.chance(0.35)) await sendBack(life, screenedSince);
    else if (dice.chance(areSentBack ? 0.3 : 0.5)) await assign(life, screenedSince);
    else await judge(life, screenedSince);
  };
  const isAnswer = (error: unknown): boolean => {
    if (!(error instanceof DeskRefusal)) return false;
    marks.add(`desk told ${error.code}`);
    return true;
  };

  return {
    act,
    pauseMsMax,
    isAnswer,
    withdrawalsOf,
    run: async (life) => {
      await actThrough(life, {
        pauseMsMax,
        // When nothing is left to decide they look as seldom as those who poll.
        clock: () => (faults.isOver() ? life.lazyClock : life.clock),
        act: async () => await act(life, null),
        isAnswer,
      });
    },
    denied: (transferId) => void everDenied.add(transferId),
    voices: (transferId, wish) => ({
      ever: ever.get(keyOf(transferId, wish))?.size ?? 0,
      sinceDenied: sinceDenied.get(keyOf(transferId, wish))?.size ?? 0,
    }),
  };
}

/** Whose key it is. */
function personIn(by: string): string {
  return by.toLowerCase().split('/')[0] ?? '';
}
