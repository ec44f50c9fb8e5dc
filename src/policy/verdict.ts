/**
 * What a policy says of a withdrawal. Pure: rules and facts in, a verdict with its reasons in words out. The facts about other withdrawals (velocity) are asked for first, so that whoever gathers them can lock what
 * they depend on; see {@link velocityQuestions}.
 */

import { personOf } from '../env/person.ts';
import { type Amount, formatAmount, parseAmount } from '../tokens/amount.ts';
import type { PolicyDocument, PolicyOutcome, PolicyRule, Velocity } from './policy-document.ts';

export type WithdrawalFacts = {
  /** The customer's account; null: it pays for no customer (a refund). */
  readonly account: string | null;
  /** The principal that asked. */
  readonly client: string;
  readonly receiver: string;
  readonly treasuryParty: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly amount: Amount;
};

export type VelocityQuestion = Pick<Velocity, 'per' | 'windowSeconds'>;

/** The other withdrawals of the same instrument and the same subject in the window, without those that ended unpaid. */
export type VelocityFacts = { readonly count: number; readonly sum: bigint };

export type VelocityOf = (question: VelocityQuestion) => VelocityFacts;

export type Reason = { readonly rule: string; readonly text: string };

export type PolicyVerdict = {
  /** NEEDS: people, the screening service, or both, have to say yes first. */
  readonly kind: 'ALLOW' | 'NEEDS' | 'DENY';
  readonly approvalsNeeded: number;
  readonly needsScreening: boolean;
  /** How long people may approve, and how long an approval counts. */
  readonly approvalSeconds: number;
  /** Never empty. */
  readonly reasons: readonly Reason[];
};

