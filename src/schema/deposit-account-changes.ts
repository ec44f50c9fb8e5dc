/** How a deposit account is treated: `rotateDepositAccount`, `disableDepositAccount`, `enableDepositAccount`. */
import { DepositAccountRefusal } from '../deposits/deposit-account-changes.ts';
import { type DepositAccount, DepositInputError, MemoTakenError } from '../deposits/deposit-accounts.ts';
import { builder } from './builder.ts';
import { DepositAccountRef } from './deposit-account-ref.ts';
import { ErrorInterface } from './error-interface.ts';

builder.objectType(DepositAccountRefusal, {
  name: 'DepositAccountRefusal',
  description:
    'It cannot be treated so. Codes `DEPOSIT_ACCOUNT_UNKNOWN`, `DEPOSIT_ACCOUNT_ROTATED`, `DEPOSIT_ACCOUNT_DISABLED`, `REPLACEMENT_NOT_ACTIVE`. Scope: `deposits`. Since 0.1.',
  authScopes: { deposits: true },
  interfaces: [ErrorInterface],
});

type DepositAccountPayload = { readonly depositAccount: DepositAccount; readonly isReplayed: boolean };

const DepositAccountPayloadRef = builder.objectRef<DepositAccountPayload>('DepositAccountPayload').implement({
  description: 'How it is treated from now on. Scope: `deposits`. Since 0.1.',
  authScopes: { deposits: true },
  fields: (t) => ({
    depositAccount: t.field({
      type: DepositAccountRef,
      description: 'The one that was changed; of a rotation the new one. Scopes: `deposits` and `read`. Since 0.1.',
      resolve: ({ depositAccount }) => depositAccount,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description:
        'True: another one had taken its place before, and this call changed nothing. Scope: `deposits`. Since 0.1.',
    }),
  }),
});

const RotateDepositAccountInput = builder.inputType('RotateDepositAccountInput', {
  description: 'Which memo gets a successor. Since 0.1.',
  fields: (t) => ({
    depositAccountId: t.string({ required: true, description: '`da_…`.' }),
    memo: t.string({ description: 'The new memo, as for `createDepositAccount`. Null: a new random one.' }),
  }),
});

const union = (name: string) => ({
  name,
  description: 'The deposit account, or why it was refused. Scope: `deposits`. Since 0.1.',
});

// Both scopes: whoever may not read the answer would have changed something and been told that it was forbidden.
const BOTH = { $all: { deposits: true, read: true } } as const;

builder.mutationFields((t) => ({
  rotateDepositAccount: t.field({
    type: DepositAccountPayloadRef,
    description:
      'Gives the customer’s account another memo in the place of this one, whose deposits are credited all the same. Repeated, it finds the one that took its place. Scopes: `deposits` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: RotateDepositAccountInput, required: true, description: 'Which one.' }) },
    errors: {
      types: [DepositAccountRefusal, MemoTakenError, DepositInputError],
      union: union('RotateDepositAccountResult'),
    },
    resolve: async (_root, { input }, { depositAccountChanges, principal }) =>
      await depositAccountChanges.rotate({
        id: input.depositAccountId,
        memo: input.memo ?? null,
        by: principal.name,
      }),
  }),
  disableDepositAccount: t.field({
    type: DepositAccountPayloadRef,
    description:
      'Has deposits with this memo wait at the desk from now on. The memo stays the account’s: nobody else gets it. Harmless when repeated. Scopes: `deposits` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { depositAccountId: t.arg.string({ required: true, description: '`da_…`.' }) },
    errors: { types: [DepositAccountRefusal], union: union('DisableDepositAccountResult') },
    resolve: async (_root, { depositAccountId }, { depositAccountChanges, principal }) => ({
      depositAccount: await depositAccountChanges.disable({ id: depositAccountId, by: principal.name }),
      isReplayed: false,
    }),
  }),
  enableDepositAccount: t.field({
    type: DepositAccountPayloadRef,
    description:
      'Has deposits with this memo credited again; what waits at the desk stays there. Harmless when repeated. Scopes: `deposits` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { depositAccountId: t.arg.string({ required: true, description: '`da_…`.' }) },
    errors: { types: [DepositAccountRefusal], union: union('EnableDepositAccountResult') },
    resolve: async (_root, { depositAccountId }, { depositAccountChanges, principal }) => ({
      depositAccount: await depositAccountChanges.enable({ id: depositAccountId, by: principal.name }),
      isReplayed: false,
    }),
  }),
}));
