/** The mutations of withdrawals: `createWithdrawal` and `cancelWithdrawal`. */
import type { Database } from '../db/connection.ts';
import { assert } from '../env/errors.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { readWithdrawals, type Withdrawal } from '../read/withdrawals.ts';
import type { WithdrawalRequest, Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { builder } from './builder.ts';
import { booksRefusalOf, CustomerBooksBehindError, CustomerFundsError } from './post-transfer-refusal.ts';
import { WithdrawalRef, withdrawalIdOf } from './withdrawal.ts';
import {
  IdempotencyKeyReusedError,
  WithdrawalInputError,
  WithdrawalNotCancellableError,
  WithdrawalsOffError,
  withdrawalRefusalOf,
} from './withdrawal-refusal.ts';
import { restoringErrorOf, WithdrawalsRestoringError } from './withdrawal-restored.ts';

type CreateWithdrawalPayload = { readonly withdrawal: Withdrawal; readonly isReplayed: boolean };

const CreateWithdrawalPayloadRef = builder.objectRef<CreateWithdrawalPayload>('CreateWithdrawalPayload').implement({
  description: 'The withdrawal is stored and the customer debited. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  fields: (t) => ({
    withdrawal: t.field({
      type: WithdrawalRef,
      description: 'As it stands now; follow it with `withdrawalUpdated`. Scope: `withdrawals`. Since 0.1.',
      resolve: ({ withdrawal }) => withdrawal,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description: 'True: it was requested before, and this call changed nothing. Scope: `withdrawals`. Since 0.1.',
    }),
  }),
});

const CreateWithdrawalInput = builder.inputType('CreateWithdrawalInput', {
  description: 'Who is to be paid what, by whom, for whom. Since 0.1.',
  fields: (t) => ({
    idempotencyKey: t.string({
      required: true,
      description:
        'Your own name for this request, 1 to 255 bytes. The same key with the same input is the same withdrawal, for ever; so repeat a call whose answer you lost.',
    }),
    account: t.string({
      required: true,
      description: 'The exchange’s own name for the customer’s account that is debited, 1 to 255 bytes.',
    }),
    treasuryParty: t.string({
      description:
        'Party id of the treasury that pays. Null: the fullest that has enough; a repetition of the request meets what the first one chose.',
    }),
    instrumentAdmin: t.string({ required: true, description: 'Party id of the instrument’s admin.' }),
    instrumentId: t.string({ required: true, description: 'The id the admin gave it, e.g. `Amulet`.' }),
    receiver: t.string({ required: true, description: 'Party id of who is paid, whole.' }),
    amount: t.field({ type: 'Decimal', required: true, description: 'In units of the instrument, above 0.' }),
    memo: t.string({
      description:
        'What the receiver asked for as reason, 1 to 255 bytes without control characters. Null: the withdrawal’s id travels instead.',
    }),
    deadline: t.field({
      type: 'RecordTime',
      description:
        'The last record time at which it may be paid. After it what is not in flight fails with `DEADLINE_PASSED`, by the ledger’s clock. Null: it waits as long as it takes.',
    }),
  }),
});

builder.mutationField('createWithdrawal', (t) =>
  t.field({
    type: CreateWithdrawalPayloadRef,
    description:
      'Asks for a payment on the ledger. Stored, debited and announced in one transaction before it answers; paid later, and at most once. Idempotency keys are the principal’s own. Scopes: `withdrawals` and `read`. Since 0.1.',
    // Both at the door: refused at a field below, it would be stored and its caller would not know.
    authScopes: { $all: { withdrawals: true, read: true } },
    args: {
      input: t.arg({ type: CreateWithdrawalInput, required: true, description: 'Who is to be paid what.' }),
    },
    errors: {
      types: [
        CustomerBooksBehindError,
        CustomerFundsError,
        IdempotencyKeyReusedError,
        WithdrawalInputError,
        WithdrawalsOffError,
        WithdrawalsRestoringError,
      ],
      union: {
        name: 'CreateWithdrawalResult',
        description: 'The withdrawal, or why it was refused. Since 0.1.',
      },
    },
    resolve: async (_root, { input }, { db, withdrawals, principal }) => {
      const {
        idempotencyKey,
        account,
        treasuryParty,
        instrumentAdmin,
        instrumentId,
        receiver,
        amount,
        memo,
        deadline,
      } = input;
      const service = demandWithdrawals(withdrawals);
      const named = treasuryParty ?? null;
      demandStorable({ idempotencyKey, account, treasuryParty: named, instrumentAdmin, instrumentId, memo });
      const { id, isReplayed } = await createOrRefuse(service, {
        client: principal.name,
        idempotencyKey,
        account,
        treasuryParty: named,
        instrument: { admin: instrumentAdmin, id: instrumentId },
        receiver,
        amount,
        memo: memo ?? null,
        deadline: deadline ?? null,
      });
      return { withdrawal: await readOwn(db, id), isReplayed };
    },
  }),
);

