/** `Policy`: which one holds, what is proposed, and the mutations that change it. */
import { assert } from '../env/errors.ts';
import { POLICY_CHANGE_REFUSAL_CODES, PolicyChangeRefusal } from '../policy/policy-change-refusal.ts';
import { NO_POLICY, printPolicy } from '../policy/policy-document.ts';
import {
  type Policy,
  type PolicyJudgement,
  type PolicyProposal,
  type PolicyProposalState,
  readPolicyOf,
  readPolicyProposal,
} from '../read/policies.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { ErrorInterface } from './error-interface.ts';
import { ApprovalDecisionEnum } from './withdrawal-policy.ts';

builder.objectType(PolicyChangeRefusal, {
  name: 'PolicyChangeRefusal',
  description: `The policy is not changed. Codes ${POLICY_CHANGE_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`read\`. Since 0.1.`,
  authScopes: { read: true },
  interfaces: [ErrorInterface],
});

const ProposalStateEnum = builder.enumType('PolicyProposalState', {
  description: 'What became of a proposal. Since 0.1.',
  values: {
    OPEN: { description: 'It waits for approvals.' },
    ENACTED: { description: 'Enough people approved it; it holds from `effectiveAt`.' },
    IN_FORCE: { description: 'It holds.' },
    REPLACED: { description: 'It held, until a later one did.' },
    REFUSED: { description: 'Somebody said no.' },
    EXPIRED: { description: 'Not enough people approved it in time.' },
    OUTDATED: { description: 'Another change came first.' },
  } satisfies Record<PolicyProposalState, { description: string }>,
});

const JudgementRef = builder.objectRef<PolicyJudgement>('PolicyJudgement').implement({
  description: 'What one person said to a proposal. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    decision: t.expose('decision', { type: ApprovalDecisionEnum, description: 'Yes or no. Scope: `read`. Since 0.1.' }),
    decidedBy: t.exposeString('judgedBy', { description: 'The principal. Scope: `read`. Since 0.1.' }),
    decidedAt: t.expose('judgedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    reason: t.exposeString('why', { description: 'What the person said for others. Scope: `read`. Since 0.1.' }),
  }),
});

const ProposalRef = builder.objectRef<PolicyProposal>('PolicyProposal').implement({
  description: 'A policy that somebody wants, or wanted. Kept for ever. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    proposalId: t.expose('id', { type: 'BigInt', description: 'Its number. Scope: `read`. Since 0.1.' }),
    state: t.expose('state', { type: ProposalStateEnum, description: 'Where it stands. Scope: `read`. Since 0.1.' }),
    document: t.exposeString('document', { description: 'The whole policy, JSON. Scope: `read`. Since 0.1.' }),
    hash: t.exposeString('hash', {
      description: 'SHA-256 of `document`, hex: pass it back with what you decide. Scope: `read`. Since 0.1.',
    }),
    reason: t.exposeString('why', { description: 'Why it is proposed. Scope: `read`. Since 0.1.' }),
    proposedBy: t.exposeString('proposedBy', { description: 'The principal. Scope: `read`. Since 0.1.' }),
    proposedAt: t.expose('proposedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      description: 'Until when it can be approved, by our clock. Scope: `read`. Since 0.1.',
    }),
    version: t.exposeInt('version', {
      nullable: true,
      description: 'The number of the version that it became; null: none. Scope: `read`. Since 0.1.',
    }),
    effectiveAt: t.expose('effectiveAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'From when it holds, by our clock; null: it was not enacted. Scope: `read`. Since 0.1.',
    }),
    judgements: t.field({
      type: [JudgementRef],
      description: 'What people said to it, oldest first. Scope: `read`. Since 0.1.',
      resolve: ({ judgements }) => [...judgements],
    }),
  }),
});

const PolicyRef = builder.objectRef<Policy>('Policy').implement({
  description: 'Who may have what paid without anybody else being asked. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    version: t.exposeInt('version', {
      description: '0: nobody has set one, and everything is allowed. Scope: `read`. Since 0.1.',
    }),
    document: t.exposeString('document', { description: 'The whole policy, JSON. Scope: `read`. Since 0.1.' }),
    changeApprovals: t.int({
      description: 'How many people have to approve the next change. Scope: `read`. Since 0.1.',
      resolve: ({ change }) => change.approvals,
    }),
    changeDelaySeconds: t.int({
      description: 'Seconds after that until it holds. Scope: `read`. Since 0.1.',
      resolve: ({ change }) => change.delaySeconds,
    }),
    proposals: t.field({
      type: [ProposalRef],
      description: 'The twenty newest, newest first. Scope: `read`. Since 0.1.',
      resolve: ({ proposals }) => [...proposals],
    }),
  }),
});

