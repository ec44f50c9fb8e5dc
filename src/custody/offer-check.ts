/**
 * What ending an offer does, and that it does nothing else. Accepting: the offer and what it locked of the sender's are consumed, and we hold exactly the amount of exactly the instrument.
 * Rejecting: the same are consumed, and nothing is ours. Withdrawing one that we made: the offer and exactly what it locked of ours are consumed, and exactly that comes back to us, free. In no case is
 * another contract of ours spent, and we sign nothing that the instrument's admin does not sign.
 */
import { isInterface, TRANSFER_INSTRUCTION_V1 } from '../tokens/standard.ts';
import { field, readRecord } from '../tokens/value.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { demandAuthority } from './intent-authority.ts';
import { OFFER_CHOICES, offerArgument } from './offer-argument.ts';
import { demandOfferEffects } from './offer-effects.ts';
import { demandOfferEffectsOfOther } from './offer-effects-other.ts';
import { type OfferIntent, sidesOf } from './offer-intent.ts';
import { type OfferResult, readOfferResult } from './offer-result.ts';
import { demandReturnEffects } from './offer-return.ts';
import { demandReturnEffectsOfOther } from './offer-return-other.ts';
import { demandOfferedTransfer } from './offer-terms.ts';
import { IMPLEMENTATIONS, type Implementation, templateName } from './registry-implementations.ts';
import type { TransactionTree } from './transaction-tree.ts';
import { understood } from './understood.ts';
import { differenceOf } from './value-difference.ts';

/** @throws CustodyRefusal INTENT_… naming the node or field. */
export function demandOffer(tree: TransactionTree, intent: OfferIntent): void {
  const result = demandOfferRoot(tree, intent);
  // Ours is the authority of whoever ends it; where that is the receiver, the sender's, who signed the offer, is with it below the root.
  const { us, other } = sidesOf(intent);
  demandAuthority(tree, { sender: us, receiver: other, instrument: intent.instrument, implementation: 'OTHER' });
  const implementation = rulesOf(tree, intent);
  if (intent.kind === 'WITHDRAW') {
    if (implementation === null) demandReturnEffectsOfOther(tree, result, intent);
    else demandReturnEffects(tree, result, intent, implementation);
  } else if (implementation === null) demandOfferEffectsOfOther(tree, result, intent);
  else demandOfferEffects(tree, result, intent, implementation);
}

/**
 * Where nobody said whose code moves the instrument, the offer itself says it: one made from a template that we know is held to all that is known of it. That is stricter but for the
 * receipt, which the receiver has to sign too, so that without this no offer of a utility registry could be accepted. The name is no proof, here as little as where it is configured: the
 * admin has to have signed, and nothing runs on our host whose package nobody vetted there.
 * @returns null: judged by authority alone.
 */
function rulesOf({ root }: TransactionTree, { implementation }: OfferIntent): Implementation | null {
  const said = IMPLEMENTATIONS[implementation];
  if (said !== null) return said;
  const name = templateName(root.exercise);
  return Object.values(IMPLEMENTATIONS).find((known) => known?.offer === name) ?? null;
}

function demandOfferRoot(tree: TransactionTree, intent: OfferIntent): OfferResult {
  const { root, inputContracts } = tree;
  const { exercise, at } = root;
  const check = (condition: boolean, message: string): void => demand(condition, 'INTENT_ROOT', message, at);
  const isEnd =
    exercise.choiceId === OFFER_CHOICES[intent.kind] &&
    isInterface(exercise.interfaceId, TRANSFER_INSTRUCTION_V1) &&
    exercise.consuming;
  check(isEnd, 'Not the end of an offer through the token standard.');
  check(exercise.contractId === intent.offer, 'Another offer.');
  const { actingParties, signatories, stakeholders } = exercise;
  const { us, other } = sidesOf(intent);
  check(actingParties.length === 1 && actingParties[0] === us, 'Not by us alone.');
  check(signatories.includes(intent.instrument.admin), 'An offer that the admin did not sign.');
  check(stakeholders.includes(other), 'An offer that is not between us.');
  // Whoever accepts has not signed before; whoever made it has a part in it, as a rule by his signature.
  if (intent.kind === 'WITHDRAW') check(stakeholders.includes(us), 'An offer that is not ours.');
  else check(!signatories.includes(us), 'An offer that we have signed already.');
  const implementation = rulesOf(tree, intent);
  check(implementation === null || templateName(exercise) === implementation.offer, 'Of another implementation.');
  if (implementation !== null) {
    const offered = field(readRecord(inputContracts.get(intent.offer)?.argument), 'transfer');
    demandOfferedTransfer(offered, intent, `input contract ${intent.offer} argument.transfer`);
  }

  const difference = differenceOf(offerArgument(intent), exercise.chosenValue, `${at} chosenValue`);
  if (difference !== null) throw new CustodyRefusal('INTENT_ARGUMENT', 'Not what was meant.', difference);

  const result = understood('INTENT_RESULT', at, () => readOfferResult(exercise.exerciseResult, at));
  const isMeant = (result.kind === 'FAILED') === (intent.kind !== 'ACCEPT');
  demand(isMeant, 'INTENT_RESULT', `Not what ${intent.kind} comes to.`, `${at} exerciseResult.output`);
  return result;
}
