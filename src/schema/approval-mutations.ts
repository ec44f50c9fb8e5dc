/** `approveWithdrawal` and `rejectWithdrawal`: what people say to a withdrawal that needs them. */
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { APPROVAL_REFUSAL_CODES, ApprovalRefusal } from '../policy/approval-refusal.ts';
import { readWithdrawalPolicies, type WithdrawalPolicy } from '../read/withdrawal-policies.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';
import { WithdrawalPolicyRef } from './withdrawal-policy.ts';

builder.objectType(ApprovalRefusal, {
  name: 'ApprovalRefusal',
  description: `Nothing was approved or refused. Codes ${APPROVAL_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`approve\`. Since 0.1.`,
  authScopes: { approve: true },
  interfaces: [ErrorInterface],
});

type ApprovalPayload = { readonly policy: WithdrawalPolicy; readonly isReplayed: boolean };

const ApprovalPayloadRef = builder.objectRef<ApprovalPayload>('ApprovalPayload').implement({
  description: 'It is kept, for ever. Scope: `approve`. Since 0.1.',
  authScopes: { approve: true },
  fields: (t) => ({
    policy: t.field({
      type: WithdrawalPolicyRef,
      description: 'As it stands now, with the withdrawal. Scope: `approve`. Since 0.1.',
      resolve: ({ policy }) => policy,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description: 'True: you had said the same before, and this call changed nothing. Scope: `approve`. Since 0.1.',
    }),
  }),
});

const ApprovalInput = builder.inputType('WithdrawalApprovalInput', {
  description: 'What you say, and to what. Since 0.1.',
  fields: (t) => ({
    withdrawalId: t.string({ required: true, description: '`wd_…`.' }),
    intentHash: t.string({
      required: true,
      description: 'Of what you looked at, as `WithdrawalPolicy.intentHash` showed it.',
    }),
    reason: t.string({ required: true, description: 'What you looked at; 1 to 1000 bytes, kept for ever.' }),
  }),
});

// Both: whoever may not read the answer would have decided something and been told that it was forbidden.
const BOTH = { $all: { approve: true, read: true } } as const;

const union = (name: string) => ({
  types: [ApprovalRefusal],
  union: { name, description: 'How it stands, or why it was refused. Scope: `approve`. Since 0.1.' },
});

builder.mutationFields((t) => ({
  approveWithdrawal: t.field({
    type: ApprovalPayloadRef,
    description:
      'Says yes to a withdrawal that waits for people. The last yes that is needed lets it go on. Never by who asked for it, and once per person. Harmless when repeated. Scopes: `approve` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: ApprovalInput, required: true, description: 'What you say.' }) },
    errors: union('ApproveWithdrawalResult'),
    resolve: async (_root, { input }, { db, clock, approvals, principal }) => {
      const { withdrawalId, intentHash, reason } = input;
      const done = await approvals.approve({ withdrawalId, intentHash, why: reason, by: principal.name });
      return { ...done, policy: await readOne(db, clock, withdrawalId) };
    },
  }),
  rejectWithdrawal: t.field({
    type: ApprovalPayloadRef,
    description:
      'Says no to a withdrawal that waits for people, which ends it, whatever others said: nothing is paid, and the customer is booked back. Scopes: `approve` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: ApprovalInput, required: true, description: 'What you say.' }) },
    errors: union('RejectWithdrawalResult'),
    resolve: async (_root, { input }, { db, clock, approvals, principal }) => {
      const { withdrawalId, intentHash, reason } = input;
      const done = await approvals.refuse({ withdrawalId, intentHash, why: reason, by: principal.name });
      return { ...done, policy: await readOne(db, clock, withdrawalId) };
    },
  }),
}));

async function readOne(db: Database, clock: Clock, withdrawalId: string): Promise<WithdrawalPolicy> {
  const [policy = null] = await readWithdrawalPolicies(db, [withdrawalId], clock.nowMicros());
  assert(policy !== null, 'A withdrawal that was just decided about is not there.', { withdrawalId });
  return policy;
}
