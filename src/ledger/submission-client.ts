/**
 * Interactive submission: the participant prepares a transaction of an external party, we sign it, it executes. What `execute` answers is not worth remembering: whether the transaction
 * happened is known when ingestion sees it, or sees the ledger pass its last record time.
 */
import { type Micros, microsToTimestamp } from '../env/clock.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import { SignatureFormat, SigningAlgorithmSpec } from '../gen/com/daml/ledger/api/v2/crypto.ts';
import {
  HashingSchemeVersion,
  InteractiveSubmissionServiceService,
  PrepareSubmissionRequest,
} from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Channel, type ChannelOptions, openChannel } from './channel.ts';

export type PrepareRequest = {
  readonly userId: string;
  readonly commandId: string;
  readonly actAs: string;
  readonly synchronizerId: string;
  readonly contractId: string;
  /** The interface the choice belongs to. */
  readonly interfaceId: Identifier;
  readonly choice: string;
  readonly argument: Value;
  readonly disclosedContracts: readonly DisclosedContract[];
  /** The last record time at which it may commit, inclusive. */
  readonly maxRecordTime: Micros;
};

export type Prepared = {
  /** To be passed on unchanged. */
  readonly preparedTransaction: Uint8Array;
  /** What the node says the hash is. To be computed again. */
  readonly nodeHash: Uint8Array;
  readonly scheme: 'V2' | 'V3';
  /** What the node thinks that it will cost, ±10 %; undefined where it does not say. */
  readonly trafficBytes?: bigint;
};

export type ExecuteRequest = {
  /** A W3C trace context, which the update carries then; left out: none. */
  readonly traceParent?: string;
  readonly userId: string;
  readonly submissionId: string;
  readonly party: string;
  readonly preparedTransaction: Uint8Array;
  readonly scheme: 'V2' | 'V3';
  readonly signature: {
    readonly format: 'CONCAT' | 'DER';
    readonly algorithm: 'ED25519' | 'EC_DSA_SHA_256' | 'EC_DSA_SHA_384';
    readonly signedBy: string;
    readonly signature: Uint8Array;
  };
};

export type Submitter = {
  /** @throws RetryableError or PermanentError with Canton's code; nothing happened on the ledger. */
  prepare(request: PrepareRequest): Promise<Prepared>;
  /** @throws RetryableError or PermanentError; whatever it says, the transaction may have happened. */
  execute(request: ExecuteRequest): Promise<void>;
  close(): void;
};

const SCHEMES = {
  V2: HashingSchemeVersion.HASHING_SCHEME_VERSION_V2,
  V3: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
} as const;
const FORMATS = { CONCAT: SignatureFormat.SIGNATURE_FORMAT_CONCAT, DER: SignatureFormat.SIGNATURE_FORMAT_DER } as const;
const ALGORITHMS = {
  ED25519: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_ED25519,
  EC_DSA_SHA_256: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_EC_DSA_SHA_256,
  EC_DSA_SHA_384: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_EC_DSA_SHA_384,
} as const;

/** @returns a submitter with a channel of its own. */
export function createSubmitter(options: ChannelOptions): Submitter {
  const { call, close } = openChannel(options);
  return { ...submitterOver(call), close };
}

/** Asks for scheme V3, the only one whose signature covers the last record time. */
export function submitterOver(call: Channel['call']): Omit<Submitter, 'close'> {
  return {
    prepare: async (request) => {
      const prepared = await call(
        InteractiveSubmissionServiceService.prepareSubmission,
        PrepareSubmissionRequest.fromPartial({
          userId: request.userId,
          commandId: request.commandId,
          actAs: [request.actAs],
          synchronizerId: request.synchronizerId,
          commands: [
            {
              command: {
                $case: 'exercise',
                value: {
                  templateId: request.interfaceId,
                  contractId: request.contractId,
                  choice: request.choice,
                  choiceArgument: request.argument,
                },
              },
            },
          ],
          disclosedContracts: [...request.disclosedContracts],
          maxRecordTime: microsToTimestamp(request.maxRecordTime),
          hashingSchemeVersion: SCHEMES.V3,
        }),
      );
      return {
        preparedTransaction: prepared.preparedTransaction,
        nodeHash: prepared.preparedTransactionHash,
        scheme: prepared.hashingSchemeVersion === SCHEMES.V3 ? 'V3' : 'V2',
        ...(prepared.costEstimation !== undefined && {
          trafficBytes: prepared.costEstimation.totalTrafficCostEstimation,
        }),
      };
    },
    execute: async ({ userId, submissionId, party, preparedTransaction, scheme, signature, traceParent }) => {
      const request = {
        userId,
        submissionId,
        preparedTransaction,
        hashingSchemeVersion: SCHEMES[scheme],
        deduplicationPeriod: undefined,
        minLedgerTime: undefined,
        partySignatures: {
          signatures: [
            {
              party,
              signatures: [
                {
                  format: FORMATS[signature.format],
                  signature: signature.signature,
                  signedBy: signature.signedBy,
                  signingAlgorithmSpec: ALGORITHMS[signature.algorithm],
                },
              ],
            },
          ],
        },
      };
      const more = traceParent === undefined ? {} : { traceParent };
      await call(InteractiveSubmissionServiceService.executeSubmission, request, more);
    },
  };
}
