/** The desk: `DeskCase`, `DeskDecision` and their queries. What people decide is in desk-mutations.ts. */
import {
  type DeskCase,
  type DeskDecision,
  keyOfDeskCase,
  keyOfDeskDecision,
  listDeskCases,
  listDeskDecisions,
  readDeskCases,
  readDeskDecisionsOf,
} from '../read/desk-cases.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { readScreenings } from '../read/screenings.ts';
import { readTransfers } from '../read/transfers.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef } from './instrument.ts';
import { ScreeningRef } from './screening.ts';
import { TransferRef } from './transfer-ref.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';
import { WithdrawalRef } from './withdrawal.ts';

const DeskCaseStateEnum = builder.enumType('DeskCaseState', {
  description: 'Where a case stands. Since 0.1.',
  values: {
    OFFERED: { description: 'An offer: nothing has come. It ends by itself, or is assigned.' },
    OPEN: { description: 'Money is here and is nobody’s, or was denied: somebody has to decide.' },
    ASSIGNED: {
      description: 'It is a customer’s: credited, held for a verdict, or credited when the offer is accepted.',
    },
    REFUNDED: { description: 'It goes back to its sender; `withdrawal` says how far that is.' },
    ENDED: { description: 'The offer ended without reaching us.' },
  } as const,
});

const DeskReasonEnum = builder.enumType('DeskReason', {
  description: 'Why a case is one. Since 0.1.',
  values: {
    NO_MEMO: { description: 'It had no memo.' },
    UNKNOWN_MEMO: { description: 'Its memo stood for no account when it came.' },
    MEMO_DISABLED: { description: 'Its memo stands for `namedAccount` and was disabled.' },
    INSTRUMENT_NOT_ACCEPTED: { description: 'Deposits of its instrument are not credited.' },
    DENIED: { description: 'The screening service denied it; `screening` names its case.' },
  } as const,
});

const DeskDecisionKindEnum = builder.enumType('DeskDecisionKind', {
  description: 'What was decided. Since 0.1.',
  values: {
    ASSIGN: { description: 'It is a customer’s.' },
    REFUND: { description: 'It goes back to its sender.' },
    REJECT: { description: 'The offer is rejected.' },
  } as const,
});

const DeskDecisionStateEnum = builder.enumType('DeskDecisionState', {
  description: 'Where a decision stands. Since 0.1.',
  values: {
    AWAITING_APPROVAL: { description: 'A second person has to agree.' },
    DONE: { description: 'It was done.' },
    REFUSED: { description: 'Somebody said no; nothing was done.' },
  } as const,
});

export const DeskDecisionRef = builder.objectRef<DeskDecision>('DeskDecision').implement({
  description: 'Who decided what about a case, who agreed, and why. Never deleted. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  fields: (t) => ({
    decisionId: t.expose('id', { type: 'BigInt', description: 'Its number. Scope: `desk`. Since 0.1.' }),
    transferId: t.exposeString('transferId', { description: 'Of which case. Scope: `desk`. Since 0.1.' }),
    kind: t.expose('kind', { type: DeskDecisionKindEnum, description: 'What. Scope: `desk`. Since 0.1.' }),
    state: t.expose('state', {
      type: DeskDecisionStateEnum,
      description: 'Where it stands. Scope: `desk`. Since 0.1.',
    }),
    account: t.field({
      type: AccountRef,
      nullable: true,
      description: 'Whose it becomes; null: nobody’s. Scope: `desk`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    needsApproval: t.exposeBoolean('needsApproval', {
      description: 'Whether two people had to decide. Scope: `desk`. Since 0.1.',
    }),
    reason: t.exposeString('reason', { description: 'Of who asked for it. Scope: `desk`. Since 0.1.' }),
    requestedBy: t.exposeString('requestedBy', { description: 'Name of that principal. Scope: `desk`. Since 0.1.' }),
    requestedAt: t.expose('requestedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `desk`. Since 0.1.',
    }),
    decidedBy: t.exposeString('decidedBy', {
      nullable: true,
      description: 'Who approved or refused it, or did it alone; null: nobody yet. Scope: `desk`. Since 0.1.',
    }),
    decidedAt: t.expose('decidedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When, by our clock; null: it waits. Scope: `desk`. Since 0.1.',
    }),
    decidedReason: t.exposeString('decidedReason', {
      nullable: true,
      description: 'What the second person noted; null: there was none. Scope: `desk`. Since 0.1.',
    }),
    withdrawalId: t.exposeString('withdrawalId', {
      nullable: true,
      description: '`wd_…` that a refund made; null: none. Scope: `desk`. Since 0.1.',
    }),
  }),
});

export const DeskCaseRef = builder.objectRef<DeskCase>('DeskCase');

