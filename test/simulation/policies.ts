/**
 * A policy in a schedule, and the people whom it asks: rules that deny, rules that need some people, one that counts, and a change of them all that two people approve. Approvers approve, refuse, change their
 * mind, say it twice by two keys, approve what they did not look at, and try to approve what they asked for themselves.
 *
 * What each of them said is kept here, as it was said. Nothing is signed (I21) for which too few people ever spoke: distinct, none of them who asked, each of this very intent by a hash that is computed here.
 */

import type { Database } from '../../src/db/connection.ts';
import { OUTBOX_CHANNEL } from '../../src/db/event-log.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import type { Clock } from '../../src/env/clock.ts';
import { ApprovalRefusal } from '../../src/policy/approval-refusal.ts';
import { createApprovals } from '../../src/policy/approvals.ts';
import { formatIntentHash } from '../../src/policy/intent.ts';
import { PolicyChangeRefusal } from '../../src/policy/policy-change-refusal.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import { runPolicyLoop } from '../../src/policy/policy-loop.ts';
import type { Network } from '../../src/simnet/network.ts';
import type { WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { CLIENT, type Orders } from './orders.ts';
import { payableHash } from './payable-intent.ts';
import type { Payable, Payables } from './payables.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';
import type { Screenings } from './screenings.ts';
import type { Extension } from './serve-loop.ts';
import { createVelocities } from './velocities.ts';
import { must } from './violation.ts';

export type Policies = {
  /** What every process runs for it. */
  readonly extension: Extension;
  /** Before anybody asks for anything. */
  begin(db: Database, clock: Clock): Promise<void>;
  /** After every commit: what stands there, by key. A request counts those that were committed before it. */
  note(withdrawals: readonly { readonly key: string; readonly state: WithdrawalState }[]): void;
  /** The database went back. */
  wentBack(): void;
  /** @throws Violation. A withdrawal is about to be signed. */
  demandApproved(withdrawal: Signed): void;
};

/** As the database has it: its id, its idempotency key, and its amount as decimal text. */
type Signed = { readonly id: string; readonly key: string; readonly amount: string };

const PAUSE_MS_MAX = 800;
/** Longer than any schedule: whatever was asked for in it counts. */
const WINDOW_SECONDS = 86_400;
const UNITS = 10_000_000_000n;
const PEOPLE = ['approver-1', 'approver-2', 'approver-3'];
const OTHER_HASH = formatIntentHash(new Uint8Array(32).fill(1));

/** Amounts, in whole tokens, beyond which it takes one person, two, or is denied. */
type Thresholds = {
  readonly one: number;
  readonly two: number;
  readonly none: number;
  /** Beyond which it is screened; null: never. */
  readonly screened: number | null;
};

export function createPolicies({
  network,
  faults,
  dice,
  marks,
  orders,
  payables,
  screenings,
}: {
  readonly network: Network;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly orders: Orders;
  readonly payables: Payables;
  readonly screenings: Screenings;
}): Policies {
  const isOn = faults.isDrawn('policies');
  const drawThresholds = (version: 0 | 1): Thresholds => ({
    one: dice.integer(0, 15),
    two: dice.integer(8, 25),
    none: dice.integer(20, 40),
    screened: screenings.screenedAbove?.[version] ?? null,
  });
  const [first, second] = [drawThresholds(0), drawThresholds(1)];
  const countAbove = dice.integer(1, 2);
  const countMax = countAbove + dice.integer(0, 3);
  const velocities = createVelocities(orders);
  /** By key: people whose word for this very intent was, or may have been, taken. */
  const words = new Map<string, Set<string>>();
  let isChanging = false;

  const documentOf = ({ one, two, none, screened }: Thresholds): string =>
    JSON.stringify({
      change: { approvals: 2, delaySeconds: 60 },
      approvalSeconds: 60,
      otherwise: 'ALLOW',
      rules: [
        { name: 'one', when: { amountAbove: String(one) }, outcome: { approvals: 1 } },
        { name: 'two', when: { amountAbove: String(two) }, outcome: { approvals: 2 } },
        { name: 'none', when: { amountAbove: String(none) }, outcome: 'DENY' },
        {
          name: 'many',
          when: { velocity: { per: 'ACCOUNT', windowSeconds: WINDOW_SECONDS, countAbove } },
          outcome: { approvals: 1 },
        },
        {
          name: 'too many',
          when: { velocity: { per: 'ACCOUNT', windowSeconds: WINDOW_SECONDS, countAbove: countMax } },
          outcome: 'DENY',
        },
        ...(screened === null
          ? []
          : [{ name: 'screened', when: { amountAbove: String(screened) }, outcome: 'SCREEN' }]),
      ],
    });
  const needed = ({ units }: Payable, { one, two, none }: Thresholds): number => {
    const isAbove = (tokens: number): boolean => units > BigInt(tokens) * UNITS;
    return isAbove(none) ? Number.POSITIVE_INFINITY : isAbove(two) ? 2 : isAbove(one) ? 1 : 0;
  };
  const pending = async ({ db }: Life) =>
    await db
      .selectFrom('withdrawal as w')
      .innerJoin('policy_verdict as v', (join) =>
        join.onRef('v.withdrawal_id', '=', 'w.id').onRef('v.number', '=', 'w.verdict'),
      )
      .innerJoin('account as a', 'a.id', 'w.account_id')
      .select(['w.id', 'w.idempotency_key as key', 'a.owner as account', 'w.amount'])
      .where('w.state', 'in', ['AWAITING_APPROVAL', 'QUEUED'])
      .where('v.approvals_needed', '>', 0)
      .orderBy('w.idempotency_key')
      .execute();
  type Pending = Awaited<ReturnType<typeof pending>>[number];

  const hashOf = (payable: Payable, { id, account }: Pending): string =>
    payableHash(network, payable, { withdrawalId: id, account });
  const speak = async (life: Life, one: Pending, by: string, isWhatItIs: boolean): Promise<void> => {
    const payable = payables.find(one.amount);
    must(payable !== undefined && (payable.key ?? one.key) === one.key, 'what is approved was asked for', one);
    const judgement = {
      withdrawalId: one.id,
      intentHash: isWhatItIs ? hashOf(payable, one) : OTHER_HASH,
      why: 'looked at',
      by,
    };
    const person = by.toLowerCase().split('/')[0] ?? '';
    const isAllowed = isWhatItIs && person !== payable.client;
    if (isAllowed) words.set(one.key, (words.get(one.key) ?? new Set()).add(person));
    const { isReplayed } = await createApprovals(life).approve(judgement);
    must(isAllowed, 'nobody approves what he asked for, or did not look at', { by, isWhatItIs });
    marks.add(isReplayed ? 'approved twice by one person' : 'approved');
  };
  const actInTrouble = async (life: Life): Promise<void> => {
    const waiting = await pending(life);
    if (waiting.length === 0) return;
    const one = dice.pick(waiting);
    const person = dice.pick(PEOPLE);
    const by = dice.pick([person, person, `${person}/phone`, person.toUpperCase()]);
    const what = dice.integer(1, 20);
    if (what === 1) {
      const payable = payables.find(one.amount);
      const shown = payable === undefined ? OTHER_HASH : hashOf(payable, one);
      await createApprovals(life).refuse({ withdrawalId: one.id, intentHash: shown, why: 'no', by });
      marks.add('approval refused');
    } else if (what <= 4) await speak(life, one, dice.pick([CLIENT, `${CLIENT}/other`, CLIENT.toUpperCase()]), true);
    else if (what <= 6) await speak(life, one, by, false);
    else await speak(life, one, by, true);
  };
  /** The rules change once: one proposes it, two others approve. */
  const changeRules = async (life: Life): Promise<void> => {
    if (isChanging || !dice.chance(0.1)) return;
    isChanging = true;
    const changes = createPolicyChanges({ ...life, network: NETWORK });
    const proposalId = await changes.propose({ document: documentOf(second), why: 'others', by: 'admin-1' });
    const { document_hash } = await life.db
      .selectFrom('policy_proposal')
      .select('document_hash')
      .where('id', '=', proposalId)
      .executeTakeFirstOrThrow();
    const hash = document_hash.toString('hex');
    const own = await changes.approve({ proposalId, hash, why: 'mine', by: 'ADMIN-1/other' }).then(
      () => 'taken',
      (error: unknown) => (error instanceof PolicyChangeRefusal ? 'refused' : 'unknown'),
    );
    must(own !== 'taken', 'nobody approves his own change of the policy', {});
    for (const by of ['admin-2', 'admin-3']) await changes.approve({ proposalId, hash, why: 'yes', by });
    marks.add('policy changed');
  };
  const people = async (life: Life): Promise<void> => {
    await actThrough(life, {
      pauseMsMax: PAUSE_MS_MAX,
      act: async () => {
        if (!faults.isOver()) {
          await changeRules(life);
          await actInTrouble(life);
        } else for (const one of await pending(life)) for (const by of PEOPLE) await speak(life, one, by, true);
      },
      isAnswer: (error) => {
        if (!(error instanceof ApprovalRefusal || error instanceof PolicyChangeRefusal)) return false;
        marks.add(`approver told ${error.code}`);
        return true;
      },
    });
  };

  return {
    begin: async (db, clock) => {
      if (!isOn) return;
      const changes = createPolicyChanges({ db, clock, network: NETWORK });
      await changes.setFirst({ document: documentOf(first), why: 'first', by: 'admin-1' });
    },
    note: (withdrawals) => {
      if (!isOn) return;
      velocities.note(withdrawals);
    },
    wentBack: velocities.wentBack,
    demandApproved: ({ id, key, amount }) => {
      if (!isOn) return;
      const payable = payables.find(amount);
      must(payable !== undefined, 'what is signed was asked for', { key, amount });
      const byAmount = isChanging ? Math.min(needed(payable, first), needed(payable, second)) : needed(payable, first);
      const count = velocities.countOf(key);
      const byCount = count > countMax ? Number.POSITIVE_INFINITY : count > countAbove ? 1 : 0;
      const least = Math.max(byAmount, byCount);
      if (byCount > 0) marks.add('signed what a count made people approve');
      const people = [...(words.get(key) ?? [])];
      must(people.length >= least, 'nothing is signed that too few have approved', { key, least, people, count });
      const isScreened = ({ screened }: Thresholds): boolean =>
        screened !== null && payable.units > BigInt(screened) * UNITS;
      if (isScreened(first) && (!isChanging || isScreened(second))) screenings.demandAllowed(id, payable);
      if (least > 0) marks.add(`signed with ${people.length} approvals of ${least}`);
    },
    extension: {
      loop: async (life) => {
        if (!isOn) return;
        const wakeUp = createWakeUp(life.lazyClock);
        const unlisten = life.notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
        await Promise.all([people(life), runPolicyLoop({ ...life, clock: life.lazyClock, wakeUp })]).finally(unlisten);
      },
    },
  };
}
