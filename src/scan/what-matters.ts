/**
 * What of an answer must be equal for two instances to have said the same. The order of sets and maps does not matter, nor the times that an instance puts into its answer; the contracts do, to the byte, because
 * they are what the transaction is made from.
 */
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { InstructionContext, RegistryInstrument, TransferFactoryContext } from './registry-client.ts';

export function matterOfFactory(answer: TransferFactoryContext): string {
  return JSON.stringify([answer.factoryId, answer.transferKind, contextParts(answer)]);
}

export function matterOfContext(answer: InstructionContext): string {
  return JSON.stringify(contextParts(answer));
}

export function matterOfInstrument({ id, name, symbol, decimals, supportedApis }: RegistryInstrument): string {
  return JSON.stringify([id, name, symbol, decimals, sortedEntries(Object.entries(supportedApis))]);
}

export function matterOfInstruments(instruments: readonly RegistryInstrument[]): string {
  return JSON.stringify(instruments.map(matterOfInstrument).sort());
}

export function matterOfDisclosed({
  templateId,
  contractId,
  createdEventBlob,
  synchronizerId,
}: DisclosedContract): string {
  return JSON.stringify([
    contractId,
    templateId === undefined ? null : typeName(templateId),
    Buffer.from(createdEventBlob).toString('base64'),
    synchronizerId,
  ]);
}

function contextParts({ choiceContext, disclosedContracts }: InstructionContext): unknown {
  const values = sortedEntries([...choiceContext].map(([key, value]) => [key, partsOf(value)] as const));
  return [values, disclosedContracts.map(matterOfDisclosed).sort()];
}

const WHENEVER = '~'; // Stands for a time: when an instance looked is its own affair.

function partsOf(value: Value | undefined): unknown {
  const sum = value?.sum;
  if (sum === undefined) return null;
  switch (sum.$case) {
    case 'variant':
      return [sum.value.constructor, isTime(sum.value.constructor) ? WHENEVER : partsOf(sum.value.value)];
    case 'list':
      return sum.value.elements.map(partsOf);
    case 'textMap':
      return sortedEntries(sum.value.entries.map(({ key, value: inner }) => [key, partsOf(inner)] as const));
    case 'record':
      return sum.value.fields.map(({ label, value: inner }) => [label, partsOf(inner)]);
    default:
      return [sum.$case, String(sum.value)];
  }
}

function isTime(tag: string): boolean {
  return tag === 'AV_Time' || tag === 'AV_Date' || tag === 'AV_RelTime';
}

function typeName({ packageId, moduleName, entityName }: Identifier): string {
  return `${packageId}:${moduleName}:${entityName}`;
}

function sortedEntries<T>(entries: readonly (readonly [string, T])[]): readonly (readonly [string, T])[] {
  return entries.toSorted(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
}