builder.node(DeskCaseRef, {
  description:
    'A deposit or an offer that could be credited to nobody, or was denied. Its facts are those of the update that brought it. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  id: { resolve: ({ transferId }) => transferId },
  loadManyWithoutCache: async (ids, { db }) => await readDeskCases(db, ids),
  fields: (t) => ({
    transferId: t.exposeString('transferId', { description: '`tr_…`, one case each. Scope: `desk`. Since 0.1.' }),
    state: t.expose('state', { type: DeskCaseStateEnum, description: 'Where it stands. Scope: `desk`. Since 0.1.' }),
    why: t.expose('why', { type: DeskReasonEnum, description: 'Why it is a case. Scope: `desk`. Since 0.1.' }),
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who received it. Scope: `desk`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `desk`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'What came, or is offered, in units of the instrument. Scope: `desk`. Since 0.1.',
    }),
    memo: t.exposeString('memo', {
      nullable: true,
      description: 'As the sender gave it: opaque text of a stranger. Null: none. Scope: `desk`. Since 0.1.',
    }),
    sender: t.exposeString('sender', {
      nullable: true,
      description: 'Party id of the sender; null: not seen. Scope: `desk`. Since 0.1.',
    }),
    updateId: t.exposeString('updateId', { description: 'Of the update that brought it. Scope: `desk`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `desk`. Since 0.1.',
    }),
    namedAccount: t.field({
      type: AccountRef,
      nullable: true,
      description:
        'Whose memo it was, where that is known and was not enough; null: unknown. Scope: `desk`. Since 0.1.',
      resolve: ({ namedAccount }) => namedAccount,
    }),
    account: t.field({
      type: AccountRef,
      nullable: true,
      description: 'Whose it became; null: nobody’s. Scope: `desk`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    decidedBy: t.exposeString('decidedBy', {
      nullable: true,
      description:
        'Who said whose it is: a principal, or `memo` for an offer whose memo was registered later. Scope: `desk`. Since 0.1.',
    }),
    transfer: t.loadable({
      type: TransferRef,
      nullable: true,
      description:
        'Its transfer as it is now; null only while derived tables are being rebuilt. Scope: `desk`. Since 0.1.',
      load: async (ids: string[], { db }) => await readTransfers(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ transferId }) => transferId,
    }),
    withdrawal: t.loadable({
      type: WithdrawalRef,
      nullable: true,
      description: 'What pays it back; null: nothing does. Scope: `desk`. Since 0.1.',
      load: async (ids: string[], { db }) => await readWithdrawals(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ withdrawalId }) => withdrawalId,
    }),
    screening: t.loadable({
      type: ScreeningRef,
      nullable: true,
      description: 'What the screening service was asked about it; null: nothing. Scope: `desk`. Since 0.1.',
      load: async (ids: string[], { db }) => await readScreenings(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ transferId }) => transferId,
    }),
    decisions: t.loadableGroup({
      type: DeskDecisionRef,
      description: 'What was decided about it, oldest first. Scope: `desk`. Since 0.1.',
      load: async (ids: string[], { db }) => await readDeskDecisionsOf(db, ids),
      group: ({ transferId }) => transferId,
      loaderOptions: { cache: false },
      resolve: ({ transferId }) => transferId,
    }),
  }),
});

builder.queryFields((t) => ({
  deskCases: t.connection(
    {
      type: DeskCaseRef,
      description: 'Deposits and offers that name nobody, newest first. Scope: `desk`. Since 0.1.',
      authScopes: { desk: true },
      args: {
        states: t.arg({ type: [DeskCaseStateEnum], description: 'Only in one of these; null: in any.' }),
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        sender: t.arg.string({ description: 'Only from this party, whole.' }),
        memo: t.arg.string({
          description:
            'Only whose memo begins so, whatever its upper and lower case and the blanks around it; 64 characters count.',
        }),
      },
      resolve: async (_root, { states, treasury, sender, memo, ...page }, { db }) => {
        const filter = {
          states: states ?? null,
          treasury: treasuryOfId(treasury),
          sender: sender ?? null,
          memoStart: memo ?? null,
        };
        const isAskable = isStorableText(sender ?? '') && isStorableText(memo ?? '');
        return await connectionOf(
          { name: 'deskCases', key: 'it' },
          page,
          async (request) => (isAskable ? await listDeskCases(db, filter, request) : NO_ROWS),
          keyOfDeskCase,
        );
      },
    },
    { name: 'DeskCaseConnection', authScopes: { desk: true } },
    { name: 'DeskCaseEdge', authScopes: { desk: true } },
  ),
  deskCase: t.field({
    type: DeskCaseRef,
    nullable: true,
    description: 'The case of a transfer; null where there is none. Scope: `desk`. Since 0.1.',
    authScopes: { desk: true },
    args: { transferId: t.arg.string({ required: true, description: '`tr_…`.' }) },
    resolve: async (_root, { transferId }, { db }) =>
      isStorableText(transferId) ? ((await readDeskCases(db, [transferId]))[0] ?? null) : null,
  }),
  deskDecisions: t.connection(
    {
      type: DeskDecisionRef,
      description: 'Decisions about cases, newest first. Scope: `desk`. Since 0.1.',
      authScopes: { desk: true },
      args: { awaitingApproval: t.arg.boolean({ description: 'True: only those that wait for a second person.' }) },
      resolve: async (_root, { awaitingApproval, ...page }, { db }) =>
        await connectionOf(
          { name: 'deskDecisions', key: 'i' },
          page,
          async (request) => await listDeskDecisions(db, { isAwaiting: awaitingApproval ?? false }, request),
          keyOfDeskDecision,
        ),
    },
    { name: 'DeskDecisionConnection', authScopes: { desk: true } },
    { name: 'DeskDecisionEdge', authScopes: { desk: true } },
  ),
}));
