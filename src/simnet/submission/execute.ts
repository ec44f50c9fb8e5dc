/**
 * ExecuteSubmission: what the executing participant refuses at once, and what the network decides later. The prepared bytes are believed in
 * nothing: the transaction is interpreted again from its root and seed, and has to come out the same.
 */
import { timestampToMicros } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import {
  DamlTransaction,
  type ExecuteSubmissionRequest,
  HashingSchemeVersion,
  Metadata,
  PreparedTransaction,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Command, ContractLookup } from '../daml/interpreter.ts';
import { recordOf } from '../daml/value.ts';
import { cantonError } from '../ledger/canton-error.ts';
import { missingField } from '../ledger/event-filter.ts';
import type { Interpreted, Ledger } from '../ledger/ledger.ts';
import { failedToExecute } from './party-keys.ts';
import { preparedHash, type Scheme } from './prepared-hash.ts';
import { prepareTransaction } from './prepared-transaction.ts';
import type { SubmissionContext } from './submission-context.ts';

/** A submission that the participant has taken on; everything else about it is decided by the network. */
export type Accepted = {
  readonly request: ExecuteSubmissionRequest;
  readonly prepared: PreparedTransaction;
  readonly metadata: Metadata;
  readonly actAs: readonly string[];
  readonly commandId: string;
  /** What was signed. */
  readonly hash: Uint8Array;
  readonly ledgerTimeMicros: bigint;
  /** The trace context that it came with. */
  readonly traceParent?: string;
};

const LEDGER_TIME_TOLERANCE_MICROS = 60n * 1_000_000n;
const PREPARATION_TOLERANCE_MICROS = 24n * 3_600n * 1_000_000n;

/** The checks whose refusal is the answer of the call. @throws CantonError; nothing was submitted. */
export function accept(context: SubmissionContext, request: ExecuteSubmissionRequest): Accepted {
  const { synchronizer, keys, clock } = context;
  if (request.preparedTransaction.length === 0) throw missingField('prepared_transaction');
  if (request.partySignatures === undefined) throw missingField('party_signatures');
  if (request.submissionId === '') throw missingField('submission_id');
  const prepared = decode(request.preparedTransaction);
  const { metadata } = prepared;
  const submitter = metadata?.submitterInfo;
  if (metadata === undefined || submitter === undefined) throw missingField('metadata');
  const scheme = schemeOf(request.hashingSchemeVersion);
  if (metadata.synchronizerId !== synchronizer.physicalId()) {
    throw failedToExecute(
      `The transaction was prepared for synchronizer ${metadata.synchronizerId}, this is ${synchronizer.physicalId()}`,
    );
  }
  const hash = hashOf(prepared, scheme);
  keys.verify(hash, submitter.actAs, request.partySignatures.signatures);
  return {
    request,
    prepared,
    metadata,
    actAs: submitter.actAs,
    commandId: submitter.commandId,
    hash,
    ledgerTimeMicros: ledgerTimeOf(metadata, request, clock.nowMicros()),
  };
}

/**
 * Interprets again what was prepared, with the inputs that it names.
 * @throws CantonError LOCAL_VERDICT_FAILED_MODEL_CONFORMANCE_CHECK when another transaction comes out.
 */
export function reinterpret(context: SubmissionContext, accepted: Accepted): Interpreted {
  const ledger = context.ledger();
  const { prepared, metadata, actAs, ledgerTimeMicros } = accepted;
  const named = new Set(metadata.inputContracts.map(({ contract }) => contract?.value.contractId));
  const contracts: ContractLookup = {
    find: (contractId) => {
      const known = named.has(contractId) ? ledger.contracts.find(contractId) : undefined;
      return known && { contract: known.contract, isActive: true };
    },
  };
  const { command, transactionSeed, packageIds } = rootOf(prepared, ledger);
  let interpreted: Interpreted;
  try {
    interpreted = ledger.interpret({
      commands: [command],
      actAs,
      preferredPackages: packageIds,
      ledgerTimeMicros,
      transactionSeed,
      contracts,
    });
  } catch (error) {
    // Whatever is wrong with it, a command that prepare would have refused is no transaction of the model.
    throw notConformant(messageOf(error));
  }
  const again = prepareTransaction({
    tree: interpreted.tree,
    transactionSeed,
    contract: (contractId) => contracts.find(contractId)?.contract,
    metadata,
  });
  if (!isSame(prepared, again)) throw notConformant('the transaction differs from its reinterpretation');
  return interpreted;
}

/** The checks that depend on the record time. @throws CantonError: rejected with that verdict. */
export function confirmTimes({ metadata, ledgerTimeMicros }: Accepted, recordTimeMicros: bigint): void {
  const distance = (from: bigint): bigint =>
    recordTimeMicros > from ? recordTimeMicros - from : from - recordTimeMicros;
  const bound = metadata.maxRecordTime;
  if (bound !== undefined && recordTimeMicros > bound) {
    throw timeVerdict('MAX_RECORD_TIME_EXCEEDED', `record time ${recordTimeMicros} is after max record time ${bound}`);
  }
  if (distance(ledgerTimeMicros) > LEDGER_TIME_TOLERANCE_MICROS) {
    throw timeVerdict('LEDGER_TIME_OUT_OF_BOUND', `ledger time ${ledgerTimeMicros}, record time ${recordTimeMicros}`);
  }
  if (distance(metadata.preparationTime) > PREPARATION_TOLERANCE_MICROS) {
    throw timeVerdict(
      'PREPARATION_TIME_OUT_OF_BOUND',
      `preparation time ${metadata.preparationTime}, record time ${recordTimeMicros}`,
    );
  }
}

