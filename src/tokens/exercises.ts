/**
 * What an exercise says of itself in the words of the token standard: a call of the transfer factory, the end of an offer, a transfer rule
 * of the utility registry, or any choice whose result carries a transaction kind.
 *
 * These are claims. Whether they may be believed is decided in `update-effects.ts`; here they are only read, and a claim that is not shaped as
 * the standard demands is no claim at all: anybody may exercise anything, so nothing in here throws.
 */
import type { ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import {
  isInterface,
  META_REASON,
  META_SENDER,
  META_TX_KIND,
  TRANSFER_FACTORY_V1,
  TRANSFER_INSTRUCTION_V1,
} from './standard.ts';
import { readMetadata, readTransfer, type TransferRecord } from './transfer-record.ts';
import { DecodeError, field, qualifiedName, readContractId, readParty, readRecord, readVariant } from './value.ts';

export type TransferOutput =
  | { readonly kind: 'PENDING'; readonly instruction: string | undefined }
  | { readonly kind: 'COMPLETED' }
  | { readonly kind: 'FAILED' };

export type InstructionChoice = 'ACCEPT' | 'REJECT' | 'WITHDRAW' | 'UPDATE';

export type Claim =
  /** `TransferFactory_Transfer`: only the sender (or who acts for it) sees one. */
  | { readonly kind: 'FACTORY'; readonly transfer: TransferRecord; readonly output: TransferOutput }
  /** A choice that ends, or moves on, the offer it is exercised on. */
  | { readonly kind: 'INSTRUCTION'; readonly choice: InstructionChoice; readonly output: TransferOutput }
  /** The utility registry's own transfer: what the receiver of a direct transfer sees. */
  | { readonly kind: 'RULE'; readonly transfer: TransferRecord }
  /** A result with a transaction kind in its metadata. */
  | {
      readonly kind: 'LABELLED';
      readonly txKind: string;
      readonly memo: string | null;
      readonly sender: string | null;
    };

/**
 * Contracts whose choices describe transfers truthfully because the code of these packages does: (package name, module:entity). The admin's
 * signature would show it as well, but an exercise does not carry the signatories of its contract, and the creation of, say, a preapproval may be
 * older than the history we read.
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

export function isPinned(event: ExercisedEvent): boolean {
  return PINNED_CONTRACTS.has(`${event.packageName}/${qualifiedName(event.templateId)}`);
}

const INSTRUCTION_CHOICES: Readonly<Record<string, InstructionChoice>> = {
  TransferInstruction_Accept: 'ACCEPT',
  TransferInstruction_Reject: 'REJECT',
  TransferInstruction_Withdraw: 'WITHDRAW',
  TransferInstruction_Update: 'UPDATE',
};

const TRANSFER_RULE = 'Utility.Registry.V0.Rule.Transfer:TransferRule';
const TRANSFER_RULE_CHOICES: readonly string[] = [
  'TransferRule_DirectTransfer',
  'TransferRule_TwoStepTransfer',
  'TransferRule_Transfer',
];

/** The claim an exercise makes, or `undefined`: look at its children then. Never throws. */
export function claimOf(event: ExercisedEvent): Claim | undefined {
  return wellFormed(() => factoryClaim(event) ?? instructionClaim(event) ?? ruleClaim(event) ?? labelledClaim(event));
}

function factoryClaim(event: ExercisedEvent): Claim | undefined {
  if (event.choice !== 'TransferFactory_Transfer' || !isInterface(event.interfaceId, TRANSFER_FACTORY_V1))
    return undefined;
  const output = outputOf(event.exerciseResult);
  return output && { kind: 'FACTORY', transfer: readTransfer(argument(event, 'transfer')), output };
}

function instructionClaim(event: ExercisedEvent): Claim | undefined {
  const choice = INSTRUCTION_CHOICES[event.choice];
  if (choice === undefined || !event.consuming || !isInterface(event.interfaceId, TRANSFER_INSTRUCTION_V1))
    return undefined;
  const output = outputOf(event.exerciseResult);
  return output && { kind: 'INSTRUCTION', choice, output };
}

function ruleClaim(event: ExercisedEvent): Claim | undefined {
  if (qualifiedName(event.templateId) !== TRANSFER_RULE || !TRANSFER_RULE_CHOICES.includes(event.choice))
    return undefined;
  return { kind: 'RULE', transfer: readTransfer(argument(event, 'transfer')) };
}

function labelledClaim(event: ExercisedEvent): Claim | undefined {
  const meta = resultMetadata(event.exerciseResult);
  const txKind = meta.get(META_TX_KIND);
  if (txKind === undefined) return undefined;
  const sender = wellFormed(() => readParty(argument(event, 'sender'))) ?? meta.get(META_SENDER) ?? null;
  return { kind: 'LABELLED', txKind, memo: meta.get(META_REASON) ?? null, sender };
}

/**
 * Metadata in a result. `TransferPreapproval_SendResult.meta` is an `Optional Metadata`, other results carry it plainly; JSON hides the
 * difference, gRPC does not.
 */
function resultMetadata(result: Value | undefined): ReadonlyMap<string, string> {
  if (result?.sum?.$case !== 'record') return new Map();
  const meta = field(result.sum.value, 'meta');
  return readMetadata(meta?.sum?.$case === 'optional' ? meta.sum.value.value : meta);
}

function outputOf(result: Value | undefined): TransferOutput | undefined {
  const output = readVariant(field(readRecord(result), 'output'));
  switch (output?.constructor) {
    case 'TransferInstructionResult_Pending':
      return {
        kind: 'PENDING',
        instruction: readContractId(field(readRecord(output.value), 'transferInstructionCid')),
      };
    case 'TransferInstructionResult_Completed':
      return { kind: 'COMPLETED' };
    case 'TransferInstructionResult_Failed':
      return { kind: 'FAILED' };
    default:
      return undefined;
  }
}

function argument(event: ExercisedEvent, label: string): Value | undefined {
  const record: DamlRecord | undefined =
    event.choiceArgument?.sum?.$case === 'record' ? event.choiceArgument.sum.value : undefined;
  return field(record, label);
}

/** `undefined` where a foreign contract's value is not shaped as the standard demands. Other errors pass. */
function wellFormed<T>(reading: () => T | undefined): T | undefined {
  try {
    return reading();
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