builder.queryField('policy', (t) =>
  t.field({
    type: PolicyRef,
    description: 'The policy of withdrawals: which one holds, and what is proposed. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _args, { db, network, clock }) =>
      (await readPolicyOf(db, network, clock.nowMicros())) ?? {
        version: 0,
        document: printPolicy(NO_POLICY),
        change: NO_POLICY.change,
        proposals: [],
      },
  }),
);

type PolicyPayload = { readonly proposal: PolicyProposal };

const PolicyPayloadRef = builder.objectRef<PolicyPayload>('PolicyPayload').implement({
  description: 'It is kept. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    proposal: t.field({
      type: ProposalRef,
      description: 'As it stands now. Scope: `read`. Since 0.1.',
      resolve: ({ proposal }) => proposal,
    }),
  }),
});

const ProposePolicyInput = builder.inputType('ProposePolicyInput', {
  description: 'What is to hold instead. Since 0.1.',
  fields: (t) => ({
    document: t.string({ required: true, description: 'The whole policy, JSON.' }),
    reason: t.string({ required: true, description: 'Why, for those who approve it; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const PolicyJudgementInput = builder.inputType('PolicyJudgementInput', {
  description: 'What you say to a proposal. Since 0.1.',
  fields: (t) => ({
    proposalId: t.field({ type: 'BigInt', required: true, description: 'Its number.' }),
    hash: t.string({
      required: true,
      description: 'Of the document you looked at, as `PolicyProposal.hash` showed it.',
    }),
    reason: t.string({ required: true, description: 'What you looked at; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const union = (name: string) => ({
  types: [PolicyChangeRefusal],
  union: { name, description: 'The proposal, or why it was refused. Scope: `read`. Since 0.1.' },
});

builder.mutationFields((t) => ({
  proposePolicy: t.field({
    type: PolicyPayloadRef,
    description:
      'Proposes another policy. It changes nothing before as many other people approve it as the policy in force demands, and its delay has passed. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: { $all: { operate: true, read: true } },
    args: { input: t.arg({ type: ProposePolicyInput, required: true, description: 'What is to hold instead.' }) },
    errors: union('ProposePolicyResult'),
    resolve: async (_root, { input }, context) => {
      const { document, reason } = input;
      const id = await context.policyChanges.propose({ document, why: reason, by: context.principal.name });
      return await payloadOf(context, id);
    },
  }),
  approvePolicy: t.field({
    type: PolicyPayloadRef,
    description:
      'Says yes to a proposed policy; never by who proposed it, and once per person. The last yes that is needed enacts it: it holds after its delay. Harmless when repeated. Scopes: `approve` and `read`. Since 0.1.',
    authScopes: { $all: { approve: true, read: true } },
    args: { input: t.arg({ type: PolicyJudgementInput, required: true, description: 'To what.' }) },
    errors: union('ApprovePolicyResult'),
    resolve: async (_root, { input }, context) => {
      const { proposalId, hash, reason } = input;
      await context.policyChanges.approve({ proposalId, hash, why: reason, by: context.principal.name });
      return await payloadOf(context, proposalId);
    },
  }),
  refusePolicy: t.field({
    type: PolicyPayloadRef,
    description:
      'Says no to a proposed policy, which ends it, whatever others said. Scopes: `approve` and `read`. Since 0.1.',
    authScopes: { $all: { approve: true, read: true } },
    args: { input: t.arg({ type: PolicyJudgementInput, required: true, description: 'To what.' }) },
    errors: union('RefusePolicyResult'),
    resolve: async (_root, { input }, context) => {
      const { proposalId, hash, reason } = input;
      await context.policyChanges.refuse({ proposalId, hash, why: reason, by: context.principal.name });
      return await payloadOf(context, proposalId);
    },
  }),
}));

async function payloadOf({ db, clock }: ApiContext, id: bigint): Promise<PolicyPayload> {
  const proposal = await readPolicyProposal(db, id, clock.nowMicros());
  assert(proposal !== null, 'A proposal that was just decided about is not there.', { id });
  return { proposal };
}
