/**
 * What a prepared transaction would do, told by code that shares nothing with the check: who acts, what is spent, who holds what afterwards.
 * Two transactions of one meaning may both be signed; it leaves out what a node is free to choose (ids of new contracts, seeds, the uuid, ledger
 * times within bounds, fetches, results below the root) and what neither uses our authority nor touches us or the receiver (logs, markers, observers).
 */

import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Exercise,
  Node,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { type Identifier, Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';

const name = (id: Identifier | undefined): string => `${id?.moduleName}:${id?.entityName}`;
const hex = (value: Value | undefined): string =>
  value === undefined ? '' : Buffer.from(Value.encode(value).finish()).toString('hex');

export function meaningOf(
  { transaction, metadata }: PreparedTransaction,
  { isKnown, receiver }: { isKnown: boolean; receiver: string },
): Readonly<Record<string, unknown>> {
  const nodes = new Map<string, Node>();
  for (const { nodeId, versionedNode } of transaction!.nodes) nodes.set(nodeId, versionedNode!.value);
  const ours = metadata?.submitterInfo?.actAs ?? [];
  const isOurs = ({ actingParties, signatories }: Exercise): boolean =>
    ours.some((party) => actingParties.includes(party) || signatories.includes(party));
  const isSide = (party: string): boolean => party === receiver || ours.includes(party);
  const actOf = ({ templateId, packageName, interfaceId, choiceId, actingParties, consuming }: Exercise): string => {
    const through = isKnown && choiceId !== 'Archive' ? name(interfaceId) : '';
    return JSON.stringify([packageName, name(templateId), through, choiceId, actingParties.filter(isSide), consuming]);
  };
  const created = new Map<string, string>();
  const touching = new Set<string>();
  const consumed: string[] = [];
  const acts: string[] = [];

  const visit = (id: string): void => {
    const type = nodes.get(id)!.nodeType!;
    if (type.$case === 'create') {
      const { contractId, templateId, packageName, argument, signatories, stakeholders } = type.value;
      // What an unknown registry calls its contracts, and who signs them, is its own business.
      const known = isKnown ? [packageName, name(templateId), money(argument), signatories.filter(isSide)] : [];
      if ((isKnown ? signatories : stakeholders).some(isSide)) touching.add(contractId);
      created.set(contractId, JSON.stringify(known));
    }
    if (type.$case !== 'exercise') return;
    const { contractId, consuming, children } = type.value;
    if (consuming) consumed.push(contractId);
    if (isOurs(type.value)) acts.push(actOf(type.value));
    for (const child of children) visit(child);
  };
  for (const root of transaction!.roots) visit(root);

  const root = nodes.get(transaction!.roots[0]!)!.nodeType!.value as Exercise;
  const { submitterInfo, synchronizerId, maxRecordTime } = metadata!;
  return {
    roots: transaction!.roots.length,
    actAs: submitterInfo?.actAs,
    commandId: submitterInfo?.commandId,
    synchronizerId,
    maxRecordTime: String(maxRecordTime),
    factory: root.contractId,
    argument: hex(root.chosenValue),
    acts: acts.toSorted(),
    spent: consumed.filter((id) => !created.has(id)).toSorted(),
    left: [...created]
      .filter(([id]) => !consumed.includes(id) && touching.has(id))
      .map(([, facts]) => facts)
      .toSorted(),
  };
}

/** Labels under which the known registries say whose something is and how much. What else a contract holds is the registry's. */
const MONEY = new Set([
  'owner',
  'dso',
  'registrar',
  'source',
  'sender',
  'receiver',
  'admin',
  'holders',
  'initialAmount',
  'amount',
]);

/** Parties and amounts of a contract's argument, in order. */
function money(value: Value | undefined, label = ''): string[] {
  const sum = value?.sum;
  switch (sum?.$case) {
    case 'party':
    case 'numeric':
      return MONEY.has(label) ? [`${label}=${sum.value}`] : [];
    case 'optional':
      return label === 'lock' && sum.value.value !== undefined ? ['locked'] : [];
    case 'list':
      return sum.value.elements.flatMap((element) => money(element, label));
    case 'record':
      return sum.value.fields.flatMap((field) => money(field.value, field.label));
    default:
      return [];
  }
}
