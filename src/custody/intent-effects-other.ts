/**
 * What can be said of a transfer whose registry is not known here. Its contracts cannot be read, so amounts are the admin's word; but who is
 * touched can be seen: only the named inputs of ours are spent, and nothing comes out for us and the receiver but output and change, or the offer
 * and what it locks.
 * Together with `intent-authority.ts` that leaves the admin's own code, confirmed by the admin's own participants.
 */
import type { Create } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Amount, formatAmount, sumAmounts } from '../tokens/amount.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import type { TransferResult } from './intent-root.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';
import type { TransferIntent } from './transfer-intent.ts';

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandEffectsOfOther(tree: TransactionTree, result: TransferResult, intent: TransferIntent): void {
  demandInputs(tree, intent);
  const { sender, receiver, amount } = intent;
  const allowed = new Set<CreateNode>();

  const rest = sumAmounts(intent.inputs.map((input) => input.amount)) - amount;
  const isChangeDue = rest > 0n === (result.senderChange !== null);
  demand(isChangeDue, 'INTENT_HOLDINGS', 'Change where none is due, or none where it is.', 'result');
  if (result.senderChange !== null) {
    allowed.add(demandMade(tree, result.senderChange, { intent, party: sender, units: rest }));
  }
  if (result.output.kind === 'COMPLETED') {
    const output = demandMade(tree, result.output.receiverHolding, { intent, party: receiver, units: amount });
    const isTheirs = sender === receiver || !output.create.stakeholders.includes(sender);
    demand(isTheirs, 'INTENT_HOLDINGS', 'A part of ours in what the receiver gets.', output.at);
    allowed.add(output);
  } else {
    allowed.add(demandMade(tree, result.output.instruction, { intent, party: receiver, units: amount }));
    const locked = liveOf(tree, sender).filter((node) => !allowed.has(node));
    // A registry may keep the funds in the offer itself; such a one is refused until it is known here, as nothing would show where they are.
    demand(locked.length === 1, 'INTENT_HOLDINGS', 'Not one holding that the offer locks.', locked[1]?.at ?? 'result');
    for (const { create } of locked) {
      allowed.add(demandMade(tree, create.contractId, { intent, party: sender, units: amount }));
    }
  }
  const extra = [...liveOf(tree, sender), ...liveOf(tree, receiver)].find((node) => !allowed.has(node));
  demand(extra === undefined, 'INTENT_CREATE_NOT_ALLOWED', 'More for us or the receiver than meant.', extra?.at ?? '');
}

function liveOf(tree: TransactionTree, party: string): readonly CreateNode[] {
  return [...tree.created.values()].filter(
    ({ create }) => create.stakeholders.includes(party) && !tree.consumed.has(create.contractId),
  );
}

function demandInputs(tree: TransactionTree, { sender, inputs, instrument }: TransferIntent): void {
  const named = new Set(inputs.map(({ contractId }) => contractId));
  for (const { exercise, at } of tree.consumed.values()) {
    const isOthers = tree.created.has(exercise.contractId) || !exercise.stakeholders.includes(sender);
    const isMeant = isOthers || named.has(exercise.contractId);
    demand(isMeant, 'INTENT_INPUTS', 'A contract of ours is spent that is no input.', at);
  }
  for (const { contractId, amount } of inputs) {
    const at = `input contract ${contractId}`;
    const contract = tree.inputContracts.get(contractId);
    demand(tree.consumed.has(contractId) && contract !== undefined, 'INTENT_INPUTS', 'An input is not spent.', at);
    const isKnown = isSignedFor(contract, instrument.admin, sender) && hasNumeric(contract.argument, amount);
    demand(isKnown, 'INTENT_INPUTS', 'An input is not the holding we know.', at);
  }
}

function demandMade(
  tree: TransactionTree,
  contractId: string,
  { intent, party, units }: { readonly intent: TransferIntent; readonly party: string; readonly units: bigint },
): CreateNode {
  const node = tree.created.get(contractId);
  if (node === undefined || tree.consumed.has(contractId)) {
    throw new CustodyRefusal('INTENT_HOLDINGS', 'What the result names is not there.', `contract ${contractId}`);
  }
  const isTheirs = isSignedFor(node.create, intent.instrument.admin, party);
  demand(isTheirs, 'INTENT_HOLDINGS', 'Not the admin’s contract for that party.', node.at);
  // No proof, but a lie more that has to be told: the amount must appear.
  demand(hasNumeric(node.create.argument, units), 'INTENT_HOLDINGS', 'The amount does not appear.', node.at);
  return node;
}

export function isSignedFor(create: Create, admin: string, party: string): boolean {
  return create.signatories.includes(admin) && create.stakeholders.includes(party);
}

/** Whether some numeric inside `value` is exactly `units`, as Canton prints it. */
export function hasNumeric(value: Value | undefined, units: Amount | bigint): boolean {
  const sum = value?.sum;
  switch (sum?.$case) {
    case 'numeric':
      return sum.value === formatAmount(units);
    case 'optional':
    case 'variant':
      return hasNumeric(sum.value.value, units);
    case 'list':
      return sum.value.elements.some((element) => hasNumeric(element, units));
    case 'record':
      return sum.value.fields.some((entry) => hasNumeric(entry.value, units));
    case 'textMap':
    case 'genMap':
      return sum.value.entries.some((entry) => hasNumeric(entry.value, units));
    default:
      return false;
  }
}