/** What has to be known of other withdrawals to judge this one: of rules whose other conditions hold. Each once, in a fixed order. */
export function velocityQuestions(policy: PolicyDocument, facts: WithdrawalFacts): readonly VelocityQuestion[] {
  const questions = new Map<string, VelocityQuestion>();
  for (const { when } of policy.rules) {
    if (when.velocity === undefined || plainReasons(when, facts) === null) continue;
    const { per, windowSeconds } = when.velocity;
    questions.set(keyOf({ per, windowSeconds }), { per, windowSeconds });
  }
  return [...questions.values()].sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

/** @param velocityOf answers every one of {@link velocityQuestions}. */
export function judge(policy: PolicyDocument, facts: WithdrawalFacts, velocityOf: VelocityOf): PolicyVerdict {
  const holding = policy.rules.flatMap((rule) => {
    const because = reasonsFor(rule, facts, velocityOf);
    return because === null ? [] : [{ rule: rule.name, because, outcome: rule.outcome }];
  });
  const decides = holding.some(({ outcome }) => outcome !== 'SCREEN');
  const deciding = decides
    ? holding
    : [...holding, { rule: 'otherwise', because: ['no rule decides about it'], outcome: policy.otherwise }];
  const outcomes = deciding.map(({ outcome }) => outcome);
  const isDenied = outcomes.includes('DENY');
  const approvalsNeeded = isDenied ? 0 : Math.max(...outcomes.map(approvalsOf));
  const needsScreening = !isDenied && outcomes.includes('SCREEN');
  return {
    kind: isDenied ? 'DENY' : approvalsNeeded > 0 || needsScreening ? 'NEEDS' : 'ALLOW',
    approvalsNeeded,
    needsScreening,
    approvalSeconds: policy.approvalSeconds,
    reasons: deciding.map(({ rule, because, outcome }) => ({
      rule,
      text: `${because.join(', ')}: ${wordsOf(outcome)}`,
    })),
  };
}

/**
 * What counts where a withdrawal was judged before: never less than was asked for then. So no change of the policy gets a withdrawal past people who were to be asked about it.
 * @param earlier null: it was never judged.
 */
export function notLessThan(
  verdict: PolicyVerdict,
  earlier: Pick<PolicyVerdict, 'kind' | 'approvalsNeeded' | 'needsScreening'> | null,
): PolicyVerdict {
  if (earlier === null || verdict.kind === 'DENY') return verdict;
  if (earlier.kind === 'DENY') {
    const reasons = [{ rule: 'earlier verdict', text: 'it was denied before' }, ...verdict.reasons];
    return { ...verdict, kind: 'DENY', approvalsNeeded: 0, needsScreening: false, reasons };
  }
  const approvalsNeeded = Math.max(verdict.approvalsNeeded, earlier.approvalsNeeded);
  const needsScreening = verdict.needsScreening || earlier.needsScreening;
  if (approvalsNeeded === verdict.approvalsNeeded && needsScreening === verdict.needsScreening) return verdict;
  const words = [
    ...(approvalsNeeded > verdict.approvalsNeeded ? [wordsOf({ approvals: approvalsNeeded })] : []),
    ...(needsScreening === verdict.needsScreening ? [] : [wordsOf('SCREEN')]),
  ];
  const reason = { rule: 'earlier verdict', text: `it was asked for before: ${words.join(', ')}` };
  return { ...verdict, kind: 'NEEDS', approvalsNeeded, needsScreening, reasons: [reason, ...verdict.reasons] };
}

/** Why a rule holds; null: it does not. */
function reasonsFor(rule: PolicyRule, facts: WithdrawalFacts, velocityOf: VelocityOf): readonly string[] | null {
  const plain = plainReasons(rule.when, facts);
  const { velocity } = rule.when;
  if (plain === null || velocity === undefined)
    return plain === null || plain.length > 0 ? plain : ['it is a withdrawal'];
  const { count, sum } = velocityOf({ per: velocity.per, windowSeconds: velocity.windowSeconds });
  const within = `within ${velocity.windowSeconds} seconds for this ${velocity.per.toLowerCase()}`;
  const total = sum + facts.amount;
  const excess = [
    ...(velocity.sumAbove !== undefined && total > parseAmount(velocity.sumAbove)
      ? [`with it ${formatAmount(total)} ${within}, more than ${velocity.sumAbove}`]
      : []),
    ...(velocity.countAbove !== undefined && count + 1 > velocity.countAbove
      ? [`with it ${count + 1} withdrawals ${within}, more than ${velocity.countAbove}`]
      : []),
  ];
  return excess.length === 0 ? null : [...plain, ...excess];
}

/** Of the conditions that look at this withdrawal alone. */
function plainReasons(when: PolicyRule['when'], facts: WithdrawalFacts): readonly string[] | null {
  const { instrument } = facts;
  const isOf = (list: readonly string[] | undefined, value: string | null) =>
    list === undefined || (value !== null && list.includes(value));
  const isInstrument =
    when.instruments === undefined ||
    when.instruments.some(({ admin, id }) => admin === instrument.admin && id === instrument.id);
  const isAbove = when.amountAbove === undefined || facts.amount > parseAmount(when.amountAbove);
  const holds =
    isInstrument &&
    isAbove &&
    isOf(when.accounts, facts.account) &&
    (when.clients === undefined || when.clients.some((named) => isClient(named, facts.client))) &&
    isOf(when.receivers, facts.receiver) &&
    isOf(when.treasuries, facts.treasuryParty);
  if (!holds) return null;
  return [
    ...(when.instruments === undefined ? [] : [`the instrument is ${instrument.id}`]),
    ...(when.accounts === undefined ? [] : [`the account is ${facts.account}`]),
    ...(when.clients === undefined ? [] : [`${facts.client} asks`]),
    ...(when.receivers === undefined ? [] : ['the receiver is named']),
    ...(when.treasuries === undefined ? [] : ['the treasury is named']),
    ...(when.amountAbove === undefined ? [] : [`${formatAmount(facts.amount)} is more than ${when.amountAbove}`]),
  ];
}

/** A rule names one key, with its slash, or a person with all of them, however either is spelled. */
function isClient(named: string, client: string): boolean {
  return named === client || (!named.includes('/') && personOf(named) === personOf(client));
}

function approvalsOf(outcome: PolicyOutcome): number {
  return typeof outcome === 'object' ? outcome.approvals : 0;
}

function wordsOf(outcome: PolicyOutcome): string {
  if (outcome === 'ALLOW') return 'allowed';
  if (outcome === 'DENY') return 'denied';
  if (outcome === 'SCREEN') return 'the screening service is asked';
  return outcome.approvals === 1 ? 'one person has to approve' : `${outcome.approvals} people have to approve`;
}

function keyOf({ per, windowSeconds }: VelocityQuestion): string {
  return `${per}:${windowSeconds}`;
}
