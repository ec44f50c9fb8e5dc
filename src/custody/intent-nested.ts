/**
 * Choices below the root that carry the transfer on, and must carry the same one. What they say beyond that (results, event logs) follows from
 * the registry's code, which the admin's participants run again before they confirm.
 */
import type { Record as DamlRecord } from '../gen/com/daml/ledger/api/v2/value.ts';
import { META_REASON } from '../tokens/standard.ts';
import { readTransfer } from '../tokens/transfer-record.ts';
import {
  field,
  readContractId,
  readList,
  readOptional,
  readParty,
  readRecord,
  readText,
  readVariant,
  required,
} from '../tokens/value.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { readPrintedDecimal } from './printed-decimal.ts';
import type { ExerciseNode, TransactionTree } from './transaction-tree.ts';
import { transferValue } from './transfer-argument.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { understood } from './understood.ts';
import { differenceOf } from './value-difference.ts';

type Check = (node: ExerciseNode, argument: DamlRecord, intent: TransferIntent, tree: TransactionTree) => void;

const CHECKS: Readonly<Record<string, Check>> = {
  TransferPreapproval_Send: demandSend,
  TransferPreapproval_SendV2: demandSend,
  AmuletRules_Transfer: demandAmuletTransfer,
  TransferFactory_Transfer: demandFactory,
  AllocationFactory_TransferInternal: (node, argument, intent) =>
    demandFactory(node, required(readRecord(field(argument, 'payload')), 'payload'), intent),
  TransferRule_DirectTransfer: demandRule,
  TransferRule_TwoStepTransfer: demandRule,
  TransferRule_Transfer: demandRule,
};

/** @throws CustodyRefusal INTENT_NESTED_ARGUMENT when a nested choice carries another transfer. */
export function demandNested(node: ExerciseNode, intent: TransferIntent, tree: TransactionTree): void {
  const check = Object.hasOwn(CHECKS, node.exercise.choiceId) ? CHECKS[node.exercise.choiceId] : undefined;
  if (check === undefined) return;
  understood('INTENT_NESTED_ARGUMENT', node.at, () => {
    check(node, required(readRecord(node.exercise.chosenValue), 'argument'), intent, tree);
  });
}

function demandPart(condition: boolean, node: ExerciseNode, name: string): void {
  demand(condition, 'INTENT_NESTED_ARGUMENT', 'Not what was meant.', `${node.at} chosenValue.${name}`);
}

/** Canton Coin, through the receiver's preapproval. The receiver reads the memo from here. */
function demandSend(node: ExerciseNode, argument: DamlRecord, intent: TransferIntent, tree: TransactionTree): void {
  const preapproval = readRecord(tree.inputContracts.get(node.exercise.contractId)?.argument);
  demandPart(readParty(field(preapproval, 'receiver')) === intent.receiver, node, '(receiver of the preapproval)');
  demandPart(readParty(field(preapproval, 'dso')) === intent.instrument.admin, node, '(dso of the preapproval)');
  demandPart(readParty(field(argument, 'sender')) === intent.sender, node, 'sender');
  demandPart(readPrintedDecimal(field(argument, 'amount')) === intent.amount, node, 'amount');
  const description = readText(readOptional(field(argument, 'description')));
  demandPart(description === intent.meta.get(META_REASON), node, 'description');
  demandInputs(node, readList(field(argument, 'inputs')) ?? [], tree);
}

/** Canton Coin's older package: the movement itself. An offer is a transfer to oneself, locked. */
function demandAmuletTransfer(
  node: ExerciseNode,
  argument: DamlRecord,
  intent: TransferIntent,
  tree: TransactionTree,
): void {
  const transfer = readRecord(field(argument, 'transfer'));
  demandPart(readParty(field(transfer, 'sender')) === intent.sender, node, 'transfer.sender');
  const outputs = readList(field(transfer, 'outputs')) ?? [];
  const output = readRecord(outputs[0]);
  demandPart(outputs.length === 1, node, 'transfer.outputs');
  const owner = intent.kind === 'OFFER' ? intent.sender : intent.receiver;
  demandPart(readParty(field(output, 'receiver')) === owner, node, 'transfer.outputs[0].receiver');
  demandPart(readPrintedDecimal(field(output, 'amount')) === intent.amount, node, 'transfer.outputs[0].amount');
  demandInputs(node, readList(field(transfer, 'inputs')) ?? [], tree);
}

/** Every input is an amulet that this transaction archives. */
function demandInputs(
  node: ExerciseNode,
  inputs: readonly NonNullable<Parameters<typeof readVariant>[0]>[],
  tree: TransactionTree,
): void {
  demandPart(inputs.length > 0, node, 'inputs');
  for (const [index, input] of inputs.entries()) {
    const variant = readVariant(input);
    const contractId = variant?.constructor === 'InputAmulet' ? readContractId(variant.value) : undefined;
    demandPart(contractId !== undefined && tree.consumed.has(contractId), node, `inputs[${index}]`);
  }
}

/** The utility registry hands what the root was given to itself or to the receiver's preapproval, less the context. */
function demandFactory(node: ExerciseNode, argument: DamlRecord, intent: TransferIntent): void {
  demandPart(readParty(field(argument, 'expectedAdmin')) === intent.instrument.admin, node, 'expectedAdmin');
  const inputs = intent.inputs.map(({ contractId }) => contractId);
  const difference = differenceOf(transferValue(intent, inputs), field(argument, 'transfer'), `${node.at} transfer`);
  if (difference !== null) throw new CustodyRefusal('INTENT_NESTED_ARGUMENT', 'Not what was meant.', difference);
}

/** The utility registry's movement; it may name other inputs, but only such as this transaction has in hand. */
function demandRule(node: ExerciseNode, argument: DamlRecord, intent: TransferIntent, tree: TransactionTree): void {
  const { inputHoldings } = readTransfer(field(argument, 'transfer'));
  const areOurs = inputHoldings.every((contractId) => tree.consumed.has(contractId));
  demandPart(areOurs, node, 'transfer.inputHoldingCids');
  const at = `${node.at} chosenValue.transfer`;
  const difference = differenceOf(transferValue(intent, inputHoldings), field(argument, 'transfer'), at);
  if (difference !== null) throw new CustodyRefusal('INTENT_NESTED_ARGUMENT', 'Not what was meant.', difference);
}
