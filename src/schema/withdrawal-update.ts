/** Following withdrawals: `withdrawalUpdated` for one, `withdrawals` for all. */
import { AssertionError } from '../env/errors.ts';
import { followWithdrawal, followWithdrawals, type WithdrawalUpdate } from '../read/withdrawal-feed.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import { apiError, cursorErrorOf } from './api-error.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { WithdrawalRef, withdrawalIdOf } from './withdrawal.ts';
import { feedFilterOf, statesOf } from './withdrawal-filter.ts';
import { WithdrawalStateEnum } from './withdrawal-state.ts';

export const WithdrawalUpdateRef = builder.objectRef<WithdrawalUpdate>('WithdrawalUpdate').implement({
  description:
    'A state that a withdrawal came into. Its own fields are facts as recorded and never change; `withdrawal` is read when delivered and may be further on. Scopes: `subscribe` and `read`. Since 0.1.',
  authScopes: { $all: { subscribe: true, read: true } },
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Store it with what you did about the update, and resume `after` it. Scope: `read`. Since 0.1.',
    }),
    eventId: t.exposeString('eventId', {
      nullable: true,
      description:
        'The same for the same event, delivered again: deduplicate by it. Null: the state found when the subscription began. Scope: `read`. Since 0.1.',
    }),
    withdrawalId: t.exposeString('withdrawalId', { description: 'Whose, `wd_…`. Scope: `read`. Since 0.1.' }),
    state: t.expose('state', {
      type: WithdrawalStateEnum,
      description: 'The state it came into. Scope: `read`. Since 0.1.',
    }),
    isFinal: t.exposeBoolean('isFinal', {
      description: 'True: no further update comes. Scope: `read`. Since 0.1.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    failureCode: t.exposeString('failureCode', {
      nullable: true,
      description: 'Why it was not paid, for programs; null: it was not refused. Scope: `read`. Since 0.1.',
    }),
    transferId: t.exposeString('transferId', {
      nullable: true,
      description: 'Id of its transfer on the ledger, `tr_…`; null: none was seen. Scope: `read`. Since 0.1.',
    }),
    updateId: t.exposeString('updateId', {
      nullable: true,
      description: 'Id of the ledger’s update that showed it; null: none did. Scope: `read`. Since 0.1.',
    }),
    withdrawal: t.loadable({
      type: WithdrawalRef,
      description: 'The withdrawal as it is now. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) =>
        (await readWithdrawals(db, ids)).map(
          (withdrawal) => withdrawal ?? new AssertionError('An event tells of a withdrawal that is not there.'),
        ),
      loaderOptions: { cache: false },
      resolve: ({ withdrawalId }) => withdrawalId,
    }),
  }),
});

builder.subscriptionField('withdrawalUpdated', (t) =>
  t.field({
    type: WithdrawalUpdateRef,
    description:
      'One withdrawal, by its id or by your own key of the request: its present state at once, then every change, at least once and in order. Completes after a final state, because nothing more will ever come of it; any other end is a cut connection: resume after the last cursor, and it completes at once where that was the end. `WITHDRAWAL_UNKNOWN` means that there is no such withdrawal, `WITHDRAWAL_NOT_NAMED` that neither or both were given. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: {
      withdrawalId: t.arg.string({ description: '`wd_…`, as `createWithdrawal` gave it.' }),
      idempotencyKey: t.arg.string({ description: 'Instead of the id: your own key of the request.' }),
      after: t.arg({
        type: 'Cursor',
        description: 'The last cursor seen: only changes after it. Null: the present state first.',
      }),
    },
    subscribe: async (_root, { after, ...name }, services: ApiContext) => {
      const id = await withdrawalIdOf(services.db, services.principal, name);
      const updates =
        id === null
          ? null
          : await followWithdrawal(services, id, after ?? null).catch((error: unknown) => {
              throw cursorErrorOf(error);
            });
      if (updates === null) throw apiError('WITHDRAWAL_UNKNOWN', 'There is no such withdrawal.');
      return updates;
    },
    resolve: (update: WithdrawalUpdate) => update,
  }),
);

const WithdrawalFeedFilterInput = builder.inputType('WithdrawalFeedFilter', {
  description: 'Which changes of withdrawals are told: all that is given holds together. Since 0.1.',
  fields: (t) => ({
    states: t.field({ type: [WithdrawalStateEnum], description: 'Into one of these states. Null: into any.' }),
    isFinal: t.boolean({ description: 'True: only ends. False: only changes that leave it open. Null: both.' }),
    account: t.string({ description: 'From this customer’s account. Null: from any.' }),
    treasury: t.id({ description: 'Paid by this `TreasuryParty`, by its global id. Null: by any.' }),
  }),
});

builder.subscriptionField('withdrawals', (t) =>
  t.field({
    type: WithdrawalUpdateRef,
    description:
      'Every change of every withdrawal: at least once, in order, first those after the cursor, then those that come. Ends only by an error or a cut connection: resume after the last cursor. `CURSOR_FROM_ANOTHER_LOG` means that the log was replaced: start again from one of the cursors in the error. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'The last cursor seen. Null: only what comes from now on; for everything from the beginning pass `Query.eventLog.startCursor`.',
      }),
      filter: t.arg({ type: WithdrawalFeedFilterInput, description: 'Only these changes. Null: all.' }),
      states: t.arg({
        type: [WithdrawalStateEnum],
        description: 'Only changes into one of these states. Null: into any.',
        deprecationReason: 'Use `filter`.',
      }),
      isFinal: t.arg.boolean({
        description: 'True: only ends. False: only changes that leave it open. Null: both.',
        deprecationReason: 'Use `filter`.',
      }),
      account: t.arg.string({
        description: 'Only of withdrawals from this customer’s account. Null: of all.',
        deprecationReason: 'Use `filter`.',
      }),
      treasury: t.arg.id({
        description: 'Only of withdrawals that this `TreasuryParty` pays, by its global id. Null: of all.',
        deprecationReason: 'Use `filter`.',
      }),
    },
    subscribe: async (_root, { after, filter: given, ...apart }, { db, tail }: ApiContext) => {
      // Whoever still gives them one by one may give some in the filter.
      const wanted = { ...apart, ...withoutNulls(given ?? {}) };
      const filter = { ...feedFilterOf(wanted), states: statesOf(wanted) };
      try {
        const { position } = await tail.pointAfter(after ?? null);
        return followWithdrawals({ db, tail }, { after: position, filter });
      } catch (error) {
        throw cursorErrorOf(error);
      }
    },
    resolve: (update: WithdrawalUpdate) => update,
  }),
);

function withoutNulls<Given extends object>(given: Given): Partial<Given> {
  const entries = Object.entries(given).filter(([, value]) => value != null);
  return Object.fromEntries(entries) as Partial<Given>;
}
