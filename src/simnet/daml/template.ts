/**
 * What a simulated Daml package says: templates with their stakeholders, interface views and choices. A choice's body gets a Scope and
 * may only create, fetch and exercise through it, so that the interpreter sees every node and checks every authority.
 */
import type { Contract } from './contract.ts';
import type { DamlRecord, Identifier, Value } from './value.ts';

export type Scope = {
  /** Ledger effective time, microseconds. Reading it fixes the time of the transaction; checking a deadline only narrows it. */
  readonly ledgerTimeMicros: bigint;
  create(template: Template, createArguments: DamlRecord): string;
  exercise(contractId: string, choice: string, argument: DamlRecord): Value;
  archive(contractId: string): void;
  fetch(contractId: string): Contract;
  /**
   * Daml's try: what `run` does is undone if it is refused, and leaves a rollback that nobody is shown.
   * @returns undefined when it was refused.
   */
  attempt<T>(run: (scope: Scope) => T): T | undefined;
  /** Daml's `assertDeadlineExceeded` and `assertWithinDeadline`. @throws CantonError UNHANDLED_EXCEPTION when it does not hold. */
  requireBefore(deadlineMicros: bigint, name: string): void;
  requireAtOrAfter(deadlineMicros: bigint, name: string): void;
  /** The template of that name in the package version that the transaction prefers. */
  template(packageName: string, moduleName: string, entityName: string): Template;
};

export type Choice = {
  /** Set when the choice belongs to an interface. */
  readonly interfaceId?: Identifier;
  /** Its name on the ledger, where another interface has a choice of the same name; the key in `choices` when left out. */
  readonly name?: string;
  readonly consuming: boolean;
  controllers(contract: Contract, argument: DamlRecord): readonly string[];
  observers?(contract: Contract, argument: DamlRecord): readonly string[];
  run(scope: Scope, contract: Contract, argument: DamlRecord): Value;
};

export type InterfaceImplementation = {
  readonly interfaceId: Identifier;
  view(createArguments: DamlRecord): DamlRecord;
};

export type Template = {
  readonly templateId: Identifier;
  readonly packageName: string;
  signatories(createArguments: DamlRecord): readonly string[];
  observers(createArguments: DamlRecord): readonly string[];
  readonly interfaces: readonly InterfaceImplementation[];
  readonly choices: Readonly<{ [name: string]: Choice }>;
};

/** `#name` of a package and what is in one of its versions. */
export type Package = {
  readonly packageId: string;
  readonly packageName: string;
  /** `1.0.0` when left out. */
  readonly packageVersion?: string;
  /** `module:entity` of interfaces that it defines. */
  readonly interfaces: readonly string[];
  readonly templates: readonly Template[];
};
