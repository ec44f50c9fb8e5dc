/** `StuckWithdrawal`: what should have ended by now, why it has not, and what to do. */
import { readStuckWithdrawals, STUCK_CODES, type StuckCode, type StuckWithdrawal } from '../read/stuck-withdrawals.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { WithdrawalRef } from './withdrawal.ts';
import { WithdrawalStateEnum } from './withdrawal-state.ts';

const StuckCodeEnum = builder.enumType('StuckWithdrawalCode', {
  description: 'Why a withdrawal is older than it should be. Since 0.1.',
  values: Object.fromEntries(
    Object.entries(STUCK_CODES).map(([code, advice]) => [code, { description: advice }]),
  ) as Record<StuckCode, { description: string }>,
});

const StuckWithdrawalRef = builder.objectRef<StuckWithdrawal>('StuckWithdrawal').implement({
  description:
    'A withdrawal that is older than it should be, by the ledger’s time where that tells, else by how long such a thing takes when all is well. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    withdrawal: t.loadable({
      type: WithdrawalRef,
      description: 'Which one. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) =>
        (await readWithdrawals(db, ids)).map((row) => row ?? new Error('It is gone.')),
      loaderOptions: { cache: false },
      resolve: ({ id }) => id,
    }),
    state: t.expose('state', { type: WithdrawalStateEnum, description: 'Where it is. Scope: `read`. Since 0.1.' }),
    since: t.expose('since', {
      type: 'RecordTime',
      description: 'Since when it is there, by our clock. Scope: `read`. Since 0.1.',
    }),
    code: t.expose('code', { type: StuckCodeEnum, description: 'Why, for programs. Scope: `read`. Since 0.1.' }),
    detail: t.exposeString('detail', {
      nullable: true,
      description: 'What is known beyond the code, for people: the last error, or the doubt. Scope: `read`. Since 0.1.',
    }),
    advice: t.exposeString('advice', { description: 'What to do, for people; may change. Scope: `read`. Since 0.1.' }),
  }),
});

const SHOWN_MAX = 200;

builder.queryField('stuckWithdrawals', (t) =>
  t.field({
    type: [StuckWithdrawalRef],
    description:
      'Withdrawals that are older than they should be, oldest first; empty when all is well. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { first: t.arg.int({ description: `Rows at most, 1–${SHOWN_MAX}; ${SHOWN_MAX} unless given.` }) },
    resolve: async (_root, { first }, { db, clock, recordTimeAheadMsMax }) => {
      const limit = first ?? SHOWN_MAX;
      if (limit < 1 || limit > SHOWN_MAX) {
        throw apiError('PAGE_ARGUMENTS_INVALID', `1 to ${SHOWN_MAX} rows.`, { pageSizeMax: SHOWN_MAX });
      }
      return [...(await readStuckWithdrawals(db, { nowMicros: clock.nowMicros(), recordTimeAheadMsMax, limit }))];
    },
  }),
);
