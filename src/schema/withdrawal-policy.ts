/** `WithdrawalPolicy`: what the policy says of a withdrawal, and who said what to that; the list of those that wait, and how to follow them. */

import { AssertionError } from '../env/errors.ts';
import { APPROVAL_CHANGES, type ApprovalChange } from '../policy/approval-events.ts';
import type { Leave } from '../policy/standing.ts';
import type { Reason } from '../policy/verdict.ts';
import { type ApprovalUpdate, followApprovals } from '../read/approval-feed.ts';
import {
  keyOfPending,
  listPending,
  readWithdrawalPolicies,
  type WithdrawalApproval,
  type WithdrawalPolicy,
  type WithdrawalScreening,
} from '../read/withdrawal-policies.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import { cursorErrorOf } from './api-error.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import type { ApiContext } from './context.ts';
import { WithdrawalRef } from './withdrawal.ts';

const LeaveEnum = builder.enumType('PolicyLeave', {
  description: 'Whether the policy lets a withdrawal be paid, or what is missing. Since 0.1.',
  values: {
    GIVEN: { description: 'It may be paid.' },
    UNJUDGED: { description: 'The policy has changed since it was judged: it is judged again in a moment.' },
    DENIED: { description: 'The policy does not allow it.' },
    APPROVALS: { description: 'People have to approve it, or one has refused.' },
    SCREENING: { description: 'The screening service has not said yes.' },
  } satisfies Record<Leave, { description: string }>,
});

const VerdictEnum = builder.enumType('PolicyVerdict', {
  description: 'What the policy said. Since 0.1.',
  values: {
    ALLOW: { description: 'It may be paid without anybody else.' },
    NEEDS: { description: 'People, the screening service, or both, have to say yes first.' },
    DENY: { description: 'It is not paid.' },
  } as const,
});

export const ApprovalDecisionEnum = builder.enumType('ApprovalDecision', {
  description: 'What a person said. Since 0.1.',
  values: { APPROVE: { description: 'Yes.' }, REFUSE: { description: 'No, and that is the end of it.' } } as const,
});

const PolicyReasonRef = builder.objectRef<Reason>('PolicyReason').implement({
  description: 'Why the policy said so: one rule. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    rule: t.exposeString('rule', {
      description: 'Its name; `otherwise` where no rule decides. Scope: `read`. Since 0.1.',
    }),
    text: t.exposeString('text', { description: 'In words, for people; may change. Scope: `read`. Since 0.1.' }),
  }),
});

const WithdrawalApprovalRef = builder.objectRef<WithdrawalApproval>('WithdrawalApproval').implement({
  description: 'What one person said to a withdrawal. Kept for ever. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    decision: t.expose('decision', { type: ApprovalDecisionEnum, description: 'Yes or no. Scope: `read`. Since 0.1.' }),
    decidedBy: t.exposeString('decidedBy', { description: 'The principal. Scope: `read`. Since 0.1.' }),
    person: t.exposeString('person', {
      description: 'Who that is: several principals may be one person, who counts once. Scope: `read`. Since 0.1.',
    }),
    decidedAt: t.expose('decidedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      description: 'Until when it counts, by our clock. Scope: `read`. Since 0.1.',
    }),
    reason: t.exposeString('why', { description: 'What the person said for others. Scope: `read`. Since 0.1.' }),
    intentHash: t.exposeString('intentHash', {
      description: 'Of what was looked at; it counts for nothing else. Scope: `read`. Since 0.1.',
    }),
  }),
});

const WithdrawalScreeningStateEnum = builder.enumType('WithdrawalScreeningState', {
  description: 'Where a question about a withdrawal stands. Since 0.1.',
  values: {
    WAITING: { description: 'It is asked, again and again, until there is an answer.' },
    PARKED: {
      description:
        'As many tries as are configured brought no answer: somebody has to look, and call `retryWithdrawalNow`.',
    },
    ALLOWED: { description: 'The service said yes.' },
    DENIED: { description: 'The service said no.' },
    ENDED: { description: 'The withdrawal ended before there was an answer.' },
  } as const,
});

