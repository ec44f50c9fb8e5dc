/** Requests of the check: every case has a submission, inputs and request ids of its own, so that the signer's log need not be empty, and the check can be run again. */
import type { SigningRequest } from '../../custody/signer.ts';
import { preparedTransactionHash } from '../../custody/transaction-hash.ts';
import type { TransferIntent } from '../../custody/transfer-intent.ts';
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import { PreparedTransaction } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { checkIntentOf, contractOf, partyOfKey, prepareCheck } from './check-transfer.ts';

export type RequestChange = Partial<Omit<SigningRequest, 'intent' | 'prepared'>> & {
  readonly intent?: Partial<TransferIntent>;
  /** Names of inputs; within a case the same name is the same contract. Default: `a`, `b`. */
  readonly inputs?: readonly string[];
  /** Damage to what was prepared, whose hash is then claimed as a consistent liar would. */
  readonly tamper?: (prepared: PreparedTransaction) => void;
  /** What is prepared instead of the intent. */
  readonly preparedFor?: Partial<TransferIntent>;
};

export type RequestMaker = {
  /** The same submission, payout and target every time; another request id and another preparation. */
  request(change?: RequestChange): SigningRequest;
  /** The contract id that an input's name stands for. */
  input(name: string): string;
  readonly submissionId: string;
};

export function createRequestMaker(
  fingerprint: string,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): RequestMaker {
  const mark = random.uuid().slice(0, 8);
  const sender = partyOfKey(fingerprint);
  const now = clock.nowMicros();
  const submissionId = `sluice-check-${mark}`;
  const nameOf = (name: string): string => `${mark}-${name}`;

  return {
    submissionId,
    input: (name) => contractOf(nameOf(name)),
    request: ({ intent: altered = {}, inputs = ['a', 'b'], tamper, preparedFor = {}, ...rest } = {}) => {
      const intent = checkIntentOf(sender, now, inputs.map(nameOf), altered);
      const prepared = prepareCheck({ ...intent, ...preparedFor }, random.uuid(), now);
      tamper?.(prepared);
      return {
        requestId: random.uuid(),
        submissionId,
        attempt: 1,
        earlierAttempts: [],
        inputsSpentElsewhere: [],
        intent,
        prepared: {
          preparedTransaction: PreparedTransaction.encode(prepared).finish(),
          scheme: 'V3',
          nodeHash: preparedTransactionHash(prepared, 'V3'),
        },
        recordTime: now,
        ...rest,
      };
    },
  };
}
