/** The one command of the transaction, and what it says came of it. */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { isInterface, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import { field, readContractId, readList, readRecord, readVariant, required } from '../tokens/value.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { IMPLEMENTATIONS, templateName } from './registry-implementations.ts';
import type { ExerciseNode } from './transaction-tree.ts';
import { TRANSFER_CHOICE, transferArgument } from './transfer-argument.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { understood } from './understood.ts';
import { differenceOf } from './value-difference.ts';

/** Contract ids that the transfer's result names. */
export type TransferResult = {
  readonly output:
    | { readonly kind: 'COMPLETED'; readonly receiverHolding: string }
    | { readonly kind: 'PENDING'; readonly instruction: string };
  readonly senderChange: string | null;
};

/**
 * That the sender alone acts in it follows from `intent-authority.ts`. The root must be the intended choice of the intended factory with exactly the intended argument, and its result of the demanded kind.
 * @throws CustodyRefusal INTENT_ROOT, INTENT_ARGUMENT, INTENT_RESULT.
 */
export function demandRoot({ exercise, at }: ExerciseNode, intent: TransferIntent): TransferResult {
  const check = (condition: boolean, message: string): void => demand(condition, 'INTENT_ROOT', message, at);
  const isTransfer =
    exercise.choiceId === TRANSFER_CHOICE &&
    isInterface(exercise.interfaceId, TRANSFER_FACTORY_V1) &&
    !exercise.consuming;
  check(isTransfer, 'Not a transfer through the token standard.');
  check(exercise.contractId === intent.factory, 'Another factory.');
  const roots = IMPLEMENTATIONS[intent.implementation]?.roots;
  check(roots === undefined || roots.has(templateName(exercise)), 'A factory of another implementation.');

  const difference = differenceOf(transferArgument(intent), exercise.chosenValue, `${at} chosenValue`);
  if (difference !== null) throw new CustodyRefusal('INTENT_ARGUMENT', 'Not what was meant.', difference);

  const result = understood('INTENT_RESULT', at, () => readResult(exercise.exerciseResult, at));
  const isDemanded = (result.output.kind === 'COMPLETED') === (intent.kind === 'DIRECT');
  demand(isDemanded, 'INTENT_RESULT', `Not ${intent.kind}.`, `${at} exerciseResult.output`);
  return result;
}

function readResult(result: Value | undefined, at: string): TransferResult {
  const record = required(readRecord(result), 'result');
  const output = required(readVariant(field(record, 'output')), 'output');
  const change = contractIds(field(record, 'senderChangeCids'), 'senderChangeCids');
  demand(change.length <= 1, 'INTENT_RESULT', 'More than one change.', `${at} exerciseResult.senderChangeCids`);
  return { output: readOutput(output, at), senderChange: change[0] ?? null };
}

function readOutput(
  { constructor: name, value }: { constructor: string; value: Value | undefined },
  at: string,
): TransferResult['output'] {
  const inner = readRecord(value);
  if (name === 'TransferInstructionResult_Pending') {
    const instruction = required(readContractId(field(inner, 'transferInstructionCid')), 'transferInstructionCid');
    return { kind: 'PENDING', instruction };
  }
  const holdings =
    name === 'TransferInstructionResult_Completed'
      ? contractIds(field(inner, 'receiverHoldingCids'), 'receiverHoldingCids')
      : [];
  const [receiverHolding] = holdings;
  if (receiverHolding !== undefined && holdings.length === 1) return { kind: 'COMPLETED', receiverHolding };
  throw new CustodyRefusal('INTENT_RESULT', 'Not one holding for the receiver.', `${at} exerciseResult.output`);
}

export function contractIds(value: Value | undefined, what: string): readonly string[] {
  return required(readList(value), what).map((element) => required(readContractId(element), what));
}
