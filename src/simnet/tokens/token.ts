/**
 * A token as the network offers it: its packages, the contracts its admin keeps, and what its registry tells those who want to move it.
 * The registry's answers are pure reads, so an HTTP registry can be put in front of the same object.
 */
import type { Contract } from '../daml/contract.ts';
import type { Command } from '../daml/interpreter.ts';
import type { Package, Template } from '../daml/template.ts';
import type { Value } from '../daml/value.ts';
import type { Generation } from './amulet-contracts.ts';
import type { ChoiceContext, InstructionChoice, InstrumentId, Transfer } from './standard.ts';

export type TransferKind = 'self' | 'direct' | 'offer';

/** What a registry answers to a planned transfer. */
export type TransferPlan = {
  readonly kind: TransferKind;
  readonly factoryCid: string;
  readonly context: ChoiceContext;
};

export type Submittable = { readonly commands: readonly Command[]; readonly actAs: readonly string[] };

/** How tokens reach the ledger: commands in, results out. */
export type TokenLedger = {
  submit(submission: Submittable, generation: Generation): readonly Value[];
  template(packageName: string, moduleName: string, entityName: string, generation: Generation): Template;
  nowMicros(): bigint;
};

/** Standing consents to be paid without acceptance, over their life. */
export type Preapprovals = {
  /** @param lifetimeMicros ten years when left out. */
  preapprove(ledger: TokenLedger, receiver: string, generation: Generation, lifetimeMicros?: bigint): void;
  /** @returns undefined where there is none that is valid now. */
  current(receiver: string, nowMicros: bigint): string | undefined;
  /** By the provider: another contract, with a new end. Harmless where there is none. */
  renew(ledger: TokenLedger, receiver: string, lifetimeMicros?: bigint): void;
  /** By the provider. Harmless where there is none. */
  cancel(ledger: TokenLedger, receiver: string): void;
  /** By the provider: every proposal among `contracts`. @returns how many. */
  acceptAll(ledger: TokenLedger, contracts: Iterable<Contract>, lifetimeMicros?: bigint): number;
};

export type Token = {
  /** Name by which tests and the control interface call it. */
  readonly name: string;
  readonly instrumentId: InstrumentId;
  readonly packages: readonly Package[];
  /** Creates the admin's own contracts. Called once, before anything else. */
  install(ledger: TokenLedger): void;
  /** Lets `receiver` be paid without acceptance. */
  preapprove(ledger: TokenLedger, receiver: string, generation: Generation, lifetimeMicros?: bigint): void;
  /** Their further life. Undefined where they have none. */
  readonly preapprovals?: Preapprovals;
  /** @param asOffer the sender asks for acceptance although the receiver has a preapproval. */
  planTransfer(
    transfer: Transfer,
    options: { readonly generation: Generation; readonly asOffer: boolean },
  ): TransferPlan;
  instructionContext(choice: InstructionChoice, generation: Generation): ChoiceContext;
  /** The admin's word on an instruction of several steps. Undefined where every instruction ends with a choice of the standard. */
  reportOutcome?(instructionCid: string, isSuccess: boolean): Submittable;
  /** The admin replaces what transfers refer to, so that a context of before is good for nothing. Undefined where a context stays good. */
  rollRound?(ledger: TokenLedger): void;
  /** Creates holdings out of nothing. */
  mint(ledger: TokenLedger, owner: string, amountUnits: bigint, generation: Generation): Submittable;
  /** Destroys holdings. Undefined where the token knows no such thing. */
  burn?(owner: string, inputCids: readonly string[], amountUnits: bigint, generation: Generation): Submittable;
  /** The admin removes a holding that is worth less than keeping it. Undefined where the token knows no such thing. */
  expireDust?(holding: Contract, generation: Generation): Submittable;
  /** The owner releases a lock that has expired. Undefined where locks end otherwise. */
  releaseLock?(holding: Contract, generation: Generation): Submittable;
};
