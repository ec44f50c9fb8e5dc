/**
 * One try at an attempt: ask the registry, prepare, check, write down, sign, verify, write down, execute, forget the answer.
 *
 * Every try of an attempt has the same inputs and the same last record time, so that however many of them reach the ledger, one commits at most. Before the signer is called the hash is
 * committed, and before execute is called the try is; a crash anywhere leaves a row that says the most that can be in flight. Nothing that fails here ends the attempt once a signature was asked
 * for; before that, only what can never succeed does.
 */
import { type CheckedTransfer, checkTransfer } from '../custody/intent-check.ts';
import { PREPARATION_TOLERANCE_MICROS } from '../custody/intent-metadata.ts';
import type { EarlierAttempt, Signer } from '../custody/signer.ts';
import { TRANSFER_CHOICE, transferArgument } from '../custody/transfer-argument.ts';
import type { RegistryImplementation, TransferIntent } from '../custody/transfer-intent.ts';
import { verifySignature } from '../custody/verify-signature.ts';
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Random } from '../env/random.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Prepared, Submitter } from '../ledger/submission-client.ts';
import { parseAmount } from '../tokens/amount.ts';
import { interfaceReference, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import { type Instrument, type TransferRecord, transferOfJson } from '../tokens/transfer-record.ts';
import { giveUpUnsigned, type OpenAttempt, recordSignatureRequest, recordTry } from './attempts.ts';
import { demandUnfrozen } from './freeze-check.ts';

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

export type TryOptions = {
  readonly db: Database;
  readonly submitter: Pick<Submitter, 'prepare' | 'execute'>;
  readonly registry: Registry;
  readonly signer: Signer;
  readonly implementationOf: (instrument: Instrument) => RegistryImplementation;
  readonly userId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly failpoint: Failpoint;
};

/** What a try needs to know beside its attempt, read from the database at its start. */
export type LedgerView = {
  readonly recordTime: Micros;
  readonly earlier: readonly EarlierAttempt[];
  readonly inputsSpentElsewhere: readonly string[];
};

export type TryOutcome = 'EXECUTED' | 'GIVEN_UP' | 'NO_LONGER_OPEN';

/** @throws whatever the registry, participant or signer threw, or a CustodyRefusal: to be noted, and tried again later. */
export async function tryAttempt(
  options: TryOptions,
  attempt: OpenAttempt,
  view: LedgerView,
  nextTryAt: Micros,
): Promise<TryOutcome> {
  const { db, submitter, registry, signer, clock, random, failpoint } = options;
  await demandUnfrozen(db, attempt.submissionId);
  const factory = await registry.transferFactory(attempt.instrument, transferOfJson(attempt.transfer));
  if (factory.transferKind !== 'direct') {
    const failure = {
      code: 'RECEIVER_NOT_PREAPPROVED',
      detail: 'The receiver takes this instrument only as an offer.',
    };
    if (await giveUpUnsigned(db, attempt, failure, clock.nowMicros())) return 'GIVEN_UP';
    // A signature may exist: only the ledger ends it now. Another try may find the receiver willing again.
    throw new CannotTransferDirectly();
  }

  const intent = intentOf(options, attempt, factory);
  const prepared = await prepare(options, attempt, intent, factory);
  await failpoint('withdrawals.afterPrepare');
  const window = { recordTime: view.recordTime, toleranceMicros: PREPARATION_TOLERANCE_MICROS };
  const checked: CheckedTransfer = checkTransfer(intent, prepared, window);

  if (
    !(await recordSignatureRequest(db, attempt, {
      hash: checked.hash,
      scheme: checked.scheme,
      nowMicros: clock.nowMicros(),
    }))
  ) {
    return 'NO_LONGER_OPEN';
  }
  await failpoint('withdrawals.afterSignatureRequested');
  await demandUnfrozen(db, attempt.submissionId);
  const signature = await signer.sign({
    requestId: random.uuid(),
    submissionId: attempt.submissionId,
    attempt: attempt.number,
    earlierAttempts: view.earlier,
    inputsSpentElsewhere: view.inputsSpentElsewhere,
    intent,
    prepared,
    recordTime: view.recordTime,
  });
  verifySignature(checked.hash, signature, [await signer.currentKey()]);
  await failpoint('withdrawals.afterSigning');

  await demandUnfrozen(db, attempt.submissionId);
  if (!(await recordTry(db, attempt, nextTryAt))) return 'NO_LONGER_OPEN';
  await failpoint('withdrawals.beforeExecute');
  await submitter.execute({
    userId: options.userId,
    submissionId: random.uuid(),
    party: attempt.treasuryParty,
    preparedTransaction: prepared.preparedTransaction,
    scheme: prepared.scheme,
    signature,
  });
  await failpoint('withdrawals.afterExecute');
  return 'EXECUTED';
}

class CannotTransferDirectly extends RetryableError {
  constructor() {
    super('RECEIVER_NOT_PREAPPROVED', 'The receiver takes this instrument only as an offer at the moment.');
  }
}

function intentOf({ implementationOf }: TryOptions, attempt: OpenAttempt, factory: TransferFactory): TransferIntent {
  const { transfer } = attempt;
  return {
    kind: 'DIRECT',
    implementation: implementationOf(attempt.instrument),
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

function prepare(
  { submitter, userId }: TryOptions,
  attempt: OpenAttempt,
  intent: TransferIntent,
  factory: TransferFactory,
): Promise<Prepared> {
  return submitter.prepare({
    userId,
    commandId: intent.commandId,
    actAs: attempt.treasuryParty,
    synchronizerId: attempt.synchronizerId,
    contractId: factory.factoryId,
    interfaceId: interfaceReference(TRANSFER_FACTORY_V1),
    choice: TRANSFER_CHOICE,
    argument: transferArgument(intent),
    disclosedContracts: factory.disclosedContracts,
    maxRecordTime: attempt.target,
  });
}
