/**
 * From what people want ("send 5 to the treasury") to calls of standard choices and back from their results: the part of a wallet that
 * asks the registry, picks inputs and reads the answer.
 */
import type { Contract } from './daml/contract.ts';
import {
  contractIdField,
  contractIdsField,
  decimalField,
  fieldOf,
  optionalField,
  partyField,
  recordField,
  recordOf,
  textField,
  type Value,
} from './daml/value.ts';
import type { ContractStore } from './ledger/contract-store.ts';
import { HOLDING, type InstrumentId, TRANSFER_INSTRUCTION, type Transfer, transferOf } from './tokens/standard.ts';

/** A holding as its owner's wallet shows it. */
export type HoldingSummary = {
  readonly contractId: string;
  readonly owner: string;
  readonly instrumentId: InstrumentId;
  /** Units of 10⁻¹⁰. */
  readonly amountUnits: bigint;
  readonly isLocked: boolean;
};

/** @returns undefined for contracts that are no holdings. */
export function holdingOf(contract: Contract): HoldingSummary | undefined {
  const view = contract.interfaces.find(({ interfaceId }) => interfaceId === HOLDING)?.view;
  if (view === undefined) return undefined;
  const instrument = recordField(view, 'instrumentId');
  return {
    contractId: contract.contractId,
    owner: partyField(view, 'owner'),
    instrumentId: { admin: partyField(instrument, 'admin'), id: textField(instrument, 'id') },
    amountUnits: decimalField(view, 'amount'),
    isLocked: optionalField(view, 'lock') !== undefined,
  };
}

export function holdingsOf(
  contracts: ContractStore,
  owner: string,
  instrument: InstrumentId,
): readonly HoldingSummary[] {
  const holdings: HoldingSummary[] = [];
  for (const contract of contracts.activeOf(owner)) {
    const holding = holdingOf(contract);
    if (holding?.owner !== owner) continue;
    if (holding.instrumentId.admin === instrument.admin && holding.instrumentId.id === instrument.id)
      holdings.push(holding);
  }
  return holdings;
}

/**
 * Picks unlocked holdings, largest first, until they cover `neededUnits`.
 * @param taken contract ids that are spoken for. @returns all there are when they do not suffice: refusing is the ledger's.
 */
export function pickInputs(
  holdings: readonly HoldingSummary[],
  neededUnits: bigint,
  taken: ReadonlySet<string>,
): readonly string[] {
  const free = holdings
    .filter(({ isLocked, contractId }) => !isLocked && !taken.has(contractId))
    .sort((left, right) => (left.amountUnits > right.amountUnits ? -1 : left.amountUnits < right.amountUnits ? 1 : 0));
  const picked: string[] = [];
  let sum = 0n;
  for (const { contractId, amountUnits } of free) {
    if (sum >= neededUnits) break;
    picked.push(contractId);
    sum += amountUnits;
  }
  return picked;
}

/** @returns the transfer of a pending instruction; undefined for other contracts. */
export function instructionOf(contract: Contract): Transfer | undefined {
  const view = contract.interfaces.find(({ interfaceId }) => interfaceId === TRANSFER_INSTRUCTION)?.view;
  return view && transferOf(recordField(view, 'transfer'));
}

/** What a `TransferInstructionResult` says. */
export type TransferOutcome = {
  readonly kind: 'pending' | 'completed' | 'failed';
  readonly instructionCid: string | undefined;
  readonly receiverHoldingCids: readonly string[];
  readonly senderChangeCids: readonly string[];
};

/** Reads the result of a standard choice, or of a proxy around one. @returns undefined for any other result. */
export function outcomeOf(result: Value): TransferOutcome | undefined {
  if (result.sum?.$case !== 'record') return undefined;
  const outer = recordOf(result);
  const wrapped = fieldOf(outer, 'choiceResult');
  const fields = wrapped === undefined ? outer : recordOf(wrapped);
  const output = fieldOf(fields, 'output')?.sum;
  if (output?.$case !== 'variant') return undefined;
  const senderChangeCids = contractIdsField(fields, 'senderChangeCids');
  const none = { instructionCid: undefined, receiverHoldingCids: [], senderChangeCids };
  const inner = output.value.value;
  switch (output.value.constructor) {
    case 'TransferInstructionResult_Pending':
      return {
        ...none,
        kind: 'pending',
        instructionCid: inner && contractIdField(recordOf(inner), 'transferInstructionCid'),
      };
    case 'TransferInstructionResult_Completed':
      return {
        ...none,
        kind: 'completed',
        receiverHoldingCids: inner ? contractIdsField(recordOf(inner), 'receiverHoldingCids') : [],
      };
    default:
      return { ...none, kind: 'failed' };
  }
}
