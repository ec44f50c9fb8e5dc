/** What the end of an offer does where the implementation is known: node by node, coin by coin. */
import { sumAmounts } from '../tokens/amount.ts';
import { field, readRecord } from '../tokens/value.ts';
import { demand } from './custody-refusal.ts';
import { demandOwnKind, isActedBy, isSameInstrument } from './intent-effects.ts';
import { demandNested } from './intent-nested.ts';
import type { OfferIntent } from './offer-intent.ts';
import type { OfferResult } from './offer-result.ts';
import { demandOfferedTransfer } from './offer-terms.ts';
import { type HoldingFacts, type Implementation, type OfferEnd, templateName } from './registry-implementations.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { understood } from './understood.ts';

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandOfferEffects(
  tree: TransactionTree,
  result: OfferResult,
  intent: OfferIntent,
  implementation: Implementation,
): void {
  demand(result.kind !== 'PENDING', 'INTENT_RESULT', 'This implementation has no further step.', 'result');
  const end = implementation.offerEnds[intent.kind];
  demandAllowedNodes(tree, intent, end);
  demandSpent(tree, intent, implementation);

  const ours: { readonly node: CreateNode; readonly facts: HoldingFacts }[] = [];
  for (const node of tree.created.values()) {
    const facts = understood('INTENT_HOLDINGS', node.at, () => implementation.holding(node.create));
    if (facts === undefined) demandHarmless(node, tree, intent, end);
    else {
      demandOwnKind(node, facts, intent);
      const isLive = !tree.consumed.has(node.create.contractId);
      if (isLive && facts.owner === intent.receiver) ours.push({ node, facts });
      else demand(facts.owner === intent.sender, 'INTENT_HOLDINGS', 'A holding of somebody else.', node.at);
    }
  }

  const named = result.kind === 'COMPLETED' ? result.holdings : [];
  const receipts = [...tree.created.values()].filter(({ create }) => templateName(create) === end.receipt);
  demand(receipts.length <= 1, 'INTENT_CREATE_NOT_ALLOWED', 'More than one receipt.', receipts[1]?.at ?? '');
  const areNamed = ours.length === named.length && ours.every(({ node }) => named.includes(node.create.contractId));
  demand(areNamed, 'INTENT_HOLDINGS', 'Not the holdings of the result.', ours[0]?.node.at ?? 'result');
  if (intent.kind === 'REJECT') return;
  const shared = ours.find(({ node }) => node.create.stakeholders.includes(intent.sender));
  demand(shared === undefined, 'INTENT_HOLDINGS', 'The sender has a part in what we get.', shared?.node.at ?? '');
  const locked = ours.find(({ facts }) => facts.lock !== null);
  demand(locked === undefined, 'INTENT_HOLDINGS', 'Not free.', locked?.node.at ?? '');
  const isWhole = sumAmounts(ours.map(({ facts }) => facts.amount)) === intent.amount;
  demand(isWhole, 'INTENT_HOLDINGS', 'Not exactly the amount.', ours[0]?.node.at ?? 'result');
}

function demandAllowedNodes(tree: TransactionTree, intent: OfferIntent, { exercises, creates }: OfferEnd): void {
  const us = { sender: intent.receiver, instrument: intent.instrument };
  for (const node of tree.nodes) {
    if (node.kind === 'create') {
      const name = templateName(node.create);
      demand(creates.has(name), 'INTENT_CREATE_NOT_ALLOWED', 'The end of an offer makes no such contract.', node.at, {
        name,
      });
    } else if (node.kind === 'exercise' && node !== tree.root) {
      const { exercise } = node;
      const choice = `${templateName(exercise)} ${exercise.choiceId}`;
      const allowed = exercises.get(choice);
      const isAllowed = allowed !== undefined && allowed.consuming === exercise.consuming;
      demand(isAllowed, 'INTENT_CHOICE_NOT_ALLOWED', 'The end of an offer has no such choice.', node.at, { choice });
      const isByWhom = isActedBy(exercise, allowed.actors, us);
      demand(isByWhom, 'INTENT_AUTHORITY', 'Not by whom it should be.', node.at, { choice, actors: allowed.actors });
      const isThrough = !exercise.actingParties.includes(intent.receiver) || exercise.interfaceId === undefined;
      demand(isThrough, 'INTENT_CHOICE_NOT_ALLOWED', 'Through another interface.', node.at, { choice });
      demandNested(node, asTransfer(intent), tree);
    }
  }
}

/** The movement below the acceptance is a direct transfer of the sender's. */
function asTransfer(intent: OfferIntent): TransferIntent {
  const inputs = intent.inputHoldings.map((contractId) => ({ contractId, amount: intent.amount }));
  return { ...intent, kind: 'DIRECT', inputs, factory: '' };
}

/** Of all contracts that were there before: the offer, and what it names of the sender's. */
function demandSpent(tree: TransactionTree, intent: OfferIntent, { holding }: Implementation): void {
  for (const [contractId, { at }] of tree.consumed) {
    if (tree.created.has(contractId) || contractId === intent.offer) continue;
    const isOffered = intent.inputHoldings.includes(contractId);
    demand(isOffered, 'INTENT_INPUTS', 'A contract is spent that the offer does not name.', at);
    const contract = tree.inputContracts.get(contractId);
    const facts = contract && understood('INTENT_INPUTS', at, () => holding(contract));
    const isSenders =
      facts !== undefined && facts.owner === intent.sender && isSameInstrument(facts.instrument, intent.instrument);
    demand(isSenders, 'INTENT_INPUTS', 'Not a holding of the sender.', at);
  }
}

/** A contract that is no holding: none of ours, or the receipt that all sign. */
function demandHarmless(node: CreateNode, tree: TransactionTree, intent: OfferIntent, { receipt }: OfferEnd): void {
  const { create, at } = node;
  if (!create.signatories.includes(intent.receiver)) return;
  const isReceipt = templateName(create) === receipt && !tree.consumed.has(create.contractId);
  demand(isReceipt, 'INTENT_CREATE_NOT_ALLOWED', 'A contract that we would sign.', at);
  demandOfferedTransfer(field(readRecord(create.argument), 'transfer'), intent, `${at} argument.transfer`);
}