const WithdrawalScreeningRef = builder.objectRef<WithdrawalScreening>('WithdrawalScreening').implement({
  description: 'What the screening service said of a withdrawal. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    state: t.expose('state', {
      type: WithdrawalScreeningStateEnum,
      description: 'Where it stands. Scope: `read`. Since 0.1.',
    }),
    caseId: t.exposeString('caseId', {
      nullable: true,
      description: 'The service’s own name for the case; null: it gave none. Scope: `read`. Since 0.1.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'What the service said for people; null: nothing. Scope: `read`. Since 0.1.',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description: 'Why the last try brought no answer; null: it did, or there was none. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const WithdrawalPolicyRef = builder.objectRef<WithdrawalPolicy>('WithdrawalPolicy').implement({
  description:
    'What the policy says of a withdrawal, and what was said to that. Each decision is kept with who, when and about what. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    withdrawal: t.loadable({
      type: WithdrawalRef,
      description: 'Which one: what is approved is its receiver, amount, memo and the rest. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) =>
        (await readWithdrawals(db, ids)).map(
          (withdrawal) => withdrawal ?? new AssertionError('A verdict is about a withdrawal that is not there.'),
        ),
      loaderOptions: { cache: false },
      resolve: ({ withdrawalId }) => withdrawalId,
    }),
    intentHash: t.exposeString('intentHash', {
      description:
        'Of everything that says who is paid what, by whom and for whom: pass it back with what you decide, which counts for nothing else. Scope: `read`. Since 0.1.',
    }),
    leave: t.expose('leave', {
      type: LeaveEnum,
      description: 'Whether it may be paid at this moment. Scope: `read`. Since 0.1.',
    }),
    verdict: t.expose('verdict', {
      type: VerdictEnum,
      nullable: true,
      description: 'What the policy said last; null: it was never asked. Scope: `read`. Since 0.1.',
    }),
    policyVersion: t.exposeInt('policyVersion', {
      nullable: true,
      description: 'Which version said so; 0: none was set; null: it was never asked. Scope: `read`. Since 0.1.',
    }),
    reasons: t.field({
      type: [PolicyReasonRef],
      description: 'Why. Scope: `read`. Since 0.1.',
      resolve: ({ reasons }) => [...reasons],
    }),
    decidedAt: t.expose('decidedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When the policy said so, by our clock; null: it was never asked. Scope: `read`. Since 0.1.',
    }),
    approvalsNeeded: t.exposeInt('approvalsNeeded', {
      description: 'How many people have to approve it. Scope: `read`. Since 0.1.',
    }),
    approvalsGiven: t.exposeInt('approvalsGiven', {
      description: 'How many people’s approvals count at this moment. Scope: `read`. Since 0.1.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'Until when people may approve it, by our clock; null: nobody is asked. Scope: `read`. Since 0.1.',
    }),
    approvals: t.field({
      type: [WithdrawalApprovalRef],
      description: 'Everything that people said, oldest first. Scope: `read`. Since 0.1.',
      resolve: ({ approvals }) => [...approvals],
    }),
    screening: t.field({
      type: WithdrawalScreeningRef,
      nullable: true,
      description: 'What the screening service said; null: it was not asked. Scope: `read`. Since 0.1.',
      resolve: ({ screening }) => screening,
    }),
  }),
});

async function loadPolicies(ids: string[], { db, clock }: ApiContext) {
  return (await readWithdrawalPolicies(db, ids, clock.nowMicros())).map(
    (policy) => policy ?? new AssertionError('There is no such withdrawal.'),
  );
}

