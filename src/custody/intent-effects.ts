/**
 * What a transfer of a known implementation does, node by node and coin by coin: only allowed choices and contracts, exactly the named inputs
 * consumed, exactly the amount for the receiver (or locked for it), exactly the rest back.
 */

import type { Exercise } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { sumAmounts } from '../tokens/amount.ts';
import { isInterface, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { readTransfer } from '../tokens/transfer-record.ts';
import { field, readContractId, readRecord } from '../tokens/value.ts';
import { CustodyRefusal, demand, type RefusalCode } from './custody-refusal.ts';
import { demandNested } from './intent-nested.ts';
import type { TransferResult } from './intent-root.ts';
import { type Actors, type HoldingFacts, type Implementation, templateName } from './registry-implementations.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';
import { TRANSFER_CHOICE, transferValue } from './transfer-argument.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { understood } from './understood.ts';
import { differenceOf } from './value-difference.ts';

type Made = { readonly node: CreateNode; readonly facts: HoldingFacts };

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandEffects(
  tree: TransactionTree,
  result: TransferResult,
  intent: TransferIntent,
  implementation: Implementation,
): void {
  demandAllowedNodes(tree, intent, implementation);
  demandInputs(tree, intent, implementation);

  const made: Made[] = [];
  const offers: CreateNode[] = [];
  for (const node of tree.created.values()) {
    const facts = understood('INTENT_HOLDINGS', node.at, () => implementation.holding(node.create));
    if (facts !== undefined) demandOwnKind(node, facts, intent);
    if (tree.consumed.has(node.create.contractId)) {
      // A holding on its way: the release of an expired lock makes one and spends it.
      const isOurs = facts === undefined || facts.owner === intent.sender;
      demand(isOurs, 'INTENT_HOLDINGS', 'A passing holding of somebody else.', node.at);
    } else if (facts !== undefined) made.push({ node, facts });
    else if (templateName(node.create) === implementation.offer) offers.push(node);
    else {
      const { signatories } = node.create;
      const isTheirs = ![intent.sender, intent.receiver].some((party) => signatories.includes(party));
      demand(isTheirs, 'INTENT_CREATE_NOT_ALLOWED', 'A contract that we or the receiver would sign.', node.at);
    }
  }
  const output = demandHoldings(made, result, intent);
  demandOffer(offers, output, result, intent);
}

function demandAllowedNodes(
  tree: TransactionTree,
  intent: TransferIntent,
  { exercises, creates }: Implementation,
): void {
  for (const node of tree.nodes) {
    if (node.kind === 'create') {
      const name = templateName(node.create);
      demand(creates.has(name), 'INTENT_CREATE_NOT_ALLOWED', 'A transfer makes no such contract.', node.at, { name });
    } else if (node.kind === 'exercise' && node !== tree.root) {
      const choice = `${templateName(node.exercise)} ${node.exercise.choiceId}`;
      const allowed = exercises.get(choice);
      const isAllowed = allowed !== undefined && allowed.consuming === node.exercise.consuming;
      demand(isAllowed, 'INTENT_CHOICE_NOT_ALLOWED', 'A transfer has no such choice.', node.at, { choice });
      const isByWhom = isActedBy(node.exercise, allowed.actors, intent);
      demand(isByWhom, 'INTENT_AUTHORITY', 'Not by whom it should be.', node.at, { choice, actors: allowed.actors });
      const isThrough = isThroughInterface(node.exercise, intent);
      demand(isThrough, 'INTENT_CHOICE_NOT_ALLOWED', 'Through another interface.', node.at, { choice });
      demandNested(node, intent, tree);
    }
  }
}

/** @param intent its `sender` stands for the treasury party. */
export function isActedBy(
  { actingParties, signatories }: Exercise,
  actors: Actors,
  intent: Pick<TransferIntent, 'sender' | 'instrument'>,
): boolean {
  const are = (parties: readonly string[]): boolean =>
    actingParties.length === parties.length && parties.every((party) => actingParties.includes(party));
  switch (actors) {
    case 'SENDER':
      return are([intent.sender]);
    case 'ADMIN':
      return are([intent.instrument.admin]);
    case 'SIGNATORIES':
      return are(signatories);
    case 'WITH_SENDER':
      return actingParties.includes(intent.sender);
    case 'WITHOUT_SENDER':
      return !actingParties.includes(intent.sender);
  }
}

/** The standard's choice through the standard's interface, the registry's own choices through none. What others do is theirs. */
function isThroughInterface({ actingParties, choiceId, interfaceId }: Exercise, { sender }: TransferIntent): boolean {
  if (!actingParties.includes(sender) || choiceId === 'Archive') return true;
  return choiceId === TRANSFER_CHOICE ? isInterface(interfaceId, TRANSFER_FACTORY_V1) : interfaceId === undefined;
}

/** Of all contracts that were there before, exactly the inputs are consumed, and each is what our own records say. */
function demandInputs(tree: TransactionTree, intent: TransferIntent, { holding }: Implementation): void {
  const spent = [...tree.consumed.keys()].filter((contractId) => !tree.created.has(contractId));
  const named = new Set(intent.inputs.map(({ contractId }) => contractId));
  const extra = spent.find((contractId) => !named.has(contractId));
  demand(extra === undefined, 'INTENT_INPUTS', 'A contract is spent that is no input.', `contract ${extra}`);
  for (const { contractId, amount } of intent.inputs) {
    const at = `input contract ${contractId}`;
    demand(spent.includes(contractId), 'INTENT_INPUTS', 'An input is not spent.', at);
    const contract = tree.inputContracts.get(contractId);
    const facts = contract && understood('INTENT_INPUTS', at, () => holding(contract));
    const isKnown =
      facts !== undefined &&
      facts.owner === intent.sender &&
      facts.amount === amount &&
      isSameInstrument(facts.instrument, intent.instrument);
    demand(isKnown, 'INTENT_INPUTS', 'An input is not the holding we know.', at);
  }
}

export function demandOwnKind(
  { create, at }: CreateNode,
  facts: HoldingFacts,
  { instrument }: Pick<TransferIntent, 'instrument'>,
): void {
  const isOfInstrument =
    isSameInstrument(facts.instrument, instrument) && create.signatories.includes(instrument.admin);
  demand(isOfInstrument, 'INTENT_HOLDINGS', 'A holding of another instrument.', at);
  demand(create.signatories.includes(facts.owner), 'INTENT_HOLDINGS', 'A holding its owner did not sign.', at);
}

/** @returns the holding with the amount: the receiver's, or the locked one. */
function demandHoldings(made: readonly Made[], result: TransferResult, intent: TransferIntent): Made {
  const check = (condition: boolean, message: string, at: string): void =>
    demand(condition, 'INTENT_HOLDINGS', message, at, { holdings: made.map(({ node }) => node.at) });
  const rest = sumAmounts(intent.inputs.map(({ amount }) => amount)) - intent.amount;

  const change = made.find(({ node }) => node.create.contractId === result.senderChange);
  check((rest === 0n) === (result.senderChange === null), 'Change where none is due, or none where it is.', 'result');
  if (result.senderChange !== null) {
    if (change === undefined) throw refusal('INTENT_HOLDINGS', 'The change is not there.', 'result');
    const { owner, amount, lock } = change.facts;
    check(owner === intent.sender && amount === rest && lock === null, 'Not exactly the rest.', change.node.at);
  }

  const [output, ...others] = made.filter((entry) => entry !== change);
  if (output === undefined) throw refusal('INTENT_HOLDINGS', 'The amount goes nowhere.', 'result');
  check(others.length === 0, 'More holdings than a transfer makes.', others[0]?.node.at ?? '');
  const { owner, amount, lock } = output.facts;
  check(amount === intent.amount, 'Not exactly the amount.', output.node.at);
  if (result.output.kind === 'COMPLETED') {
    check(
      output.node.create.contractId === result.output.receiverHolding,
      'Not the holding of the result.',
      output.node.at,
    );
    check(owner === intent.receiver && lock === null, 'Not free and the receiver’s.', output.node.at);
    return output;
  }
  check(owner === intent.sender && lock !== null, 'Not locked and ours.', output.node.at);
  const holders = lock?.holders ?? null;
  const isHeldByAdmin = holders === null || (holders.length === 1 && holders[0] === intent.instrument.admin);
  check(isHeldByAdmin, 'Locked for somebody else.', output.node.at);
  const expiry = lock?.expiresAt ?? intent.executeBefore;
  check(expiry === intent.executeBefore, 'Locked for another time.', output.node.at);
  return output;
}

function demandOffer(
  offers: readonly CreateNode[],
  locked: Made,
  { output }: TransferResult,
  intent: TransferIntent,
): void {
  const [offer, ...others] = offers;
  if (output.kind === 'COMPLETED') {
    demand(offer === undefined, 'INTENT_OFFER', 'An offer beside a direct transfer.', offer?.at ?? '');
    return;
  }
  if (offer === undefined) throw refusal('INTENT_OFFER', 'No offer.', 'result');
  demand(others.length === 0, 'INTENT_OFFER', 'More than one offer.', others[0]?.at ?? '');
  demand(offer.create.contractId === output.instruction, 'INTENT_OFFER', 'Not the offer of the result.', offer.at);
  const { signatories, stakeholders } = offer.create;
  const isBetween =
    [intent.sender, intent.instrument.admin].every((party) => signatories.includes(party)) &&
    stakeholders.includes(intent.receiver);
  demand(isBetween, 'INTENT_OFFER', 'Not ours and the admin’s to the receiver.', offer.at);
  understood('INTENT_OFFER', offer.at, () => {
    const argument = readRecord(offer.create.argument);
    const value = field(argument, 'transfer');
    const lockedId = locked.node.create.contractId;
    const named = readContractId(field(argument, 'lockedAmulet'));
    demand(named === undefined || named === lockedId, 'INTENT_OFFER', 'Locks something else.', offer.at);
    const { inputHoldings } = readTransfer(value);
    const inputs = new Set([lockedId, ...intent.inputs.map(({ contractId }) => contractId)]);
    const areOurs = inputHoldings.every((contractId) => inputs.has(contractId));
    demand(areOurs, 'INTENT_OFFER', 'Offers other holdings.', `${offer.at} argument.transfer.inputHoldingCids`);
    const difference = differenceOf(transferValue(intent, inputHoldings), value, `${offer.at} argument.transfer`);
    if (difference !== null) throw refusal('INTENT_OFFER', 'Offers something else.', difference);
  });
}

function refusal(code: RefusalCode, message: string, at: string): CustodyRefusal {
  return new CustodyRefusal(code, message, at);
}

export function isSameInstrument(left: Instrument, right: Instrument): boolean {
  return left.admin === right.admin && left.id === right.id;
}
