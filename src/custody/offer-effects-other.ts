/**
 * What the end of an offer does where the registry's contracts cannot be read: who signs what, what is spent, and that the amount appears where it should. How much a holding really is, is
 * the admin's word, as with every holding of such an instrument.
 */
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { hasNumeric } from './intent-effects-other.ts';
import type { OfferIntent } from './offer-intent.ts';
import type { OfferResult } from './offer-result.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandOfferEffectsOfOther(tree: TransactionTree, result: OfferResult, intent: OfferIntent): void {
  const { receiver, instrument, amount } = intent;
  const offer = tree.inputContracts.get(intent.offer);
  demand(hasNumeric(offer?.argument, amount), 'INTENT_OFFER', 'The amount does not appear in the offer.', 'the offer');
  for (const [contractId, { exercise, at }] of tree.consumed) {
    if (contractId === intent.offer || !exercise.stakeholders.includes(receiver)) continue;
    // What the offer locks is the sender's, and may be shown to us. What we signed is ours.
    const isOthers = !exercise.signatories.includes(receiver) && exercise.signatories.includes(instrument.admin);
    demand(isOthers, 'INTENT_INPUTS', 'A contract of ours is spent.', at);
  }

  const allowed = namedBy(result).map((contractId) => {
    const node = tree.created.get(contractId);
    if (node === undefined || tree.consumed.has(contractId)) {
      throw new CustodyRefusal('INTENT_HOLDINGS', 'What the result names is not there.', `contract ${contractId}`);
    }
    const { signatories, stakeholders } = node.create;
    const isOurs = signatories.includes(instrument.admin) && stakeholders.includes(receiver);
    demand(isOurs, 'INTENT_HOLDINGS', 'Not the admin’s contract for us.', node.at);
    // No proof, but a lie more that has to be told. Of several holdings no single one has the whole amount.
    const isShown = hasNumeric(node.create.argument, amount);
    demand(isShown, 'INTENT_HOLDINGS', 'The amount does not appear.', node.at);
    return node;
  });
  demand(allowed.length <= 1, 'INTENT_HOLDINGS', 'More than one holding for us.', 'result');
  if (result.kind === 'COMPLETED') {
    const [holding] = allowed;
    const isOursAlone = holding !== undefined && !holding.create.stakeholders.includes(intent.sender);
    demand(isOursAlone, 'INTENT_HOLDINGS', 'The sender has a part in what we get.', holding?.at ?? 'result');
  }
  const extra = liveOf(tree, receiver).find((node) => !allowed.includes(node));
  demand(extra === undefined, 'INTENT_CREATE_NOT_ALLOWED', 'More for us than meant.', extra?.at ?? '');
}

function namedBy(result: OfferResult): readonly string[] {
  switch (result.kind) {
    case 'COMPLETED':
      return result.holdings;
    case 'PENDING':
      return [result.instruction];
    case 'FAILED':
      return [];
  }
}

function liveOf(tree: TransactionTree, party: string): readonly CreateNode[] {
  return [...tree.created.values()].filter(
    ({ create }) => create.stakeholders.includes(party) && !tree.consumed.has(create.contractId),
  );
}