builder.objectField(WithdrawalRef, 'policy', (t) =>
  t.loadable({
    type: WithdrawalPolicyRef,
    description: 'What the policy says of it, and who approved it. Scope: `read`. Since 0.1.',
    load: loadPolicies,
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);

builder.queryField('pendingApprovals', (t) =>
  t.connection(
    {
      type: WithdrawalPolicyRef,
      description: 'Withdrawals that wait for people or the screening service, oldest first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      resolve: async (_root, page, { db, clock }) =>
        await connectionOf(
          { name: 'pendingApprovals', key: 'it' },
          page,
          async (request) => await listPending(db, request, clock.nowMicros()),
          keyOfPending,
        ),
    },
    { name: 'PendingApprovalConnection', authScopes: { read: true } },
    { name: 'PendingApprovalEdge', authScopes: { read: true } },
  ),
);

const CHANGE_MEANINGS: Readonly<Record<ApprovalChange, string>> = {
  ASKED: 'People, or the screening service, have to say yes; again, where approvals ran out or the policy changed.',
  APPROVED: 'One person said yes; it may need more.',
  REFUSED: 'One person said no: it is over.',
  SCREENED: 'The screening service has decided.',
  GRANTED: 'All who were asked have said yes.',
  DENIED: 'The policy as it is now, or the screening service, does not allow it: it is over.',
  EXPIRED: 'Nobody, or too few, said yes in time, or before its deadline: it is over.',
  CANCELLED: 'Whoever asked for it wants it no more.',
};

const ApprovalChangeEnum = builder.enumType('ApprovalChange', {
  description: 'What happened to a withdrawal that needs people or the screening service. Since 0.1.',
  values: Object.fromEntries(
    APPROVAL_CHANGES.map((change) => [change, { description: CHANGE_MEANINGS[change] }]),
  ) as Readonly<Record<ApprovalChange, { description: string }>>,
});

export const ApprovalUpdateRef = builder.objectRef<ApprovalUpdate>('ApprovalUpdate').implement({
  description:
    'Something that happened to a withdrawal that needs people. Its own fields are facts as recorded and never change; `policy` is read when delivered and may be further on. Scopes: `subscribe` and `read`. Since 0.1.',
  authScopes: { $all: { subscribe: true, read: true } },
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Store it with what you did about the update, and resume `after` it. Scope: `read`. Since 0.1.',
    }),
    eventId: t.exposeString('eventId', {
      description: 'The same for the same event, delivered again: deduplicate by it. Scope: `read`. Since 0.1.',
    }),
    withdrawalId: t.exposeString('withdrawalId', { description: 'Whose, `wd_…`. Scope: `read`. Since 0.1.' }),
    change: t.expose('change', { type: ApprovalChangeEnum, description: 'What happened. Scope: `read`. Since 0.1.' }),
    by: t.exposeString('by', {
      description: 'Who did it: a principal, `policy` or `screening`. Scope: `read`. Since 0.1.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    policy: t.loadable({
      type: WithdrawalPolicyRef,
      description: 'How it stands now, with the withdrawal. Scope: `read`. Since 0.1.',
      load: loadPolicies,
      loaderOptions: { cache: false },
      resolve: ({ withdrawalId }) => withdrawalId,
    }),
  }),
});

builder.subscriptionField('pendingApprovals', (t) =>
  t.field({
    type: ApprovalUpdateRef,
    description:
      'What happens to withdrawals that need people or the screening service: at least once, in order, first what came after the cursor, then what comes. `ASKED` begins it. Ends only by an error or a cut connection: resume after the last cursor. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'The last cursor seen. Null: only what comes from now on; for everything from the beginning pass `Query.eventLog.startCursor`.',
      }),
    },
    subscribe: async (_root, { after }, { tail }: ApiContext) => {
      try {
        const { position } = await tail.pointAfter(after ?? null);
        return followApprovals(tail, position);
      } catch (error) {
        throw cursorErrorOf(error);
      }
    },
    resolve: (update: ApprovalUpdate) => update,
  }),
);
