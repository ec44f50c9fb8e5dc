/** The expected refusals of the books: what `postTransfer` and `createWithdrawal` say where Sluice keeps the balances. */
import { BooksBehindError, InsufficientFundsError, type Shortfall } from '../books/customer-funds.ts';
import { PostTransferRefusal, type PostTransferRefusalCode } from '../books/post-transfer-refusal.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';

type Advice = { readonly why: string; readonly fix: string };

const TEXT_FIX = 'Use 1 to 255 bytes of text that can be typed.';

const ADVICE: Readonly<Record<PostTransferRefusalCode, Advice>> = {
  IDEMPOTENCY_KEY_INVALID: {
    why: 'The post transfer’s id is made from it, so it must be text that survives storage unchanged.',
    fix: TEXT_FIX,
  },
  IDEMPOTENCY_KEY_REUSED: {
    why: 'One key is one post transfer for ever, or a retry could book twice.',
    fix: 'Repeat the first input exactly to get its post transfer, or make a new key for a new one.',
  },
  REFERENCE_INVALID: { why: 'It must be text that survives storage unchanged.', fix: TEXT_FIX },
  LINES_INVALID: {
    why: 'One line alone balances nothing, and very many lock as many balances at once.',
    fix: 'Give 2 to 100 lines; spread more over several post transfers that each balance.',
  },
  LINE_ACCOUNT_INVALID: {
    why: 'A line is of one account: a customer’s, by its name of 1 to 255 bytes, or one of the house’s.',
    fix: 'Give `account` or `houseAccount`, and not both.',
  },
  LINE_AMOUNT_INVALID: { why: 'A line moves more than nothing.', fix: 'Leave lines of zero out.' },
  LINE_REPEATED: {
    why: 'Two lines of one account and instrument are one, and two that should have been different ones would not be noticed.',
    fix: 'Add them up.',
  },
  LINES_UNBALANCED: {
    why: 'Nothing comes from nowhere: what some gain others lose, instrument by instrument.',
    fix: 'Give the other side as well; the house’s is `houseAccount: HOUSE`, and fees go to `FEES`.',
  },
  INSTRUMENT_UNKNOWN: {
    why: 'Only instruments that a treasury can hold are booked here; admin and id together name one.',
    fix: 'Choose one of `Query.instruments`, and keep all others in your own books.',
  },
  BOOKS_EXTERNAL: {
    why: 'Trades are in the exchange’s own books, and here they would be counted once more.',
    fix: 'Switch the books first, where Sluice is to keep the balances (docs/guides/books.md).',
  },
};

/** Something of the input cannot be booked. */
export class PostTransferInputError extends PermanentError {
  readonly line: number | null;
  readonly advice: Advice;
  constructor({ code, message, line }: PostTransferRefusal) {
    super(code, message);
    this.line = line;
    this.advice = ADVICE[code];
  }
}

/** Customers have less than they are to give. */
export class CustomerFundsError extends PermanentError {
  readonly shortfalls: readonly Shortfall[];
  readonly advice: Advice = {
    why: 'Sluice keeps the balances here, and nobody gives what he has not.',
    fix: 'Ask for no more than is available, or post what the customer has gained first; the same key may be used again.',
  };
  constructor(cause: InsufficientFundsError) {
    super(cause.code, cause.message, {}, { cause });
    this.shortfalls = cause.shortfalls;
  }
}

/** What customers have is not certain. */
export class CustomerBooksBehindError extends RetryableError {
  readonly advice: Advice = {
    why: 'Post transfers that came after the backup are missing, so balances may be too high.',
    fix: 'Send every post transfer since the backup again, with its key, have an operator confirm it (`sluice books resent`), and ask again with the same key.',
  };
  constructor(cause: BooksBehindError) {
    super(cause.code, cause.message, {}, { cause });
  }
}

/** @returns a refusal of the books as clients see it; anything else as it is. */
export function booksRefusalOf(error: unknown): unknown {
  if (error instanceof PostTransferRefusal) return new PostTransferInputError(error);
  if (error instanceof InsufficientFundsError) return new CustomerFundsError(error);
  if (error instanceof BooksBehindError) return new CustomerBooksBehindError(error);
  return error;
}

const ShortfallRef = builder.objectRef<Shortfall>('FundsShortfall').implement({
  description: 'What one account has, and what was asked of it. Scope: as the mutation. Since 0.1.',
  authScopes: { $any: { books: true, withdrawals: true } },
  fields: (t) => ({
    account: t.exposeString('account', {
      description: 'The exchange’s own name for the account. Scope: as the mutation. Since 0.1.',
    }),
    instrumentAdmin: t.string({
      description: 'Party id of the instrument’s admin. Scope: as the mutation. Since 0.1.',
      resolve: ({ instrument }) => instrument.admin,
    }),
    instrumentId: t.string({
      description: 'The id the admin gave it. Scope: as the mutation. Since 0.1.',
      resolve: ({ instrument }) => instrument.id,
    }),
    available: t.expose('available', {
      type: 'Decimal',
      description: 'What it has, in units of the instrument. Scope: as the mutation. Since 0.1.',
    }),
    asked: t.expose('asked', {
      type: 'Decimal',
      description: 'What it was to give, in units of the instrument. Scope: as the mutation. Since 0.1.',
    }),
  }),
});

builder.objectType(CustomerFundsError, {
  name: 'CustomerFundsError',
  description:
    'Customers have less than they are to give, where Sluice keeps the balances. Code `INSUFFICIENT_FUNDS`. Scope: `books` or `withdrawals`. Since 0.1.',
  authScopes: { $any: { books: true, withdrawals: true } },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    shortfalls: t.field({
      type: [ShortfallRef],
      description: 'Who has too little, all of them. Scope: as the mutation. Since 0.1.',
      resolve: ({ shortfalls }) => [...shortfalls],
    }),
  }),
});

builder.objectType(CustomerBooksBehindError, {
  name: 'CustomerBooksBehindError',
  description:
    'The database was restored, and nobody has confirmed yet that lost post transfers were sent again: nothing is paid out, and nobody is refused for funds. Code `BOOKS_BEHIND`. Scope: `books` or `withdrawals`. Since 0.1.',
  authScopes: { $any: { books: true, withdrawals: true } },
  interfaces: [ErrorInterface],
});

builder.objectType(PostTransferInputError, {
  name: 'PostTransferInputError',
  description: `Something of the input cannot be booked. Codes ${Object.keys(ADVICE)
    .map((code) => `\`${code}\``)
    .join(', ')}. Scope: \`books\`. Since 0.1.`,
  authScopes: { books: true },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    line: t.exposeInt('line', {
      nullable: true,
      description: 'Which line is at fault, from 0; null: none alone. Scope: `books`. Since 0.1.',
    }),
  }),
});
