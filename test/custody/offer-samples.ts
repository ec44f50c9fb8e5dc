/** The ends of offers as the simulated network prepares them for each kind of token, and how the check takes them, as they are or as a lying node would have them. */
import { checkIntent } from '../../src/custody/intent-check.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { OFFER_CHOICES, offerArgument } from '../../src/custody/offer-argument.ts';
import type { OfferIntent } from '../../src/custody/offer-intent.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import type { RegistryImplementation } from '../../src/custody/transfer-intent.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import {
  HashingSchemeVersion,
  PreparedTransaction,
  PrepareSubmissionRequest,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { createdEventBlob } from '../../src/simnet/ledger/projection.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import { AMULET_PACKAGE_ID } from '../../src/simnet/tokens/amulet-contracts.ts';
import { amountOf } from '../../src/tokens/amount.ts';
import { interfaceReference, TRANSFER_INSTRUCTION_V1 } from '../../src/tokens/standard.ts';
import { startNetwork } from '../simnet/harness.ts';
import { refusalOf } from './refusal-of.ts';

export type Kind = OfferIntent['kind'];
export type Case = {
  readonly instrument: 'amulet' | 'usd' | 'note';
  readonly implementation: RegistryImplementation;
  readonly generation: 'old' | 'new';
};
export type Sample = {
  readonly intent: OfferIntent;
  readonly bytes: Uint8Array;
  readonly recordTime: bigint;
  readonly stranger: string;
};

export const CASES: readonly Case[] = [
  { instrument: 'amulet', implementation: 'SPLICE_AMULET', generation: 'old' },
  { instrument: 'amulet', implementation: 'SPLICE_AMULET', generation: 'new' },
  { instrument: 'usd', implementation: 'UTILITY_REGISTRY', generation: 'new' },
  // Nobody said whose code it is: the offer's template does.
  { instrument: 'usd', implementation: 'OTHER', generation: 'new' },
  { instrument: 'note', implementation: 'OTHER', generation: 'new' },
];

/** By which each is judged, whoever says so. */
export const RULES: Record<Case['instrument'], RegistryImplementation> = {
  amulet: 'SPLICE_AMULET',
  usd: 'UTILITY_REGISTRY',
  note: 'OTHER',
};

/** An offer of 6.5 to the treasury (to be withdrawn: by it), and what a node prepares for its end. */
export async function prepare(
  { instrument, implementation, generation }: Case,
  kind: Kind,
  hostile = false,
): Promise<Sample> {
  const { network, clock } = startNetwork();
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(new Uint8Array(32).fill(7)) }).currentKey();
  network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  network.tap({ instrument, owner: 'alice', amount: '9', generation });
  network.tap({ instrument, owner: 'treasury', amount: '50', generation });
  const [from, to] = kind === 'WITHDRAW' ? ['treasury', 'alice'] : ['alice', 'treasury'];
  const { instructionCid = '' } = network.transfer({
    instrument,
    sender: from,
    receiver: to,
    amount: '6.5',
    memo: 'alice-memo',
    kind: 'offer',
    generation,
    ...(hostile && { meta: { 'acme.example/workflow': 'desk' } }),
  });
  const contract = network.ledger.contracts.find(instructionCid)?.contract;
  const transfer = contract && instructionOf(contract);
  const token = network.tokens.find(({ name }) => name === instrument);
  if (transfer === undefined || token === undefined) throw new Error('No offer.');
  const now = clock.nowMicros();
  const choices = { ACCEPT: 'Accept', REJECT: 'Reject', WITHDRAW: 'Withdraw' } as const;
  const choiceContext = token.instructionContext(choices[kind], generation);
  const lockedIds = kind === 'WITHDRAW' ? transfer.inputHoldingCids : [];
  const intent: OfferIntent = {
    kind,
    implementation,
    offer: instructionCid,
    sender: transfer.sender,
    receiver: transfer.receiver,
    instrument: transfer.instrumentId,
    amount: amountOf(transfer.amountUnits),
    meta: transfer.meta,
    requestedAt: transfer.requestedAtMicros,
    executeBefore: transfer.executeBeforeMicros,
    inputHoldings: transfer.inputHoldingCids,
    locked: lockedIds.map((contractId) => ({ contractId, amount: amountOf(transfer.amountUnits) })),
    choiceContext,
    commandId: 'command-1',
    synchronizerId: network.synchronizerId,
    physicalSynchronizerId: null,
    maxRecordTime: now + 600_000_000n,
  };
  const named = [...choiceContext.values()].flatMap((value) => {
    const inner = value.sum?.$case === 'variant' ? value.sum.value.value?.sum : undefined;
    return inner?.$case === 'contractId' ? [inner.value] : [];
  });
  const response = await network.participant('participant1').api.prepareSubmission(
    PrepareSubmissionRequest.fromPartial({
      userId: 'exchange',
      commandId: intent.commandId,
      actAs: [kind === 'WITHDRAW' ? intent.sender : intent.receiver],
      commands: [
        {
          command: {
            $case: 'exercise',
            value: {
              templateId: interfaceReference(TRANSFER_INSTRUCTION_V1),
              contractId: instructionCid,
              choice: OFFER_CHOICES[kind],
              choiceArgument: offerArgument(intent),
            },
          },
        },
      ],
      disclosedContracts: [...named, ...transfer.inputHoldingCids].flatMap((contractId) => {
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
      packageIdSelectionPreference: [AMULET_PACKAGE_ID[generation]],
      maxRecordTime: microsToTimestamp(intent.maxRecordTime),
      hashingSchemeVersion: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
    }),
  );
  return { intent, bytes: response.preparedTransaction, recordTime: now, stranger: network.party('carol') };
}

export type Lie = { readonly change?: (prepared: PreparedTransaction) => void; readonly intent?: Partial<OfferIntent> };

export function outcome({ intent, bytes, recordTime }: Sample, lie: Lie = {}): string {
  const prepared = PreparedTransaction.decode(bytes);
  lie.change?.(prepared);
  const preparedTransaction = PreparedTransaction.encode(prepared).finish();
  return refusalOf(() =>
    checkIntent(
      { ...intent, ...lie.intent },
      { preparedTransaction, scheme: 'V3', nodeHash: preparedTransactionHash(prepared, 'V3') },
      { recordTime, toleranceMicros: 600_000_000n },
    ),
  );
}

export const REFUSED = /^(INTENT|TREE|HASH|PREPARED)_/;
