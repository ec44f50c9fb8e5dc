/** What people decide at the desk: `assignDeposit`, `refundDeposit`, and what a second person says to it. */
import type { Database } from '../db/connection.ts';
import type { DeskResult } from '../deposits/desk.ts';
import { assert } from '../env/errors.ts';
import { type DeskCase, type DeskDecision, readDeskCases, readDeskDecisions } from '../read/desk-cases.ts';
import { builder } from './builder.ts';
import { DeskCaseRef, DeskDecisionRef } from './desk.ts';
import { DeskRefusalError } from './desk-refusal.ts';

type DeskPayload = { readonly deskCase: DeskCase; readonly decision: DeskDecision; readonly isReplayed: boolean };

const DeskPayloadRef = builder.objectRef<DeskPayload>('DeskPayload').implement({
  description: 'The decision is kept, and done unless it waits for a second person. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  fields: (t) => ({
    deskCase: t.field({
      type: DeskCaseRef,
      description: 'As it stands now. Scope: `desk`. Since 0.1.',
      resolve: ({ deskCase }) => deskCase,
    }),
    decision: t.field({
      type: DeskDecisionRef,
      description: 'With `AWAITING_APPROVAL`, have somebody else call `approveDeskDecision`. Scope: `desk`. Since 0.1.',
      resolve: ({ decision }) => decision,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description: 'True: the same was decided before, and this call changed nothing. Scope: `desk`. Since 0.1.',
    }),
  }),
});

const AssignDepositInput = builder.inputType('AssignDepositInput', {
  description: 'Whose a deposit or an offer is. Since 0.1.',
  fields: (t) => ({
    transferId: t.string({ required: true, description: '`tr_…` of the case.' }),
    account: t.string({
      required: true,
      description: 'The exchange’s own name for the customer’s account, which exists.',
    }),
    reason: t.string({ required: true, description: 'Why, for those who ask later; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const RefundDepositInput = builder.inputType('RefundDepositInput', {
  description: 'Which deposit goes back to its sender. Since 0.1.',
  fields: (t) => ({
    transferId: t.string({ required: true, description: '`tr_…` of the case.' }),
    reason: t.string({ required: true, description: 'Why, for those who ask later; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const DeskJudgementInput = builder.inputType('DeskJudgementInput', {
  description: 'What a second person says to a decision. Since 0.1.',
  fields: (t) => ({
    decisionId: t.field({ type: 'BigInt', required: true, description: 'Its number.' }),
    reason: t.string({ required: true, description: 'What was looked at; 1 to 1000 bytes, kept for ever.' }),
  }),
});

// Both scopes: whoever may not read the answer would have decided something and been told that it was forbidden.
const BOTH = { $all: { desk: true, read: true } } as const;

const REFUSALS = { types: [DeskRefusalError] };
const union = (name: string) => ({
  ...REFUSALS,
  union: { name, description: 'The case and the decision, or why it was refused. Scope: `desk`. Since 0.1.' },
});

builder.mutationFields((t) => ({
  assignDeposit: t.field({
    type: DeskPayloadRef,
    description:
      'Makes a deposit of the desk a customer’s, or an offer once it is accepted. Credited once, however often it is called; above the limit of one person it waits for `approveDeskDecision`. Scopes: `desk` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: AssignDepositInput, required: true, description: 'Whose.' }) },
    errors: union('AssignDepositResult'),
    resolve: async (_root, { input }, { db, desk, principal }) =>
      await payloadOf(db, await desk.assign({ ...input, by: principal.name })),
  }),
  refundDeposit: t.field({
    type: DeskPayloadRef,
    description:
      'Sends a deposit of the desk back to its sender by a withdrawal, once; again only after that has ended unpaid. Above the limit of one person it waits for `approveDeskDecision`. Scopes: `desk` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: RefundDepositInput, required: true, description: 'Which one.' }) },
    errors: union('RefundDepositResult'),
    resolve: async (_root, { input }, { db, desk, principal }) =>
      await payloadOf(db, await desk.refund({ ...input, by: principal.name })),
  }),
  approveDeskDecision: t.field({
    type: DeskPayloadRef,
    description: 'Agrees to a decision of somebody else, which is done with it. Scopes: `desk` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: DeskJudgementInput, required: true, description: 'Which one.' }) },
    errors: union('ApproveDeskDecisionResult'),
    resolve: async (_root, { input }, { db, desk, principal }) =>
      await payloadOf(db, await desk.approve({ ...input, by: principal.name })),
  }),
  refuseDeskDecision: t.field({
    type: DeskPayloadRef,
    description:
      'Says no to a decision that waits, also to one’s own: the case is open again. Scopes: `desk` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: DeskJudgementInput, required: true, description: 'Which one.' }) },
    errors: union('RefuseDeskDecisionResult'),
    resolve: async (_root, { input }, { db, desk, principal }) =>
      await payloadOf(db, await desk.refuse({ ...input, by: principal.name })),
  }),
}));

async function payloadOf(db: Database, { decisionId, isReplayed }: DeskResult): Promise<DeskPayload> {
  const [decision = null] = await readDeskDecisions(db, [decisionId]);
  assert(decision !== null, 'A decision that was just made is not there.', { decisionId });
  const [deskCase = null] = await readDeskCases(db, [decision.transferId]);
  assert(deskCase !== null, 'A case that was just decided is not there.', { transferId: decision.transferId });
  return { deskCase, decision, isReplayed };
}
