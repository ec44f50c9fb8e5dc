/**
 * Where the treasury party's authority goes. Its signature lets the root act in its name, and Daml hands that on: below an exercise everybody
 * who acts in it or signed its contract may be acted for. So a contract that uses our authority, or that we signed, must also be signed by the
 * instrument's admin: then the admin's participants have to confirm that part of the transaction, and what runs is their code, not that of a
 * contract which some node or registry made up.
 */
import { demand } from './custody-refusal.ts';
import type { ExerciseNode, TransactionTree } from './transaction-tree.ts';
import type { TransferIntent } from './transfer-intent.ts';

/** @throws CustodyRefusal INTENT_AUTHORITY naming the node. */
export function demandAuthority(tree: TransactionTree, { sender, instrument }: TransferIntent): void {
  for (const node of tree.nodes) {
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
      const isAdmins = signatories.includes(instrument.admin);
      demand(!isOurs || isAdmins, 'INTENT_AUTHORITY', 'We would act on a contract the admin did not sign.', node.at);
    }
  }
}

function authorityBelow(parent: ExerciseNode | null, sender: string): ReadonlySet<string> {
  if (parent === null) return new Set([sender]);
  return new Set([...parent.exercise.signatories, ...parent.exercise.actingParties]);
}
