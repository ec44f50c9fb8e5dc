/** An external party on a simulated network: asks for preparation, signs with node:crypto, executes, over whichever skin of the API is given. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { SignatureFormat, SigningAlgorithmSpec } from '../../src/gen/com/daml/ledger/api/v2/crypto.ts';
import {
  ExecuteSubmissionRequest,
  HashingSchemeVersion,
  PreparedTransaction,
  PrepareSubmissionRequest,
  type PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { unitsOfDecimal } from '../../src/simnet/daml/decimal.ts';
import { recordValue } from '../../src/simnet/daml/value.ts';
import { createdEventBlob } from '../../src/simnet/ledger/projection.ts';
import type { Network } from '../../src/simnet/network.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { preparedHash } from '../../src/simnet/submission/prepared-hash.ts';
import { factoryTransferArgument, type Transfer } from '../../src/simnet/tokens/standard.ts';

export type Wallet = {
  readonly party: string;
  readonly fingerprint: string;
  readonly privateKey: KeyObject;
};

export function rawPublicKey(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
}

/** Gives the party a key and funds in Canton Coin. */
export function openWallet(network: Network, hint = 'treasury', funds: readonly string[] = ['100']): Wallet {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const fingerprint = network.registerKey(hint, rawPublicKey(publicKey));
  for (const amount of funds) network.tap({ instrument: 'amulet', owner: hint, amount });
  return { party: network.party(hint), fingerprint, privateKey };
}

type TransferWish = {
  readonly receiver: string;
  readonly amount: string;
  readonly instrument?: string;
  readonly inputs?: readonly string[];
  readonly commandId?: string;
  readonly maxRecordTimeMicros?: bigint;
  readonly executeBeforeMicros?: bigint;
  readonly requestedAtMicros?: bigint;
  readonly scheme?: HashingSchemeVersion;
  readonly disclose?: boolean;
  readonly packages?: readonly string[];
  readonly now: bigint;
};

const HOUR_MICROS = 3_600_000_000n;

/** The request that a wallet makes after it has asked the registry. */
export function transferRequest(network: Network, wallet: Wallet, wish: TransferWish): PrepareSubmissionRequest {
  const name = wish.instrument ?? 'amulet';
  const instrumentId = network.instrument(name);
  const token = network.tokens.find((candidate) => candidate.name === name);
  if (token === undefined) throw new Error('No such token.');
  const holdings = holdingsOf(network.ledger.contracts, wallet.party, instrumentId);
  const transfer: Transfer = {
    sender: wallet.party,
    receiver: network.party(wish.receiver),
    amountUnits: unitsOfDecimal(wish.amount),
    instrumentId,
    requestedAtMicros: wish.requestedAtMicros ?? wish.now - 60_000_000n,
    executeBeforeMicros: wish.executeBeforeMicros ?? wish.now + HOUR_MICROS,
    inputHoldingCids: wish.inputs ?? holdings.map(({ contractId }) => contractId),
    meta: new Map([['splice.lfdecentralizedtrust.org/reason', 'memo-1']]),
  };
  const { factoryCid, context } = token.planTransfer(transfer, { generation: 'new', asOffer: false });
  const disclosed = [factoryCid, ...[...context.values()].flatMap(contractIdsIn)];
  return PrepareSubmissionRequest.fromPartial({
    userId: 'exchange',
    commandId: wish.commandId ?? 'command-1',
    actAs: [wallet.party],
    commands: [
      {
        command: {
          $case: 'exercise',
          value: {
            templateId: {
              packageId: '#splice-api-token-transfer-instruction-v1',
              moduleName: 'Splice.Api.Token.TransferInstructionV1',
              entityName: 'TransferFactory',
            },
            contractId: factoryCid,
            choice: 'TransferFactory_Transfer',
            choiceArgument: recordValue(factoryTransferArgument(instrumentId.admin, transfer, context)),
          },
        },
      },
    ],
    disclosedContracts:
      wish.disclose === false
        ? []
        : disclosed.flatMap((contractId) => {
            const known = network.ledger.contracts.find(contractId)?.contract;
            return known === undefined
              ? []
              : [
                  {
                    contractId,
                    templateId: known.templateId,
                    createdEventBlob: createdEventBlob(known),
                    synchronizerId: network.synchronizerId,
                  },
                ];
          }),
    packageIdSelectionPreference: [...(wish.packages ?? [])],
    maxRecordTime: wish.maxRecordTimeMicros === undefined ? undefined : microsToTimestamp(wish.maxRecordTimeMicros),
    hashingSchemeVersion: wish.scheme,
  });
}

function contractIdsIn(value: {
  readonly sum?: { readonly $case: string; readonly value: unknown } | undefined;
}): string[] {
  const inner = value.sum?.$case === 'variant' ? (value.sum.value as { value?: typeof value }).value : value;
  return inner?.sum?.$case === 'contractId' ? [inner.sum.value as string] : [];
}

/** Recomputes the hash from the bytes and signs that, whatever the node said. */
export function signed(
  wallet: Wallet,
  { preparedTransaction, hashingSchemeVersion }: PrepareSubmissionResponse,
  submissionId = 'submission-1',
): ExecuteSubmissionRequest {
  const scheme = hashingSchemeVersion === HashingSchemeVersion.HASHING_SCHEME_VERSION_V3 ? 'V3' : 'V2';
  const hash = preparedHash(PreparedTransaction.decode(preparedTransaction), scheme);
  return ExecuteSubmissionRequest.fromPartial({
    preparedTransaction,
    hashingSchemeVersion,
    submissionId,
    userId: 'exchange',
    partySignatures: {
      signatures: [
        {
          party: wallet.party,
          signatures: [
            {
              format: SignatureFormat.SIGNATURE_FORMAT_CONCAT,
              signature: sign(null, hash, wallet.privateKey),
              signedBy: wallet.fingerprint,
              signingAlgorithmSpec: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_ED25519,
            },
          ],
        },
      ],
    },
  });
}
