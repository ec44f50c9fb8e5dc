/** PrepareSubmission: interprets the command and shows what it would do. Nothing happens to the ledger, nothing is remembered. */
import { microsToTimestamp, timestampToMicros } from '../../env/clock.ts';
import {
  HashingSchemeVersion,
  PreparedTransaction,
  type PrepareSubmissionRequest,
  type PrepareSubmissionResponse,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { cantonError } from '../ledger/canton-error.ts';
import { missingField } from '../ledger/event-filter.ts';
import { knownRefusal } from '../ledger/known-refusals.ts';
import type { Interpreted } from '../ledger/ledger.ts';
import { RESPONSE_TRAFFIC, trafficCost } from '../ledger/ledger.ts';
import { readCommand, visibleContracts } from './command-reader.ts';
import { lieAboutCommand, lieAboutPrepared } from './prepare-lies.ts';
import { nodeHasher, preparedHash, type Scheme } from './prepared-hash.ts';
import { prepareTransaction } from './prepared-transaction.ts';
import type { SubmissionContext } from './submission-context.ts';
import type { PrepareLie } from './submission-faults.ts';

/** @param lie makes the node answer with something else than what was asked for. @throws CantonError; a definite answer. */
export function prepare(
  context: SubmissionContext,
  request: PrepareSubmissionRequest,
  lie: PrepareLie | undefined,
): PrepareSubmissionResponse {
  const { clock, random, synchronizer } = context;
  requireComplete(context, request);
  const scheme = schemeOf(request.hashingSchemeVersion);
  const { tree, transactionSeed } = interpret(context, request, lie);
  if (context.ledger().synchronizerFor(tree) !== synchronizer.synchronizerId)
    throw cantonError(knownRefusal('NO_SYNCHRONIZER_FOR_SUBMISSION'));
  if (tree.roots.length !== 1) throw failedToPrepare('Only transactions with one root node can be prepared');

  const now = clock.nowMicros();
  const honest = prepareTransaction({
    tree,
    transactionSeed,
    contract: (contractId) => context.ledger().contracts.find(contractId)?.contract,
    metadata: {
      submitterInfo: { actAs: [...new Set(request.actAs)].sort(), commandId: request.commandId },
      synchronizerId: synchronizer.preparedPhysicalId(),
      mediatorGroup: 0,
      transactionUuid: random.uuid(),
      preparationTime: now,
      maxRecordTime: request.maxRecordTime && timestampToMicros(request.maxRecordTime),
    },
  });
  const minimum = minLedgerTime(request, now);
  const bound = honest.metadata?.minLedgerEffectiveTime;
  if (honest.metadata !== undefined && minimum !== undefined && (bound === undefined || minimum > bound)) {
    honest.metadata.minLedgerEffectiveTime = minimum;
  }
  const shown = lieAboutPrepared(honest, lie);
  const hash = preparedHash(shown, scheme);
  const cost = trafficCost(tree);
  return {
    preparedTransaction: PreparedTransaction.encode(shown).finish(),
    preparedTransactionHash: lie?.kind === 'hash' ? hash.map((value) => value ^ 1) : hash,
    hashingSchemeVersion:
      scheme === 'V3' ? HashingSchemeVersion.HASHING_SCHEME_VERSION_V3 : HashingSchemeVersion.HASHING_SCHEME_VERSION_V2,
    hashingDetails: request.verboseHashing ? detailsOf(shown, scheme) : undefined,
    costEstimation: request.estimateTrafficCost?.disabled
      ? undefined
      : {
          estimationTimestamp: microsToTimestamp(now),
          confirmationRequestTrafficCostEstimation: cost,
          confirmationResponseTrafficCostEstimation: RESPONSE_TRAFFIC,
          totalTrafficCostEstimation: cost + RESPONSE_TRAFFIC,
        },
  };
}

function interpret(
  context: SubmissionContext,
  request: PrepareSubmissionRequest,
  lie: PrepareLie | undefined,
): Interpreted {
  const { packages, synchronizer } = context;
  const ledger = context.ledger();
  const readers = new Set([...request.actAs, ...request.readAs]);
  const visible = visibleContracts(
    ledger.contracts,
    request.disclosedContracts,
    synchronizer.synchronizerId,
    (stakeholders) => stakeholders.some((party) => readers.has(party)),
  );
  const preferredPackages = new Set(request.packageIdSelectionPreference);
  const [wire] = request.commands;
  if (wire === undefined) throw missingField('commands');
  const asked = readCommand(wire, { packages, contracts: visible, preferredPackages });
  const command = lieAboutCommand(asked, lie, context.replan);
  return ledger.interpret({
    commands: [command],
    actAs: [...new Set(request.actAs)].sort(),
    preferredPackages,
    // A node that lies also reads what nobody disclosed to it.
    contracts: command === asked ? visible : ledger.contracts,
  });
}

function requireComplete(context: SubmissionContext, request: PrepareSubmissionRequest): void {
  const { commandId, commands, actAs, synchronizerId } = request;
  if (commandId === '') throw missingField('command_id');
  if (commands.length === 0) throw missingField('commands');
  if (actAs.length === 0) throw missingField('act_as');
  if (commands.length > 1) throw failedToPrepare('Preparing multiple commands is currently not supported');
  if (synchronizerId !== '' && synchronizerId !== context.synchronizer.synchronizerId) {
    throw cantonError({
      code: 'INVALID_PRESCRIBED_SYNCHRONIZER_ID',
      category: 'invalidState',
      text: `The prescribed synchronizer ${synchronizerId} is not one this participant is connected to`,
      definiteAnswer: true,
    });
  }
  const unknown = [...new Set([...actAs, ...request.readAs])].filter(
    (party) => !context.knownParties().includes(party),
  );
  if (unknown.length > 0) {
    throw cantonError({
      code: 'UNKNOWN_SUBMITTERS',
      category: 'resourceMissing',
      text: `The participant is not connected to any synchronizer where the given submitters are known: ${unknown.join(', ')}`,
      definiteAnswer: true,
    });
  }
}

function schemeOf(version: HashingSchemeVersion | undefined): Scheme {
  switch (version) {
    case undefined:
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_UNSPECIFIED:
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_V2:
      return 'V2';
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_V3:
      return 'V3';
    default:
      throw failedToPrepare('This hashing scheme version is not supported on the synchronizer');
  }
}

function minLedgerTime({ minLedgerTime: given }: PrepareSubmissionRequest, now: bigint): bigint | undefined {
  switch (given?.time?.$case) {
    case 'minLedgerTimeAbs':
      return timestampToMicros(given.time.value);
    case 'minLedgerTimeRel':
      return now + timestampToMicros(given.time.value);
    default:
      return undefined;
  }
}

function detailsOf({ transaction }: PreparedTransaction, scheme: Scheme): string {
  if (transaction === undefined) return '';
  const hashOf = nodeHasher(transaction, scheme);
  return transaction.nodes.map(({ nodeId }) => `node ${nodeId}: ${hashOf(nodeId).toString('hex')}`).join('\n');
}

function failedToPrepare(text: string): Error {
  return cantonError({ code: 'FAILED_TO_PREPARE_TRANSACTION', category: 'invalidRequest', text, definiteAnswer: true });
}