function decode(bytes: Uint8Array): PreparedTransaction {
  try {
    return PreparedTransaction.decode(bytes);
  } catch (error) {
    throw failedToExecute(`The prepared transaction cannot be decoded: ${messageOf(error)}`);
  }
}

function hashOf(prepared: PreparedTransaction, scheme: Scheme): Uint8Array {
  try {
    return preparedHash(prepared, scheme);
  } catch (error) {
    throw failedToExecute(`The prepared transaction cannot be hashed: ${messageOf(error)}`);
  }
}

function schemeOf(version: HashingSchemeVersion): Scheme {
  switch (version) {
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_V2:
      return 'V2';
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_V3:
      return 'V3';
    case HashingSchemeVersion.HASHING_SCHEME_VERSION_UNSPECIFIED:
      throw missingField('hashing_scheme_version');
    default:
      throw failedToExecute('This hashing scheme version is not supported on the synchronizer');
  }
}

/** Now, unless the transaction read the clock: then what it read. @throws CantonError LEDGER_TIME_OUTSIDE_BOUNDS. */
function ledgerTimeOf(metadata: Metadata, request: ExecuteSubmissionRequest, now: bigint): bigint {
  const { minLedgerEffectiveTime: min, maxLedgerEffectiveTime: max } = metadata;
  const asked = request.minLedgerTime?.time;
  const least =
    asked?.$case === 'minLedgerTimeAbs'
      ? timestampToMicros(asked.value)
      : asked?.$case === 'minLedgerTimeRel'
        ? now + timestampToMicros(asked.value)
        : now;
  if (min !== undefined && min === max) return min;
  const time = least > now ? least : now;
  if ((min !== undefined && time < min) || (max !== undefined && time > max)) {
    throw cantonError({
      code: 'LEDGER_TIME_OUTSIDE_BOUNDS',
      category: 'invalidRequest',
      text: `Ledger time ${time} is outside of the bounds [${min ?? ''}, ${max ?? ''}] of the prepared transaction`,
      definiteAnswer: true,
    });
  }
  return time;
}

type Root = {
  readonly command: Command;
  readonly transactionSeed: string;
  /** Of the packages that its new contracts were made with. */
  readonly packageIds: ReadonlySet<string>;
};

function rootOf({ transaction }: PreparedTransaction, ledger: Ledger): Root {
  const [rootId, ...others] = transaction?.roots ?? [];
  const typeOf = (nodeId: string | undefined) =>
    transaction?.nodes.find((node) => node.nodeId === nodeId)?.versionedNode?.value.nodeType;
  const seed = transaction?.nodeSeeds.find(({ nodeId }) => String(nodeId) === rootId)?.seed;
  const root = typeOf(rootId);
  if (rootId !== '0' || others.length > 0 || root === undefined || seed === undefined) throw notConformant('no root');
  const packageIds = new Set(
    (transaction?.nodes ?? []).flatMap(({ versionedNode }) => {
      const type = versionedNode?.value.nodeType;
      return type?.$case === 'create' && type.value.templateId !== undefined ? [type.value.templateId.packageId] : [];
    }),
  );
  const transactionSeed = Buffer.from(seed).toString('hex');
  if (root.$case === 'exercise' && root.value.chosenValue?.sum?.$case === 'record') {
    const { contractId, choiceId: choice, chosenValue } = root.value;
    return {
      command: { kind: 'exercise', contractId, choice, argument: recordOf(chosenValue) },
      transactionSeed,
      packageIds,
    };
  }
  const { templateId, packageName, argument } = root.$case === 'create' ? root.value : {};
  if (templateId === undefined || packageName === undefined || argument?.sum?.$case !== 'record') {
    throw notConformant('the root is neither create nor exercise');
  }
  const template = ledger.template(packageIds)(packageName, templateId.moduleName, templateId.entityName);
  return {
    command: { kind: 'create', template, createArguments: recordOf(argument) },
    transactionSeed,
    packageIds,
  };
}

function isSame(shown: PreparedTransaction, again: PreparedTransaction): boolean {
  if (shown.transaction === undefined || again.transaction === undefined) return false;
  const left = DamlTransaction.encode(shown.transaction).finish();
  const right = DamlTransaction.encode(again.transaction).finish();
  return Buffer.compare(left, right) === 0 && inputsOf(shown) === inputsOf(again);
}

function inputsOf({ metadata }: PreparedTransaction): string {
  const inputContracts = metadata?.inputContracts ?? [];
  return Buffer.from(Metadata.encode(Metadata.fromPartial({ inputContracts })).finish()).toString('hex');
}

function notConformant(text: string): Error {
  return cantonError({
    code: 'LOCAL_VERDICT_FAILED_MODEL_CONFORMANCE_CHECK',
    category: 'securityAlert',
    text: `Rejected transaction due to a failed model conformance check: ${text}`,
    definiteAnswer: true,
  });
}

function timeVerdict(name: string, text: string): Error {
  return cantonError({
    code: `LOCAL_VERDICT_${name}`,
    category: 'contention',
    text: `Rejected transaction: ${text}`,
    definiteAnswer: true,
  });
}