type CancelWithdrawalPayload = { readonly withdrawal: Withdrawal };

const CancelWithdrawalPayloadRef = builder.objectRef<CancelWithdrawalPayload>('CancelWithdrawalPayload').implement({
  description:
    'The wish is stored; whether it came in time only the withdrawal tells. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  fields: (t) => ({
    withdrawal: t.field({
      type: WithdrawalRef,
      description:
        '`CANCELLED`, or with `isCancelRequested` while it may still be paid. Scope: `withdrawals`. Since 0.1.',
      resolve: ({ withdrawal }) => withdrawal,
    }),
  }),
});

const CancelWithdrawalInput = builder.inputType('CancelWithdrawalInput', {
  description: 'Which withdrawal is not to be paid any more. Since 0.1.',
  fields: (t) => ({
    withdrawalId: t.string({ description: '`wd_…`, one that you asked for.' }),
    idempotencyKey: t.string({ description: 'Instead of the id: your own key of the request.' }),
  }),
});

builder.mutationField('cancelWithdrawal', (t) =>
  t.field({
    type: CancelWithdrawalPayloadRef,
    description:
      'Asks for the end of a withdrawal of your own. At once where nothing is in flight; else when the open attempt is certainly dead, and not at all where it is paid first. Harmless when repeated. `WITHDRAWAL_NOT_NAMED`: neither or both of id and key are given. Scopes: `withdrawals` and `read`. Since 0.1.',
    authScopes: { $all: { withdrawals: true, read: true } },
    args: {
      input: t.arg({ type: CancelWithdrawalInput, required: true, description: 'Which one.' }),
    },
    errors: {
      types: [WithdrawalNotCancellableError, WithdrawalsOffError, WithdrawalsRestoringError],
      union: {
        name: 'CancelWithdrawalResult',
        description: 'The withdrawal, or why there is nothing to cancel. Since 0.1.',
      },
    },
    resolve: async (_root, { input }, { db, withdrawals, principal }) => {
      const service = demandWithdrawals(withdrawals);
      const withdrawalId = await withdrawalIdOf(db, principal, input);
      if (withdrawalId === null) throw new WithdrawalNotCancellableError(null);
      const isTaken = await cancelOrRefuse(service, principal.name, withdrawalId);
      const [withdrawal = null] = await readWithdrawals(db, [withdrawalId]);
      const own = withdrawal?.client === principal.name ? withdrawal : null;
      // One that is cancelled already is what was wanted.
      if (own === null || (!isTaken && own.state !== 'CANCELLED')) {
        throw new WithdrawalNotCancellableError(own?.state ?? null);
      }
      return { withdrawal: own };
    },
  }),
);

function demandWithdrawals(withdrawals: Withdrawals | null): Withdrawals {
  if (withdrawals === null) throw new WithdrawalsOffError();
  return withdrawals;
}

type Texts = {
  readonly idempotencyKey: string;
  readonly account: string;
  readonly treasuryParty: string | null;
  readonly instrumentAdmin: string;
  readonly instrumentId: string;
  readonly memo: string | null | undefined;
};

/** What PostgreSQL cannot hold as it is (U+0000, half a surrogate pair) is refused before it is looked for: two such keys could be stored as one. */
function demandStorable({ idempotencyKey, account, treasuryParty, instrumentAdmin, instrumentId, memo }: Texts): void {
  if (!isStorableText(idempotencyKey)) {
    throw new WithdrawalInputError(
      'IDEMPOTENCY_KEY_INVALID',
      'The idempotency key has characters that cannot be stored.',
    );
  }
  if (!isStorableText(account)) {
    throw new WithdrawalInputError('ACCOUNT_INVALID', 'The account has characters that cannot be stored.');
  }
  if (!isStorableText(memo ?? '')) {
    throw new WithdrawalInputError('MEMO_INVALID', 'The memo has characters that cannot be stored.');
  }
  if (!isStorableText(treasuryParty ?? '')) {
    throw new WithdrawalInputError('TREASURY_UNKNOWN', 'No such treasury party is served here.');
  }
  if (!isStorableText(instrumentAdmin) || !isStorableText(instrumentId)) {
    throw new WithdrawalInputError('INSTRUMENT_NOT_ACCEPTED', 'The instrument is not one we pay out.');
  }
}

async function cancelOrRefuse(service: Withdrawals, client: string, withdrawalId: string): Promise<boolean> {
  try {
    return await service.cancel(client, withdrawalId);
  } catch (error) {
    throw restoringErrorOf(error);
  }
}

async function createOrRefuse(service: Withdrawals, request: WithdrawalRequest) {
  try {
    return await service.create(request);
  } catch (error) {
    throw booksRefusalOf(restoringErrorOf(withdrawalRefusalOf(error)));
  }
}

async function readOwn(db: Database, id: string): Promise<Withdrawal> {
  const [withdrawal = null] = await readWithdrawals(db, [id]);
  assert(withdrawal !== null, 'A withdrawal that was just stored is not there.', { id });
  return withdrawal;
}
