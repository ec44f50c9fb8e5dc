/**
 * What an exercise says of itself in the words of the token standard: a call of the transfer factory, the end of an offer, a transfer rule
 * of the utility registry, a call of the burn and mint factory, or any choice whose result carries a transaction kind.
 *
 * These are claims. Whether they may be believed is decided in `belief.ts`; here they are only read, and a claim that is not shaped as
 * the standard demands is no claim at all: anybody may exercise anything, so nothing in here throws.
 */
import type { ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord, Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import {
  BURN_MINT_FACTORY_V1,
  isInterface,
  META_REASON,
  META_SENDER,
  META_TX_KIND,
  TRANSFER_FACTORY_V1,
  TRANSFER_FACTORY_V2,
  TRANSFER_INSTRUCTION_V1,
  TRANSFER_INSTRUCTION_V2,
} from './standard.ts';
import {
  type Instrument,
  readInstrument,
  readMetadata,
  readTransfer,
  readTransferV2,
  type TransferRecord,
} from './transfer-record.ts';
import { DecodeError, field, qualifiedName, readContractId, readParty, readRecord, readVariant } from './value.ts';

export type TransferOutput =
  | { readonly kind: 'PENDING'; readonly instruction: string | undefined }
  | { readonly kind: 'COMPLETED' }
  | { readonly kind: 'FAILED' };

export type InstructionChoice = 'ACCEPT' | 'REJECT' | 'WITHDRAW' | 'UPDATE';

/** What the metadata of a result says of a transfer; each part is null where it says nothing of it. */
type Label = { readonly memo: string | null; readonly sender: string | null };

/** Claims that name the one instrument they are about. */
export type TermsClaim =
  /** `TransferFactory_Transfer`: only the sender (or who acts for it) sees one. */
  | { readonly kind: 'FACTORY'; readonly transfer: TransferRecord; readonly output: TransferOutput }
  /** The utility registry's own transfer: what the receiver of a direct transfer sees. */
  | { readonly kind: 'RULE'; readonly transfer: TransferRecord }
  /** `BurnMintFactory_BurnMint`: which of the two it was, the holdings tell. */
  | { readonly kind: 'BURN_MINT'; readonly instrument: Instrument };

/** Claims that leave open of which instrument, and how much. */
export type LabelClaim =
  /** A choice that ends, or moves on, the offer it is exercised on. */
  | ({ readonly kind: 'INSTRUCTION'; readonly choice: InstructionChoice; readonly output: TransferOutput } & Label)
  /** A result with a transaction kind in its metadata. */
  | ({ readonly kind: 'LABELLED'; readonly txKind: string } & Label);

export type Claim = TermsClaim | LabelClaim;

const INSTRUCTION_CHOICES: ReadonlyMap<string, InstructionChoice> = new Map([
  ['TransferInstruction_Accept', 'ACCEPT'],
  ['TransferInstruction_Reject', 'REJECT'],
  ['TransferInstruction_Withdraw', 'WITHDRAW'],
  ['TransferInstruction_Update', 'UPDATE'],
]);

const TRANSFER_RULE = 'Utility.Registry.V0.Rule.Transfer:TransferRule';
const TRANSFER_RULE_CHOICES: readonly string[] = [
  'TransferRule_DirectTransfer',
  'TransferRule_TwoStepTransfer',
  'TransferRule_Transfer',
];

/** The claim an exercise makes, or `undefined`: look at its children then. Never throws. */
export function claimOf(event: ExercisedEvent): Claim | undefined {
  return wellFormed(() => factoryClaim(event) ?? instructionClaim(event) ?? termsClaim(event) ?? labelledClaim(event));
}

function factoryClaim(event: ExercisedEvent): Claim | undefined {
  if (event.choice !== 'TransferFactory_Transfer') return undefined;
  const read = transferReaderOf(event.interfaceId);
  const output = read && outputOf(event.exerciseResult);
  return output && { kind: 'FACTORY', transfer: read(argument(event, 'transfer')), output };
}

function transferReaderOf(interfaceId: Identifier | undefined) {
  if (isInterface(interfaceId, TRANSFER_FACTORY_V1)) return readTransfer;
  if (isInterface(interfaceId, TRANSFER_FACTORY_V2)) return readTransferV2;
  return undefined;
}

/** V1's choices consume the offer. V2's do not: the offer's own code archives it inside them, or calls V1's choice. */
function instructionClaim(event: ExercisedEvent): Claim | undefined {
  const choice = INSTRUCTION_CHOICES.get(event.choice);
  const standard = event.consuming ? TRANSFER_INSTRUCTION_V1 : TRANSFER_INSTRUCTION_V2;
  if (choice === undefined || !isInterface(event.interfaceId, standard)) return undefined;
  const output = outputOf(event.exerciseResult);
  return output && { kind: 'INSTRUCTION', choice, output, ...partiesOf(event, resultMetadata(event.exerciseResult)) };
}

function termsClaim(event: ExercisedEvent): Claim | undefined {
  if (qualifiedName(event.templateId) === TRANSFER_RULE && TRANSFER_RULE_CHOICES.includes(event.choice)) {
    return { kind: 'RULE', transfer: readTransfer(argument(event, 'transfer')) };
  }
  if (event.choice === 'BurnMintFactory_BurnMint' && isInterface(event.interfaceId, BURN_MINT_FACTORY_V1)) {
    return { kind: 'BURN_MINT', instrument: readInstrument(argument(event, 'instrumentId')) };
  }
  return undefined;
}

function labelledClaim(event: ExercisedEvent): Claim | undefined {
  const meta = resultMetadata(event.exerciseResult);
  const txKind = meta.get(META_TX_KIND);
  return txKind === undefined ? undefined : { kind: 'LABELLED', txKind, ...partiesOf(event, meta) };
}

function partiesOf(event: ExercisedEvent, meta: ReadonlyMap<string, string>): Label {
  const sender = wellFormed(() => readParty(argument(event, 'sender'))) ?? meta.get(META_SENDER) ?? null;
  return { memo: meta.get(META_REASON) ?? null, sender };
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
