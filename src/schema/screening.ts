/** `Screening`, its query, and the mutation that has a question put again. */
import { isStorableText } from '../read/ledger-keys.ts';
import { keyOfScreening, listScreenings, readScreenings, type Screening } from '../read/screenings.ts';
import { readTransfers } from '../read/transfers.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { DeskRefusalError } from './desk-refusal.ts';
import { TransferRef } from './transfer-ref.ts';

const ScreeningStateEnum = builder.enumType('ScreeningState', {
  description: 'Where a question to the screening service stands. Since 0.1.',
  values: {
    WAITING: { description: 'It is asked, again and again, until there is an answer.' },
    PARKED: {
      description:
        'As many tries as are configured brought no answer, or what was allowed is not what the ledger shows. `screenAgain` has it asked again.',
    },
    ALLOWED: { description: 'Credited, or credited when the offer is accepted.' },
    DENIED: { description: 'Held until people at the desk decide; an offer is not accepted.' },
    ENDED: {
      description:
        'Nothing is to be judged any more: the offer ended without reaching us, or people decide about what came.',
    },
  } as const,
});

export const ScreeningRef = builder.objectRef<Screening>('Screening').implement({
  description:
    'What the screening service was asked about a deposit or an offer, and what it said. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  fields: (t) => ({
    transferId: t.exposeString('transferId', { description: 'About which transfer. Scope: `desk`. Since 0.1.' }),
    transfer: t.loadable({
      type: TransferRef,
      nullable: true,
      description: 'That transfer; null only while derived tables are being rebuilt. Scope: `desk`. Since 0.1.',
      load: async (ids: string[], { db }) => await readTransfers(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ transferId }) => transferId,
    }),
    state: t.expose('state', { type: ScreeningStateEnum, description: 'Where it stands. Scope: `desk`. Since 0.1.' }),
    account: t.field({
      type: AccountRef,
      description: 'For whom it is. Scope: `desk`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'What came, or is offered, in units of the instrument. Scope: `desk`. Since 0.1.',
    }),
    isHeld: t.exposeBoolean('isHeld', {
      description: 'Whether money came for it. False: an offer that nobody has accepted. Scope: `desk`. Since 0.1.',
    }),
    tries: t.exposeInt('tries', { description: 'In a row without an answer. Scope: `desk`. Since 0.1.' }),
    nextTryAt: t.expose('nextTryAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it is asked next, by our clock; null: not by itself. Scope: `desk`. Since 0.1.',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description: 'Why the last try brought no answer; null: it did, or there was none. Scope: `desk`. Since 0.1.',
    }),
    caseId: t.exposeString('caseId', {
      nullable: true,
      description: 'The service’s own name for the case; null: it gave none. Scope: `desk`. Since 0.1.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'What the service said for people; null: nothing. Scope: `desk`. Since 0.1.',
    }),
    openedAt: t.expose('openedAt', {
      type: 'RecordTime',
      description: 'Since when it is a question, by our clock. Scope: `desk`. Since 0.1.',
    }),
    decidedAt: t.expose('decidedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it was answered, by our clock; null: it is not. Scope: `desk`. Since 0.1.',
    }),
  }),
});

builder.queryField('screenings', (t) =>
  t.connection(
    {
      type: ScreeningRef,
      description: 'Questions to the screening service, newest first. Scope: `desk`. Since 0.1.',
      authScopes: { desk: true },
      args: {
        states: t.arg({ type: [ScreeningStateEnum], description: 'Only in one of these; null: in any.' }),
      },
      resolve: async (_root, { states, ...page }, { db }) =>
        await connectionOf(
          { name: 'screenings', key: 'it' },
          page,
          async (request) => await listScreenings(db, states ?? null, request),
          keyOfScreening,
        ),
    },
    { name: 'ScreeningConnection', authScopes: { desk: true } },
    { name: 'ScreeningEdge', authScopes: { desk: true } },
  ),
);

builder.objectField(TransferRef, 'screening', (t) =>
  t.loadable({
    type: ScreeningRef,
    nullable: true,
    authScopes: { desk: true },
    description: 'What the screening service was asked about it; null: nothing. Scope: `desk`. Since 0.1.',
    load: async (ids: string[], { db }) => await readScreenings(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);

type ScreenAgainPayload = { readonly screening: Screening };

const ScreenAgainPayloadRef = builder.objectRef<ScreenAgainPayload>('ScreenAgainPayload').implement({
  description: 'It is asked again. Scope: `desk`. Since 0.1.',
  authScopes: { desk: true },
  fields: (t) => ({
    screening: t.field({
      type: ScreeningRef,
      description: 'As it stands now. Scope: `desk`. Since 0.1.',
      resolve: ({ screening }) => screening,
    }),
  }),
});

builder.mutationField('screenAgain', (t) =>
  t.field({
    type: ScreenAgainPayloadRef,
    description:
      'Has the screening service asked again at once about a deposit or offer it gave no answer for. Gives no verdict. Scopes: `desk` and `read`. Since 0.1.',
    // Both: whoever may not read the answer would have had it asked and been told that it was forbidden.
    authScopes: { $all: { desk: true, read: true } },
    args: {
      transferId: t.arg.string({ required: true, description: '`tr_…` of the deposit or offer.' }),
    },
    errors: {
      types: [DeskRefusalError],
      union: {
        name: 'ScreenAgainResult',
        description: 'The question, or why there is none. Scope: `desk`. Since 0.1.',
      },
    },
    resolve: async (_root, { transferId }, { db, screeningRequests, principal }) => {
      await screeningRequests.askAgain({ transferId, by: principal.name });
      const [screening = null] = isStorableText(transferId) ? await readScreenings(db, [transferId]) : [];
      if (screening === null) throw new DeskRefusalError('SCREENING_UNKNOWN');
      return { screening };
    },
  }),
);
