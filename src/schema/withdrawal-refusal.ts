/** The expected refusals of withdrawals: the service's codes, with advice for whoever reads them. */
import { PermanentError } from '../env/errors.ts';
import { WithdrawalRefusal, type WithdrawalRefusalCode } from '../withdrawals/withdrawal-requests.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';

type Advice = { readonly why: string; readonly fix: string };

/** Something of the input cannot be taken. */
export class WithdrawalInputError extends PermanentError {
  readonly field: string;
  readonly advice: Advice;
  constructor(code: Exclude<WithdrawalRefusalCode, 'IDEMPOTENCY_KEY_REUSED'>, message: string) {
    super(code, message);
    const { field, ...advice } = INPUT_ADVICE[code];
    this.field = field;
    this.advice = advice;
  }
}

/** The key stands for another request of the same principal. */
export class IdempotencyKeyReusedError extends PermanentError {
  readonly advice: Advice = {
    why: 'One key is one withdrawal for ever, or a retry could pay twice.',
    fix: 'Repeat the first request exactly to get its withdrawal, or make a new key for a new request.',
  };
  constructor() {
    super('IDEMPOTENCY_KEY_REUSED', 'This idempotency key stands for another request.');
  }
}

/** This installation does not pay out. */
export class WithdrawalsOffError extends PermanentError {
  readonly advice: Advice = {
    why: 'No signer is configured here, so nothing could be paid.',
    fix: 'Ask an installation that pays out, or have its operator configure one.',
  };
  constructor() {
    super('WITHDRAWALS_OFF', 'This installation does not pay out.');
  }
}

/** There is nothing of the principal's own that could still be cancelled. */
export class WithdrawalNotCancellableError extends PermanentError {
  readonly advice: Advice;
  /** @param state null: there is no such withdrawal of the principal's own. */
  constructor(state: string | null) {
    super(
      state === null ? 'WITHDRAWAL_UNKNOWN' : 'WITHDRAWAL_NOT_CANCELLABLE',
      state === null ? 'You asked for no such withdrawal.' : `The withdrawal is ${state}.`,
    );
    this.advice =
      state === null
        ? { why: 'A principal cancels its own withdrawals only.', fix: 'Check the id, and who asked for it.' }
        : {
            why: 'What is final stays as it is, and what waits for a person is decided by that person.',
            fix: 'Read the withdrawal to see what became of it.',
          };
  }
}

const TEXT_FIX = 'Use 1 to 255 bytes of text that can be typed.';

const INPUT_ADVICE: Readonly<
  Record<Exclude<WithdrawalRefusalCode, 'IDEMPOTENCY_KEY_REUSED'>, Advice & { readonly field: string }>
> = {
  IDEMPOTENCY_KEY_INVALID: {
    field: 'idempotencyKey',
    why: 'The withdrawal’s id is made from it, so it must be text that survives storage unchanged.',
    fix: TEXT_FIX,
  },
  PAID_BEFORE: {
    field: 'idempotencyKey',
    why: 'The database was restored from a backup that is older than the payment.',
    fix: 'Look for the outgoing transfer that carries the withdrawal’s id, and have an operator book it.',
  },
  ACCOUNT_INVALID: { field: 'account', why: 'It must be text that survives storage unchanged.', fix: TEXT_FIX },
  MEMO_INVALID: {
    field: 'memo',
    why: 'It travels in the transfer, and a memo changed on the way credits nobody.',
    fix: 'Give exactly what the receiver asked for, 1 to 255 bytes without control characters, or leave it out.',
  },
  TREASURY_UNKNOWN: {
    field: 'treasuryParty',
    why: 'A withdrawal is paid by one treasury party, known before it is accepted.',
    fix: 'Name one of `Query.treasuryParties`, or leave it out: the fullest that has enough pays.',
  },
  INSUFFICIENT_FUNDS: {
    field: 'amount',
    why: 'A transfer is paid by one treasury party, and none of them has that much to spare.',
    fix: 'Move funds into one treasury, ask for less, or name the treasury at which the withdrawal shall wait for funds.',
  },
  INSTRUMENT_NOT_ACCEPTED: {
    field: 'instrumentId',
    why: 'Only instruments that are accepted here are paid out; admin and id together name one.',
    fix: 'Choose one of `Query.instruments(isAccepted: true)`.',
  },
  RECEIVER_INVALID: {
    field: 'receiver',
    why: 'A transfer goes to a party id, a hint and a fingerprint joined by `::`, that is not ours.',
    fix: 'Ask the customer for the whole party id and copy it unchanged.',
  },
  AMOUNT_NOT_POSITIVE: { field: 'amount', why: 'A transfer moves more than nothing.', fix: 'Give more than zero.' },
};

const isInputCode = (code: string): code is keyof typeof INPUT_ADVICE => Object.hasOwn(INPUT_ADVICE, code);

/** @returns a refusal of the service as clients see it; anything else as it is. */
export function withdrawalRefusalOf(error: unknown): unknown {
  if (!(error instanceof WithdrawalRefusal)) return error;
  if (error.code === 'IDEMPOTENCY_KEY_REUSED') return new IdempotencyKeyReusedError();
  return isInputCode(error.code) ? new WithdrawalInputError(error.code, error.message) : error;
}

builder.objectType(WithdrawalInputError, {
  name: 'WithdrawalInputError',
  description: `Something of the input cannot be taken. Codes ${Object.keys(INPUT_ADVICE)
    .map((code) => `\`${code}\``)
    .join(', ')}. Scope: \`withdrawals\`. Since 0.1.`,
  authScopes: { withdrawals: true },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    field: t.exposeString('field', { description: 'Name of the input’s field. Scope: `withdrawals`. Since 0.1.' }),
  }),
});

builder.objectType(IdempotencyKeyReusedError, {
  name: 'IdempotencyKeyReusedError',
  description:
    'The key stands for another request of yours. Code `IDEMPOTENCY_KEY_REUSED`. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  interfaces: [ErrorInterface],
});

builder.objectType(WithdrawalsOffError, {
  name: 'WithdrawalsOffError',
  description: 'This installation does not pay out. Code `WITHDRAWALS_OFF`. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  interfaces: [ErrorInterface],
});

builder.objectType(WithdrawalNotCancellableError, {
  name: 'WithdrawalNotCancellableError',
  description:
    'There is nothing to cancel. Codes `WITHDRAWAL_UNKNOWN`: you asked for no such withdrawal; `WITHDRAWAL_NOT_CANCELLABLE`: it is final, or a person decides it. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  interfaces: [ErrorInterface],
});
