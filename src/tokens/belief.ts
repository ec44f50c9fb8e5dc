/**
 * Who may say what the party's own holdings were moved for.
 *
 * An exercise speaks for every instrument where the party itself acted in it, or where the code of its contract is known to tell the truth. Else it speaks for
 * the instruments of the admins that stand behind it: those that acted in it, and those that signed its contract. The event does not carry the signatories of
 * the contract, and its creation may be older than our history; but the ledger lets an exercise do only what its actors and the signatories of its contract
 * authorise together. So an admin whose authority one of its direct children needs (it signed what was created there, or acted in what was exercised there) and
 * who did not act in the exercise itself has signed the contract.
 *
 * This is what lets a registry that nobody has heard of label its own transfers, and keeps a stranger's wrapper around them silent: its direct children are
 * exercises by the stranger.
 */
import type { Event, ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Instrument } from './transfer-record.ts';
import { qualifiedName } from './value.ts';

/** The instruments an exercise may speak for: all, or those of some admins. */
export type Speaker = 'ANY' | ReadonlySet<string>;

/**
 * Contracts whose choices describe transfers truthfully because the code of these packages does: (package name, module:entity). Some of their exercises have
 * no child that shows the admin's signature.
 */
const PINNED_CONTRACTS: ReadonlySet<string> = new Set([
  'splice-amulet/Splice.AmuletRules:AmuletRules',
  'splice-amulet/Splice.AmuletRules:TransferPreapproval',
  'splice-amulet/Splice.ExternalPartyAmuletRules:ExternalPartyAmuletRules',
  'splice-amulet/Splice.Amulet:Amulet',
  'splice-amulet/Splice.Amulet:LockedAmulet',
  'utility-registry-v0/Utility.Registry.V0.Rule.Transfer:TransferRule',
  'utility-registry-app-v0/Utility.Registry.App.V0.Service.AllocationFactory:AllocationFactory',
]);

/** @param events in pre-order. @returns for each of their exercises what it may speak for. */
export function speakersIn(events: readonly Event[], party: string): (exercise: ExercisedEvent) => Speaker {
  let authorities: ReturnType<typeof authoritiesIn> | null = null; // Most transactions need none.
  return (exercise) => {
    const isPinned = PINNED_CONTRACTS.has(`${exercise.packageName}/${qualifiedName(exercise.templateId)}`);
    if (isPinned || exercise.actingParties.includes(party)) return 'ANY';
    authorities ??= authoritiesIn(events);
    return authorities.get(exercise.nodeId) ?? new Set();
  };
}

export function speaksFor(speaker: Speaker, { admin }: Instrument): boolean {
  return speaker === 'ANY' || speaker.has(admin);
}

/** By node id of an exercise: its actors, and whoever its direct children show to have signed its contract. */
function authoritiesIn(events: readonly Event[]): ReadonlyMap<number, ReadonlySet<string>> {
  const authorities = new Map<number, Set<string>>();
  const enclosing: ExercisedEvent[] = [];
  for (const { event } of events) {
    if (event === undefined) continue;
    while ((enclosing.at(-1)?.lastDescendantNodeId ?? Number.POSITIVE_INFINITY) < event.value.nodeId) enclosing.pop();
    const parent = enclosing.at(-1);
    const needed =
      event.$case === 'created'
        ? event.value.signatories
        : event.$case === 'exercised'
          ? event.value.actingParties
          : [];
    const shown = parent && authorities.get(parent.nodeId);
    for (const authority of needed) shown?.add(authority);
    if (event.$case !== 'exercised') continue;
    enclosing.push(event.value);
    authorities.set(event.value.nodeId, new Set(event.value.actingParties));
  }
  return authorities;
}
