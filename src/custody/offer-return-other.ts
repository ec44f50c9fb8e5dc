/**
 * What taking back an offer of ours does where the registry's contracts cannot be read: that nothing of ours is spent but the offer and what it locks, that what comes back is one contract of the admin's
 * with the whole sum in it, and that the receiver gets nothing. How much it really is, is the admin's word, as with every holding of such an instrument.
 */
import { sumAmounts } from '../tokens/amount.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { hasNumeric, isSignedFor } from './intent-effects-other.ts';
import type { OfferIntent } from './offer-intent.ts';
import type { OfferResult } from './offer-result.ts';
import type { CreateNode, TransactionTree } from './transaction-tree.ts';

/** @throws CustodyRefusal INTENT_… naming the node or contract. */
export function demandReturnEffectsOfOther(tree: TransactionTree, result: OfferResult, intent: OfferIntent): void {
  const { sender, receiver, instrument, amount } = intent;
  const offer = tree.inputContracts.get(intent.offer);
  demand(hasNumeric(offer?.argument, amount), 'INTENT_OFFER', 'The amount does not appear in the offer.', 'the offer');
  demandSpent(tree, intent);

  const named = result.kind === 'FAILED' ? result.returned : [];
  const isDue = intent.locked.length > 0;
  // Of several holdings no single one shows the whole sum.
  demand(named.length === (isDue ? 1 : 0), 'INTENT_HOLDINGS', 'Not the one holding that is to come back.', 'result');
  const total = sumAmounts(intent.locked.map((each) => each.amount));
  const returned = named.map((contractId): CreateNode => {
    const node = tree.created.get(contractId);
    if (node === undefined || tree.consumed.has(contractId)) {
      throw new CustodyRefusal('INTENT_HOLDINGS', 'What the result names is not there.', `contract ${contractId}`);
    }
    const isOurs = isSignedFor(node.create, instrument.admin, sender);
    demand(isOurs, 'INTENT_HOLDINGS', 'Not the admin’s contract for us.', node.at);
    const isOursAlone = !node.create.stakeholders.includes(receiver);
    demand(isOursAlone, 'INTENT_HOLDINGS', 'The receiver has a part in what comes back.', node.at);
    demand(hasNumeric(node.create.argument, total), 'INTENT_HOLDINGS', 'The sum does not appear.', node.at);
    return node;
  });
  const extra = [...tree.created.values()].find(
    (node) =>
      !tree.consumed.has(node.create.contractId) &&
      !returned.includes(node) &&
      (node.create.stakeholders.includes(sender) || node.create.stakeholders.includes(receiver)),
  );
  demand(extra === undefined, 'INTENT_CREATE_NOT_ALLOWED', 'More than what was locked.', extra?.at ?? '');
}

function demandSpent(tree: TransactionTree, { offer, locked, sender, instrument }: OfferIntent): void {
  const meant = new Set([offer, ...locked.map(({ contractId }) => contractId)]);
  for (const [contractId, { exercise, at }] of tree.consumed) {
    const isOthers = tree.created.has(contractId) || !exercise.stakeholders.includes(sender);
    demand(isOthers || meant.has(contractId), 'INTENT_INPUTS', 'A contract of ours is spent.', at);
  }
  for (const { contractId, amount } of locked) {
    const at = `input contract ${contractId}`;
    const contract = tree.inputContracts.get(contractId);
    demand(
      tree.consumed.has(contractId) && contract !== undefined,
      'INTENT_INPUTS',
      'What the offer locks is not released.',
      at,
    );
    const isKnown = isSignedFor(contract, instrument.admin, sender) && hasNumeric(contract.argument, amount);
    demand(isKnown, 'INTENT_INPUTS', 'Not the holding we know.', at);
  }
}
