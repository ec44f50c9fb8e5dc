/**
 * Every expected refusal that the schema has a type for, one of each code, as clients would get it. docs/errors.md is made from it, and a test
 * holds that no type that implements `Error` is missing. The records name the codes so that a new one does not compile until it is here.
 */
import { BooksBehindError, InsufficientFundsError } from '../books/customer-funds.ts';
import { PostTransferRefusal, type PostTransferRefusalCode } from '../books/post-transfer-refusal.ts';
import { DatabaseRestoredError } from '../db/database-restore.ts';
import { OFFER_REFUSAL_CODES, OfferRefusal, type OfferRefusalCode } from '../deposits/acceptance/offer-refusal.ts';
import { DepositAccountRefusal } from '../deposits/deposit-account-changes.ts';
import { DepositInputError, MemoTakenError, NetworkUnknownError } from '../deposits/deposit-accounts.ts';
import { DESK_REFUSAL_CODES, DeskRefusal } from '../deposits/desk-refusal.ts';
import { TokenRefusal, type TokenRefusalCode, TokenRegistrySilent } from '../directory/token-refusal.ts';
import { APPROVAL_REFUSAL_CODES, ApprovalRefusal } from '../policy/approval-refusal.ts';
import { POLICY_CHANGE_REFUSAL_CODES, PolicyChangeRefusal } from '../policy/policy-change-refusal.ts';
import { HALT_REFUSAL_CODES, HaltRefusal } from '../submissions/halt-refusal.ts';
import { parseAmount } from '../tokens/amount.ts';
import { CONTROL_REFUSAL_CODES, ControlRefusal } from '../withdrawals/control-refusal.ts';
import type { WithdrawalRefusalCode } from '../withdrawals/withdrawal-requests.ts';
import type { Refusal } from './error-interface.ts';
import { CustomerBooksBehindError, CustomerFundsError, PostTransferInputError } from './post-transfer-refusal.ts';
import {
  IdempotencyKeyReusedError,
  WithdrawalInputError,
  WithdrawalNotCancellableError,
  WithdrawalsOffError,
} from './withdrawal-refusal.ts';
import { WithdrawalsRestoringError } from './withdrawal-restored.ts';

type DepositAccountCode = ConstructorParameters<typeof DepositAccountRefusal>[0];

const OF_DEPOSIT_ACCOUNTS: Readonly<Record<DepositAccountCode, true>> = {
  DEPOSIT_ACCOUNT_UNKNOWN: true,
  DEPOSIT_ACCOUNT_ROTATED: true,
  DEPOSIT_ACCOUNT_DISABLED: true,
  REPLACEMENT_NOT_ACTIVE: true,
};

/** With what they say, since it is said where they are found. */
const OF_TOKENS: Readonly<Record<TokenRefusalCode, string>> = {
  TOKEN_EXISTS: 'The token is there already.',
  TOKEN_UNKNOWN: 'There is no such token.',
  TOKEN_INPUT_INVALID: 'Something of the input cannot be taken.',
  TOKEN_CHANGED_MEANWHILE: 'It was changed since it was read.',
  TOKEN_REGISTRY_OF_ANOTHER_ADMIN: 'The registry is of another admin.',
  TOKEN_UNKNOWN_TO_REGISTRY: 'The registry does not know it.',
  TOKEN_NOT_READY: 'It cannot be enabled yet.',
};

const OF_WITHDRAWALS: Readonly<Record<Exclude<WithdrawalRefusalCode, 'IDEMPOTENCY_KEY_REUSED'>, string>> = {
  IDEMPOTENCY_KEY_INVALID: 'Not a key that can be kept.',
  PAID_BEFORE: 'The ledger shows a payment for this key, and its withdrawal is not here.',
  TREASURY_UNKNOWN: 'There is no such treasury party.',
  INSUFFICIENT_FUNDS: 'No treasury party has that much to spare.',
  INSTRUMENT_NOT_ACCEPTED: 'The instrument is not accepted here.',
  RECEIVER_INVALID: 'Not a party that can be paid.',
  AMOUNT_NOT_POSITIVE: 'The amount is not above zero.',
  MEMO_INVALID: 'Not a memo that a transfer can carry.',
  ACCOUNT_INVALID: 'Not the name of an account.',
};

