/** Token-standard interface views of created contracts, and whether the instrument's admin stands behind them. */

import type { Micros } from '../env/clock.ts';
import type { CreatedEvent, Event } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Amount } from './amount.ts';
import { HOLDING_V1, isInterface, type StandardInterface, TRANSFER_INSTRUCTION_V1 } from './standard.ts';
import { type Instrument, readInstrument, readTransfer, type TransferRecord } from './transfer-record.ts';
import {
  DecodeError,
  field,
  readContractId,
  readDecimal,
  readList,
  readOptional,
  readParty,
  readRecord,
  readText,
  readTime,
  required,
} from './value.ts';

export type Lock = {
  readonly holders: readonly string[];
  readonly expiresAt: Micros | null;
  /** Microseconds after the lock was made. */
  readonly expiresAfter: Micros | null;
  readonly context: string | null;
};

export type HoldingView = {
  readonly owner: string;
  readonly instrument: Instrument;
  readonly amount: Amount;
  readonly lock: Lock | null;
};

export type InstructionView = { readonly transfer: TransferRecord; readonly originalInstruction: string | null };

/**
 * The view of one interface, or `undefined` where the contract does not have it. A contract may carry several views (V1 and V2 of the same
 * interface), so all are searched.
 * @throws DecodeError when the participant could not compute the view: the contract is a holding or an offer, we just cannot read it.
 */
function viewOf(event: CreatedEvent, standard: StandardInterface): DamlRecord | undefined {
  const view = event.interfaceViews.find((candidate) => isInterface(candidate.interfaceId, standard));
  if (view === undefined) return undefined;
  if ((view.viewStatus?.code ?? 0) !== 0 || view.viewValue === undefined) {
    throw new DecodeError('The participant could not compute an interface view.', {
      contractId: event.contractId,
      interface: standard.entityName,
      status: view.viewStatus?.message,
    });
  }
  return view.viewValue;
}

/** @throws DecodeError when there is a Holding view that cannot be read. */
export function holdingView(event: CreatedEvent): HoldingView | undefined {
  const view = viewOf(event, HOLDING_V1);
  if (view === undefined) return undefined;
  const lock = readRecord(readOptional(field(view, 'lock')));
  return {
    owner: required(readParty(field(view, 'owner')), 'owner'),
    instrument: readInstrument(field(view, 'instrumentId')),
    amount: required(readDecimal(field(view, 'amount')), 'amount'),
    lock: lock === undefined ? null : readLock(lock),
  };
}

function readLock(lock: DamlRecord): Lock {
  const expiresAfter = readRecord(readOptional(field(lock, 'expiresAfter')));
  const microseconds = field(expiresAfter, 'microseconds')?.sum;
  return {
    holders: (readList(field(lock, 'holders')) ?? []).map((holder) => required(readParty(holder), 'lock holder')),
    expiresAt: readTime(readOptional(field(lock, 'expiresAt'))) ?? null,
    expiresAfter: microseconds?.$case === 'int64' ? microseconds.value : null,
    context: readText(readOptional(field(lock, 'context'))) ?? null,
  };
}

/** @throws DecodeError when there is a TransferInstruction view that cannot be read. */
export function instructionView(event: CreatedEvent): InstructionView | undefined {
  const view = viewOf(event, TRANSFER_INSTRUCTION_V1);
  if (view === undefined) return undefined;
  return {
    transfer: readTransfer(field(view, 'transfer')),
    originalInstruction: readContractId(readOptional(field(view, 'originalInstructionCid'))) ?? null,
  };
}

/**
 * Whether the instrument's admin signed the contract. Any package may implement `Holding` and name any admin in its view; only a contract
 * that the admin signed is worth anything.
 */
export function isSignedByAdmin(event: CreatedEvent, instrument: Instrument): boolean {
  return event.signatories.includes(instrument.admin);
}

/**
 * Contracts of earlier updates that a transaction refers to and whose meaning depends on them: everything it consumes, and the originals of the
 * offers it continues. Never throws; what cannot be read refers to nothing.
 */
export function referencedContracts(events: readonly Event[]): readonly string[] {
  return events.flatMap(({ event }) => {
    if (event?.$case === 'exercised') return event.value.consuming ? [event.value.contractId] : [];
    if (event?.$case !== 'created') return [];
    try {
      return instructionView(event.value)?.originalInstruction ?? [];
    } catch (error) {
      if (error instanceof DecodeError) return [];
      throw error;
    }
  });
}
