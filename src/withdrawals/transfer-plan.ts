/** What a try of a withdrawal exercises: the registry's factory, with exactly the transfer that its attempt fixed. */
import { TRANSFER_CHOICE, transferArgument } from '../custody/transfer-argument.ts';
import type { RegistryImplementation, TransferIntent } from '../custody/transfer-intent.ts';
import { RetryableError } from '../env/errors.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { OpenAttempt } from '../submissions/attempts.ts';
import type { Plan, Planner } from '../submissions/submission-plan.ts';
import { parseAmount } from '../tokens/amount.ts';
import { interfaceReference, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import { type Instrument, type TransferRecord, transferOfJson } from '../tokens/transfer-record.ts';

/** What a token's registry says of a transfer that is about to be made. */
export type TransferFactory = {
  readonly factoryId: string;
  readonly transferKind: 'self' | 'direct' | 'offer';
  readonly choiceContext: ReadonlyMap<string, Value>;
  readonly disclosedContracts: readonly DisclosedContract[];
};

export type Registry = {
  /** @throws RetryableError, PermanentError; the ledger is untouched. */
  transferFactory(instrument: Instrument, transfer: TransferRecord): Promise<TransferFactory>;
};

export type TransferPlanOptions = {
  readonly registry: Registry;
  readonly implementationOf: (instrument: Instrument) => RegistryImplementation;
};

export function planTransfers({ registry, implementationOf }: TransferPlanOptions): Planner {
  return async (attempt): Promise<Plan> => {
    const factory = await registry.transferFactory(attempt.instrument, transferOfJson(attempt.transfer));
    if (factory.transferKind !== 'direct') return offersOnly();
    const intent = intentOf(implementationOf(attempt.instrument), attempt, factory);
    return {
      kind: 'EXERCISE',
      intent,
      contractId: factory.factoryId,
      interfaceId: interfaceReference(TRANSFER_FACTORY_V1),
      choice: TRANSFER_CHOICE,
      argument: transferArgument(intent),
      disclosedContracts: factory.disclosedContracts,
    };
  };
}

const NOT_PREAPPROVED = 'RECEIVER_NOT_PREAPPROVED';

function offersOnly(): Plan {
  return {
    kind: 'CANNOT',
    failure: { code: NOT_PREAPPROVED, detail: 'The receiver takes this instrument only as an offer.' },
    later: new RetryableError(NOT_PREAPPROVED, 'The receiver takes this instrument only as an offer at the moment.'),
  };
}

function intentOf(
  implementation: RegistryImplementation,
  attempt: OpenAttempt,
  factory: TransferFactory,
): TransferIntent {
  const { transfer } = attempt;
  return {
    kind: 'DIRECT',
    implementation,
    sender: transfer.sender,
    receiver: transfer.receiver,
    instrument: transfer.instrumentId,
    amount: parseAmount(transfer.amount),
    meta: new Map(Object.entries(transfer.meta.values)),
    requestedAt: BigInt(transfer.requestedAt),
    executeBefore: BigInt(transfer.executeBefore),
    inputs: attempt.inputs,
    factory: factory.factoryId,
    choiceContext: factory.choiceContext,
    commandId: `${attempt.submissionId}-${attempt.number}`,
    synchronizerId: attempt.synchronizerId,
    physicalSynchronizerId: null,
    maxRecordTime: attempt.target,
  };
}