const OF_POST_TRANSFERS: Readonly<Record<PostTransferRefusalCode, string>> = {
  IDEMPOTENCY_KEY_INVALID: 'Not a key that can be kept.',
  IDEMPOTENCY_KEY_REUSED: 'This key stands for another post transfer.',
  REFERENCE_INVALID: 'Not a reference that can be kept.',
  LINES_INVALID: 'Not that many lines.',
  LINE_ACCOUNT_INVALID: 'A line is of one account.',
  LINE_AMOUNT_INVALID: 'A line of nothing.',
  LINE_REPEATED: 'Two lines are of the same account and instrument.',
  LINES_UNBALANCED: 'The lines do not sum to zero.',
  INSTRUMENT_UNKNOWN: 'The instrument is not known here.',
  BOOKS_EXTERNAL: 'Sluice does not keep the balances of customers here.',
};

const SHORTFALL = {
  account: '…',
  instrument: { admin: '…', id: '…' },
  available: 0n,
  asked: parseAmount('1'),
};

const DEPOSIT_FIELDS = ['memo', 'account', 'metadata'] as const;

const TEXT_ADVICE = {
  why: 'It must be text that survives storage unchanged.',
  fix: 'The message names what is wrong with it.',
};

/** @returns per type of the schema one refusal of each code, in the order of the types. */
export function listRefusals(): ReadonlyMap<string, readonly Refusal[]> {
  return new Map<string, readonly Refusal[]>([
    ['ApprovalRefusal', APPROVAL_REFUSAL_CODES.map((code) => new ApprovalRefusal(code))],
    ['CustomerBooksBehindError', [new CustomerBooksBehindError(new BooksBehindError())]],
    ['CustomerFundsError', [new CustomerFundsError(new InsufficientFundsError([SHORTFALL]))]],
    ['DepositAccountRefusal', keysOf(OF_DEPOSIT_ACCOUNTS).map((code) => new DepositAccountRefusal(code))],
    [
      'DepositInputError',
      DEPOSIT_FIELDS.map((field) => new DepositInputError(field, `The ${field} cannot be kept.`, TEXT_ADVICE)),
    ],
    ['DeskRefusal', DESK_REFUSAL_CODES.map((code) => new DeskRefusal(code))],
    ['HaltRefusal', HALT_REFUSAL_CODES.map((code) => new HaltRefusal(code))],
    ['IdempotencyKeyReusedError', [new IdempotencyKeyReusedError()]],
    ['MemoTakenError', [new MemoTakenError()]],
    ['NetworkUnknownError', [new NetworkUnknownError(['…'], true)]],
    ['OfferRefusal', OFFER_REFUSAL_CODES.map((code) => new OfferRefusal(code as OfferRefusalCode))],
    ['PolicyChangeRefusal', POLICY_CHANGE_REFUSAL_CODES.map((code) => new PolicyChangeRefusal(code))],
    [
      'PostTransferInputError',
      keysOf(OF_POST_TRANSFERS).map(
        (code) => new PostTransferInputError(new PostTransferRefusal(code, OF_POST_TRANSFERS[code])),
      ),
    ],
    ['TokenRefusedError', keysOf(OF_TOKENS).map((code) => new TokenRefusal(code, OF_TOKENS[code]))],
    ['TokenRegistrySilentError', [new TokenRegistrySilent('…')]],
    ['WithdrawalControlRefusal', CONTROL_REFUSAL_CODES.map((code) => new ControlRefusal(code))],
    [
      'WithdrawalInputError',
      keysOf(OF_WITHDRAWALS).map((code) => new WithdrawalInputError(code, OF_WITHDRAWALS[code])),
    ],
    [
      'WithdrawalNotCancellableError',
      [new WithdrawalNotCancellableError(null), new WithdrawalNotCancellableError('COMPLETED')],
    ],
    ['WithdrawalsOffError', [new WithdrawalsOffError()]],
    ['WithdrawalsRestoringError', [new WithdrawalsRestoringError(new DatabaseRestoredError(0n))]],
  ]);
}

function keysOf<Key extends string>(record: Readonly<Record<Key, unknown>>): readonly Key[] {
  return Object.keys(record) as Key[];
}
