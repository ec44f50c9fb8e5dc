/** What taking back an offer of ours does where the implementation is known: node by node, coin by coin. The offer and exactly what it locks are consumed, and exactly that comes back, free and ours alone. */
import { sumAmounts } from '../tokens/amount.ts';
import { demand } from './custody-refusal.ts';
import { demandOwnKind, isActedBy, isSameInstrument } from './intent-effects.ts';
import type { OfferIntent } from './offer-intent.ts';
import type { OfferResult } from './offer-result.ts';
import { type HoldingFacts, type Implementation, type OfferEnd, templateName } from './registry-implementations.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';
import { understood } from './understood.ts';

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandReturnEffects(
  tree: TransactionTree,
  result: OfferResult,
  intent: OfferIntent,
  implementation: Implementation,
): void {
  demandAllowedNodes(tree, intent, implementation.offerEnds.WITHDRAW);
  demandSpent(tree, intent, implementation);

  const returned: { readonly node: CreateNode; readonly facts: HoldingFacts }[] = [];
  for (const node of tree.created.values()) {
    const facts = understood('INTENT_HOLDINGS', node.at, () => implementation.holding(node.create));
    if (facts === undefined) {
      const { signatories } = node.create;
      const isTheirs = !signatories.includes(intent.sender) && !signatories.includes(intent.receiver);
      demand(isTheirs, 'INTENT_CREATE_NOT_ALLOWED', 'A contract that we or the receiver would sign.', node.at);
      continue;
    }
    demandOwnKind(node, facts, intent);
    demand(facts.owner === intent.sender, 'INTENT_HOLDINGS', 'A holding of somebody else.', node.at);
    if (!tree.consumed.has(node.create.contractId)) returned.push({ node, facts });
  }

  const named = result.kind === 'FAILED' ? result.returned : [];
  const areNamed =
    returned.length === named.length && returned.every(({ node }) => named.includes(node.create.contractId));
  demand(areNamed, 'INTENT_HOLDINGS', 'Not the holdings of the result.', returned[0]?.node.at ?? 'result');
  for (const { node, facts } of returned) {
    demand(facts.lock === null, 'INTENT_HOLDINGS', 'Not free.', node.at);
    const isOursAlone = !node.create.stakeholders.includes(intent.receiver);
    demand(isOursAlone, 'INTENT_HOLDINGS', 'The receiver has a part in what comes back.', node.at);
  }
  const isWhole =
    sumAmounts(returned.map(({ facts }) => facts.amount)) === sumAmounts(intent.locked.map(({ amount }) => amount));
  demand(isWhole, 'INTENT_HOLDINGS', 'Not exactly what was locked.', returned[0]?.node.at ?? 'result');
}

function demandAllowedNodes(tree: TransactionTree, intent: OfferIntent, { exercises, creates }: OfferEnd): void {
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
      const isByWhom = isActedBy(exercise, allowed.actors, intent);
      demand(isByWhom, 'INTENT_AUTHORITY', 'Not by whom it should be.', node.at, { choice, actors: allowed.actors });
      const isOurs = exercise.actingParties.includes(intent.sender) && exercise.choiceId !== 'Archive';
      const isThrough = !isOurs || exercise.interfaceId === undefined;
      demand(isThrough, 'INTENT_CHOICE_NOT_ALLOWED', 'Through another interface.', node.at, { choice });
    }
  }
}

/** Of all contracts that were there before, exactly the offer and what it locks, and each is what our own records say. */
function demandSpent(tree: TransactionTree, intent: OfferIntent, { holding }: Implementation): void {
  const locked = new Set(intent.locked.map(({ contractId }) => contractId));
  for (const [contractId, { at }] of tree.consumed) {
    const isMeant = tree.created.has(contractId) || contractId === intent.offer || locked.has(contractId);
    demand(isMeant, 'INTENT_INPUTS', 'A contract is spent that the offer does not lock.', at);
  }
  for (const { contractId, amount } of intent.locked) {
    const at = `input contract ${contractId}`;
    const contract = tree.inputContracts.get(contractId);
    const facts = contract && understood('INTENT_INPUTS', at, () => holding(contract));
    const isKnown =
      facts !== undefined &&
      facts.owner === intent.sender &&
      facts.amount === amount &&
      isSameInstrument(facts.instrument, intent.instrument);
    demand(isKnown && tree.consumed.has(contractId), 'INTENT_INPUTS', 'What the offer locks is not released.', at);
  }
}
