/**
 * Where the treasury party's authority goes. Its signature lets the root act in its name, and Daml hands that on: below an exercise everybody
 * who acts in it or signed its contract may be acted for. So a contract that uses our authority, or that we signed, must also be signed by the
 * instrument's admin: then the admin's participants have to confirm that part of the transaction, and what runs is their code, not that of a
 * contract which some node or registry made up.
 *
 * What we act in without consuming it, we act in once: no registry's code needs the same choice twice for one transfer.
 *
 * Nor does anybody learn of it, or come to hold a contract, who had no part before: every party is the sender, the receiver, or named by a
 * contract that the transfer starts from.
 */
import type { Create } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { field } from '../tokens/value.ts';
import { demand } from './custody-refusal.ts';
import { IMPLEMENTATIONS, templateName } from './registry-implementations.ts';
import type { ExerciseNode, TransactionTree } from './transaction-tree.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { partiesIn } from './value-parties.ts';

/** @param intent its `sender` stands for the treasury party, whose authority it is; the `receiver` for whoever else has a part. @throws CustodyRefusal INTENT_AUTHORITY naming the node. */
export function demandAuthority(
  tree: TransactionTree,
  intent: Pick<TransferIntent, 'sender' | 'receiver' | 'instrument' | 'implementation'>,
): void {
  const { sender, receiver, instrument } = intent;
  const known = new Set([sender, receiver, ...[...tree.inputContracts.values()].flatMap(partiesOf)]);
  const acted = new Set<string>();
  for (const node of tree.nodes) {
    const told =
      node.kind === 'create' ? partiesOf(node.create) : node.kind === 'exercise' ? node.exercise.choiceObservers : [];
    const stranger = told.find((party) => !known.has(party));
    demand(stranger === undefined, 'INTENT_AUTHORITY', 'A party that has no part in it.', node.at, { stranger });
    const given = authorityBelow(node.parent, sender);
    if (node.kind === 'create') {
      const { signatories } = node.create;
      const isGiven = signatories.every((party) => given.has(party));
      demand(isGiven, 'INTENT_AUTHORITY', 'A contract that nobody here may sign.', node.at, { signatories });
      const isOurs = signatories.includes(sender);
      const isAdmins = signatories.includes(instrument.admin);
      demand(!isOurs || isAdmins, 'INTENT_AUTHORITY', 'We would sign a contract that the admin does not.', node.at);
    } else if (node.kind === 'fetch') {
      const { actingParties } = node.fetch;
      const isGiven = actingParties.length > 0 && actingParties.every((party) => given.has(party));
      demand(isGiven, 'INTENT_AUTHORITY', 'A fetch by somebody who is not here.', node.at, { actingParties });
    } else {
      const { actingParties, signatories } = node.exercise;
      const isGiven = actingParties.length > 0 && actingParties.every((party) => given.has(party));
      demand(isGiven, 'INTENT_AUTHORITY', 'Somebody acts who is not here.', node.at, { actingParties });
      const isOurs = actingParties.includes(sender) || signatories.includes(sender);
      const isCarrying = actingParties.includes(sender) && !node.exercise.consuming;
      const choice = `${templateName(node.exercise)} ${node.exercise.choiceId}`;
      demand(!isCarrying || !acted.has(choice), 'INTENT_AUTHORITY', 'We would act twice.', node.at, { choice });
      if (isCarrying) acted.add(choice);
      const isTrusted = signatories.includes(instrument.admin) || isPreapproval(node, tree, intent);
      demand(!isOurs || isTrusted, 'INTENT_AUTHORITY', 'We would act on a contract the admin did not sign.', node.at);
    }
  }
}

/**
 * Whether it is the receiver's own preapproval that a known implementation passes transfers through. Its code gets our authority without the
 * admin's word for it; what it does with it is in the tree, where all the other rules apply.
 */
function isPreapproval(
  { exercise }: ExerciseNode,
  tree: TransactionTree,
  intent: Parameters<typeof demandAuthority>[1],
): boolean {
  const template = IMPLEMENTATIONS[intent.implementation]?.preapproval ?? null;
  if (template === null || templateName(exercise) !== template || exercise.consuming) return false;
  const { signatories, contractId } = exercise;
  const argument = tree.inputContracts.get(contractId)?.argument?.sum;
  if (argument?.$case !== 'record') return false;
  const isParty = (label: string, party: string): boolean => {
    const value = field(argument.value, label)?.sum;
    return value?.$case === 'party' && value.value === party;
  };
  return (
    signatories.length === 1 &&
    signatories[0] === intent.receiver &&
    isParty('receiver', intent.receiver) &&
    isParty('instrumentAdmin', intent.instrument.admin)
  );
}

function partiesOf({ stakeholders, argument }: Create): readonly string[] {
  return [...stakeholders, ...partiesIn(argument)];
}

function authorityBelow(parent: ExerciseNode | null, sender: string): ReadonlySet<string> {
  if (parent === null) return new Set([sender]);
  return new Set([...parent.exercise.signatories, ...parent.exercise.actingParties]);
}
