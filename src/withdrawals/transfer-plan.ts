/**
 * What a try of a withdrawal exercises: the registry's factory, with exactly the transfer that its attempt fixed. Whether that pays at once or makes an offer is the registry's to say, at each try, since a
 * receiver's preapproval comes and goes; whether we want it that way is the policy's. What is signed is of the kind that was planned, or nothing is.
 *
 * An offer differs from a direct transfer in its deadline alone. Of a direct one it is close behind the target, as a second bound of what may still commit; of an offer it is how long the receiver has.
 */
import { TRANSFER_CHOICE, transferArgument } from '../custody/transfer-argument.ts';
import type { RegistryImplementation, TransferIntent } from '../custody/transfer-intent.ts';
import { RetryableError } from '../env/errors.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { OpenAttempt } from '../submissions/attempts.ts';
import type { Plan, Planner } from '../submissions/submission-plan.ts';
import { parseAmount } from '../tokens/amount.ts';
import { interfaceReference, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import { type Instrument, type TransferJson, type TransferRecord, transferOfJson } from '../tokens/transfer-record.ts';
import { offerDeadline, type PaymentPolicy } from './payment-policy.ts';

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

/** In which ways the instrument of a submission may be paid now. */
export type PolicyOf = (submissionId: string) => Promise<PaymentPolicy>;

export function planTransfers({
  registry,
  implementationOf,
  policyOf,
}: TransferPlanOptions & { readonly policyOf: PolicyOf }): Planner {
  return async (attempt): Promise<Plan> => {
    const policy = await policyOf(attempt.submissionId);
    const implementation = implementationOf(attempt.instrument);
    const direct = attempt.transfer;
    const offered = asOffer(attempt, policy, implementation);
    const ask = async (transfer: TransferJson) =>
      await registry.transferFactory(attempt.instrument, transferOfJson(transfer));

    if (!policy.paysDirect && !policy.paysOffers) {
      throw new RetryableError('INSTRUMENT_NOT_PAID', 'The instrument is neither paid directly nor by offers now.');
    }
    const factory = await ask(policy.paysDirect ? direct : offered);
    switch (factory.transferKind) {
      case 'self':
        return cannot('RECEIVER_IS_SENDER', 'The receiver is the treasury itself.');
      case 'direct':
        if (!policy.paysDirect)
          return cannot(
            'DIRECT_NOT_ALLOWED',
            'The instrument is paid by offers alone, and this receiver takes no offer.',
          );
        return exercise(attempt, { kind: 'DIRECT', transfer: direct, factory, implementation });
      case 'offer': {
        if (!policy.paysOffers)
          return cannot('RECEIVER_NOT_PREAPPROVED', 'The receiver takes this instrument only as an offer.');
        // An answer is good for exactly the transfer that was asked about.
        const answer = policy.paysDirect ? await ask(offered) : factory;
        if (answer.transferKind !== 'offer') {
          throw new RetryableError(
            'TRANSFER_KIND_CHANGED',
            'The registry takes the transfer otherwise than a moment ago.',
          );
        }
        return exercise(attempt, { kind: 'OFFER', transfer: offered, factory: answer, implementation });
      }
    }
  };
}

/** The same transfer, with the time that a receiver has to accept it. */
function asOffer(
  { transfer, target }: OpenAttempt,
  { offerValiditySeconds: validitySeconds }: PaymentPolicy,
  implementation: RegistryImplementation,
): TransferJson {
  const requestedAt = BigInt(transfer.requestedAt);
  const isAmulet = implementation === 'SPLICE_AMULET';
  return { ...transfer, executeBefore: offerDeadline({ requestedAt, target, validitySeconds, isAmulet }).toString() };
}

/** Given up where nothing was signed; else it waits for its proof, and a later try may find things changed. */
function cannot(code: string, detail: string): Plan {
  return { kind: 'CANNOT', failure: { code, detail }, later: new RetryableError(code, detail) };
}

type Planned = Terms & { readonly factory: TransferFactory; readonly implementation: RegistryImplementation };

function exercise(attempt: OpenAttempt, { factory, implementation, ...terms }: Planned): Plan {
  const intent = intentOf(implementation, attempt, factory, terms);
  return {
    kind: 'EXERCISE',
    intent,
    contractId: factory.factoryId,
    interfaceId: interfaceReference(TRANSFER_FACTORY_V1),
    choice: TRANSFER_CHOICE,
    argument: transferArgument(intent),
    disclosedContracts: factory.disclosedContracts,
  };
}

type Terms = Pick<TransferIntent, 'kind'> & { readonly transfer: TransferJson };

/** @param terms directly, as the attempt fixed it, where left out. */
export function intentOf(
  implementation: RegistryImplementation,
  attempt: OpenAttempt,
  factory: TransferFactory,
  { kind, transfer }: Terms = { kind: 'DIRECT', transfer: attempt.transfer },
): TransferIntent {
  return {
    kind,
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
