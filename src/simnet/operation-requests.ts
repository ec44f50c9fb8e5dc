/** What can be asked of wallets, admins and the DSO of the simulated network, and what each answers. */
import type { Committed } from './ledger/ledger.ts';
import type { TransferOutcome } from './network-commands.ts';
import type { Generation } from './tokens/amulet-contracts.ts';

/** How an operation reaches the ledger; all optional. */
export type SubmitOptions = {
  /** Which version of the token's packages the nodes prefer; drawn at random when left out. */
  readonly generation?: Generation;
  /** Name of the submitting participant; the first that hosts the acting party when left out. */
  readonly via?: string;
  readonly commandId?: string;
  readonly workflowId?: string;
  readonly externalTransactionHash?: Uint8Array;
};

export type TransferRequest = SubmitOptions & {
  readonly instrument: string;
  readonly sender: string;
  readonly receiver: string;
  readonly amount: string;
  /** Goes to the metadata key `…/reason`; left out: no such key. An empty text is kept. */
  readonly memo?: string;
  readonly meta?: Readonly<Record<string, string>>;
  readonly requestedAtMicros?: bigint;
  /** A day from now when left out. */
  readonly executeBeforeMicros?: bigint;
  /** Holdings to spend; picked among the sender's unlocked ones when left out. */
  readonly inputHoldingCids?: readonly string[];
  /** `offer` makes an offer even to a receiver with a preapproval. */
  readonly kind?: 'offer';
  /** Wraps the standard choice in that of a delegate proxy. */
  readonly proxy?: boolean;
};

export type InstructionRequest = SubmitOptions & {
  readonly instructionCid: string;
  readonly proxy?: boolean;
  /** Through the choice of the standard's second version, where the instruction has it; the first when left out. */
  readonly standard?: 'V2';
};

export type OutcomeRequest = SubmitOptions & { readonly instructionCid: string; readonly isSuccess: boolean };

export type ArchiveRequest = SubmitOptions & {
  readonly instructionCid: string;
  /** And what it locks: then the sender's money is gone as well. */
  readonly alsoLocked?: boolean;
};

export type HoldingRequest = SubmitOptions & { readonly contractId: string };

export type AmountRequest = SubmitOptions & {
  readonly instrument: string;
  readonly owner: string;
  readonly amount: string;
};

export type MergeRequest = SubmitOptions & {
  readonly instrument: string;
  readonly owner: string;
  /** All unlocked holdings, the 100 largest, when left out. */
  readonly inputHoldingCids?: readonly string[];
};

export type BatchOperation =
  | (Omit<TransferRequest, keyof SubmitOptions> & { readonly operation: 'transfer' })
  | {
      readonly operation: 'accept' | 'reject' | 'withdraw' | 'expire';
      readonly instructionCid: string;
      readonly proxy?: boolean;
    };

export type BatchRequest = SubmitOptions & {
  readonly operations: readonly BatchOperation[];
  /** Puts all of it below one choice of a batching contract of this party, instead of side by side. */
  readonly wrapper?: string;
};

/** What a single transfer or instruction choice did. */
export type OperationResult = Committed & TransferOutcome;

export type Operations = {
  /** Makes holdings out of nothing. */
  tap(request: AmountRequest): Committed;
  /** Destroys holdings; only tokens that know it. */
  burn(request: AmountRequest): Committed;
  transfer(request: TransferRequest): OperationResult;
  accept(request: InstructionRequest): OperationResult;
  reject(request: InstructionRequest): OperationResult;
  withdraw(request: InstructionRequest): OperationResult;
  /** The admin's update of an offer whose deadline has passed. */
  expire(request: InstructionRequest): OperationResult;
  /**
   * The admin's update of an offer before its deadline: it goes on as another contract that names the first one. Only the `note` token.
   * @returns the contract that continues it.
   */
  evolve(request: InstructionRequest): OperationResult;
  /** The admin's word on an offer that needs it after acceptance (`acme.example/workflow` = `desk` in its metadata). Only `note`. */
  reportOutcome(request: OutcomeRequest): OperationResult;
  /** The admin's and the sender's contract is archived as such, by none of the standard's choices, which the standard forbids: nothing says what became of the transfer. */
  archiveOffer(request: ArchiveRequest): Committed;
  /** The admin removes a holding for its holding fees; Canton Coin alone. */
  expireDust(request: HoldingRequest): Committed;
  /** The owner releases a holding whose lock has expired; Canton Coin alone. */
  releaseLock(request: HoldingRequest): Committed;
  /** Self-transfer of all inputs into one holding. */
  merge(request: MergeRequest): OperationResult;
  /** Self-transfer that puts `amount` into a holding of its own. */
  split(request: AmountRequest): OperationResult;
  /** Several operations in one transaction. @returns outcomes in the order given; empty inside a wrapper. */
  batch(request: BatchRequest): Committed & { readonly outcomes: readonly TransferOutcome[] };
  /** Lets the receiver be paid in that instrument without acceptance. */
  /** The admin replaces what transfers refer to: contexts of before are good for nothing. @throws PermanentError SIMNET_UNSUPPORTED where contexts stay good. */
  rollRound(request: { readonly instrument: string }): void;
  preapprove(request: {
    readonly instrument: string;
    readonly receiver: string;
    readonly generation?: Generation;
    /** From now on; ten years when left out. */
    readonly lifetimeMs?: number;
  }): void;
  /** What the provider of preapprovals does when its automation runs; Canton Coin alone. */
  renewPreapproval(request: PreapprovalRequest): void;
  cancelPreapproval(request: PreapprovalRequest): void;
  /** Accepts every proposal that is open. @returns how many. */
  acceptPreapprovals(request: { readonly lifetimeMs?: number }): number;
};

export type PreapprovalRequest = {
  readonly instrument: string;
  readonly receiver: string;
  /** From now on; ten years when left out. */
  readonly lifetimeMs?: number;
};
