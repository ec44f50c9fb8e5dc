/** A contract as every participant that knows it stores it: immutable from its creation on. */
import type { DamlRecord, Identifier } from './value.ts';

export type InterfaceInstance = {
  readonly interfaceId: Identifier;
  /** Computed once: arguments never change. Undefined: the view fails, and readers see a status other than 0. */
  readonly view: DamlRecord | undefined;
};

export type Contract = {
  readonly contractId: string;
  readonly templateId: Identifier;
  readonly packageName: string;
  readonly createArguments: DamlRecord;
  readonly signatories: readonly string[];
  /** Without the signatories. */
  readonly observers: readonly string[];
  /** Ledger effective time of the creating transaction, microseconds. */
  readonly createdAtMicros: bigint;
  readonly interfaces: readonly InterfaceInstance[];
};

export function stakeholdersOf(contract: Pick<Contract, 'signatories' | 'observers'>): readonly string[] {
  return sortedUnion(contract.signatories, contract.observers);
}

/** Parties in the order in which Canton prints them. */
export function sortedUnion(...sets: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(sets.flat())].sort();
}
