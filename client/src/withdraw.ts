/**
 * Asking for a withdrawal so that it is paid once, whatever happens to the caller, the network and the server.
 *
 * What makes it so is one idempotency key per wish to pay, and that the same key is used again after every doubt. The key is made here, kept before it is first sent, and found again by the
 * caller's own reference (an order id): in another call, another process, another year.
 */
import { type Backoff, delayMsAfter } from './backoff.ts';
import { ClientError, retryableOf } from './client-error.ts';
import type { KeyStore } from './key-store.ts';
import { graphql, type ResultOf, textOf, type VariablesOf } from './operation.ts';
import type { Platform } from './platform.ts';

export const WITHDRAWAL = graphql(`
  fragment WithdrawalFields on Withdrawal {
    withdrawalId
    idempotencyKey
    state
    isFinal
    amount
    receiver
    memo
    decidableBy
    updateId
    instrument { admin instrumentId }
    account { customer }
    failure { code detail }
    definiteFailureProof { attempt targetRecordTime passedRecordTime explanation }
  }
`);

const CREATE = graphql(
  `
  mutation ClientWithdraw($input: CreateWithdrawalInput!) {
    createWithdrawal(input: $input) {
      __typename
      ... on CreateWithdrawalPayload { replayed withdrawal { ...WithdrawalFields } }
      ... on Error { code message why fix retryable }
      ... on WithdrawalInputError { field }
      ... on CustomerFundsError { shortfalls { account available asked } }
      ... on WithdrawalsRestoringError { safeRecordTime }
    }
  }
`,
  [WITHDRAWAL],
);

export type Withdrawal = ResultOf<typeof WITHDRAWAL>;
export type WithdrawalInput = Omit<VariablesOf<typeof CREATE>['input'], 'idempotencyKey'>;
type Answer = ResultOf<typeof CREATE>['createWithdrawal'];
/** A refusal as the schema types it: `code` for programs, `why` and `fix` for people. */
export type WithdrawalRefusal = Exclude<Answer, { readonly __typename: 'CreateWithdrawalPayload' }>;

export type WithdrawOutcome =
  /** It is stored, debited, and will be paid at most once. `isReplayed`: an earlier call had done it. */
  | {
      readonly kind: 'ACCEPTED';
      readonly withdrawal: Withdrawal;
      readonly isReplayed: boolean;
      readonly idempotencyKey: string;
    }
  /** Nothing was done by this call. Where `refusal.retryable`, call again later with the same reference: it says nothing of earlier calls with it. */
  | { readonly kind: 'REFUSED'; readonly refusal: WithdrawalRefusal; readonly idempotencyKey: string };

export type WithdrawOptions = {
  /** Your own name of the wish to pay, e.g. an order id. The same reference is the same withdrawal, for ever. */
  readonly reference: string;
  readonly keys: KeyStore;
  /** Stops waiting, with OUTCOME_UNKNOWN; what was sent may be done. Left out: it is asked until there is an answer. */
  readonly signal?: AbortSignal;
};

export type Withdrawing = {
  readonly platform: Platform;
  readonly backoff: Backoff;
  readonly ask: (
    request: { readonly query: string; readonly variables: Readonly<Record<string, unknown>> },
    signal: AbortSignal | undefined,
  ) => Promise<unknown>;
};

/** Times in a row that a new token is refused before that is the answer. */
const UNAUTHORIZED_IN_A_ROW_MAX = 5;

/**
 * Repeats the same request until it is answered.
 * @throws ClientError: OUTCOME_UNKNOWN when the signal aborts, UNAUTHORIZED, or an answer with errors that do not pass. Call again with the same reference; nothing is paid twice.
 * Also what the key store throws: then nothing was sent.
 */
export async function withdraw(
  { platform, backoff, ask }: Withdrawing,
  input: WithdrawalInput,
  { reference, keys, signal }: WithdrawOptions,
): Promise<WithdrawOutcome> {
  const idempotencyKey = await keys.keep(reference, platform.randomId());
  const request = { query: textOf(CREATE), variables: { input: { ...input, idempotencyKey } } };
  let unauthorized = 0;
  for (let failures = 1; ; failures += 1) {
    if (isOver(signal)) throw outcomeUnknown(reference, null);
    try {
      // The one place where an answer gets its type: it is of this very operation.
      const { createWithdrawal: answer } = (await ask(request, signal)) as ResultOf<typeof CREATE>;
      if (answer.__typename !== 'CreateWithdrawalPayload') return { kind: 'REFUSED', refusal: answer, idempotencyKey };
      return { kind: 'ACCEPTED', withdrawal: answer.withdrawal, isReplayed: answer.replayed, idempotencyKey };
    } catch (error) {
      if (isOver(signal)) throw outcomeUnknown(reference, error);
      const retryable = retryableOf(error);
      if (retryable === null) throw error;
      unauthorized = retryable.code === 'UNAUTHORIZED' ? unauthorized + 1 : 0;
      if (unauthorized > UNAUTHORIZED_IN_A_ROW_MAX) throw error;
      await platform.sleep(delayMsAfter(failures, backoff, platform.random(), retryable.retryAfterMs), signal);
    }
  }
}

/** A question of its own, because the answer changes while one waits. */
function isOver(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function outcomeUnknown(reference: string, cause: unknown): ClientError {
  return new ClientError(
    'OUTCOME_UNKNOWN',
    `Nobody has said what became of the withdrawal. Ask again under the same reference: ${reference}`,
    { isRetryable: true, cause },
  );
}
