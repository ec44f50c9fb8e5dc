/** Token-standard interface views of created contracts, and whether the instrument's admin stands behind them. */

import type { Micros } from '../env/clock.ts';
import type { CreatedEvent, Event, InterfaceView } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Record as DamlRecord, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Amount } from './amount.ts';
import {
  HOLDING_V1,
  HOLDING_V2,
  isInterface,
  type StandardInterface,
  TRANSFER_INSTRUCTION_V1,
  TRANSFER_INSTRUCTION_V2,
} from './standard.ts';
import {
  type Instrument,
  isPlainAccount,
  isPlainByMetadata,
  readAccountOwner,
  readInstrument,
  readMetadata,
  readTransfer,
  readTransferV2,
  type TransferRecord,
} from './transfer-record.ts';
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
  /** Not in an account of the second generation that a provider or a number divides from what the owner has otherwise: the provider may have a say in it. */
  readonly isPlain: boolean;
  readonly instrument: Instrument;
  readonly amount: Amount;
  readonly lock: Lock | null;
};

export type InstructionView = { readonly transfer: TransferRecord; readonly originalInstruction: string | null };

/** An interface, and how its view is read. */
type ViewReader<T> = { readonly standard: StandardInterface; readonly read: (view: DamlRecord) => T };

/**
 * What a contract says of itself under the first of `readers` whose view the participant could compute: a contract may carry the views of both generations of
 * the standard, and is still one holding, or one offer. `undefined` where it has none of them.
 * @throws DecodeError when it has such views and none was computed, or when the one that was has another shape than the standard gives it.
 */
function readView<T>(event: CreatedEvent, readers: readonly ViewReader<T>[]): T | undefined {
  let failed: InterfaceView | undefined;
  for (const { standard, read } of readers) {
    for (const view of event.interfaceViews) {
      if (!isInterface(view.interfaceId, standard)) continue;
      if ((view.viewStatus?.code ?? 0) === 0 && view.viewValue !== undefined) return read(view.viewValue);
      failed ??= view;
    }
  }
  if (failed === undefined) return undefined;
  throw new DecodeError('The participant could not compute an interface view.', {
    contractId: event.contractId,
    status: failed.viewStatus?.message,
  });
}

const HOLDING_READERS: readonly ViewReader<HoldingView>[] = [
  {
    standard: HOLDING_V1,
    read: (view) => ({
      ...readHolding(view, () => required(readParty(field(view, 'owner')), 'owner')),
      isPlain: isPlainByMetadata(readMetadata(field(view, 'meta'))),
    }),
  },
  {
    standard: HOLDING_V2,
    read: (view) => ({
      ...readHolding(view, (instrument) => readAccountOwner(field(view, 'account'), instrument)),
      isPlain: isPlainAccount(field(view, 'account')),
    }),
  },
];

/** @throws DecodeError when there is a Holding view that cannot be read. */
export function holdingView(event: CreatedEvent): HoldingView | undefined {
  return readView(event, HOLDING_READERS);
}

/** Whether the holding is one of those that `party` owns and spends alone. Others are not the treasury's to promise to anybody. */
export function isOwnHolding(view: HoldingView, party: string): boolean {
  return view.owner === party && view.isPlain;
}

function readHolding(view: DamlRecord, ownerOf: (instrument: Instrument) => string): Omit<HoldingView, 'isPlain'> {
  const instrument = readInstrument(field(view, 'instrumentId'));
  const lock = readRecord(readOptional(field(view, 'lock')));
  return {
    owner: ownerOf(instrument),
    instrument,
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

const INSTRUCTION_READERS: readonly ViewReader<InstructionView>[] = [
  { standard: TRANSFER_INSTRUCTION_V1, read: (view) => readInstruction(view, readTransfer) },
  { standard: TRANSFER_INSTRUCTION_V2, read: (view) => readInstruction(view, readTransferV2) },
];

/** @throws DecodeError when there is a TransferInstruction view that cannot be read. */
export function instructionView(event: CreatedEvent): InstructionView | undefined {
  const view = readView(event, INSTRUCTION_READERS);
  if (view === undefined || view.transfer.isToPart === true) return view;
  // The first generation knows no accounts. Where a contract has both views, the second tells what the offer is for.
  const second = event.interfaceViews.find(({ interfaceId }) => isInterface(interfaceId, TRANSFER_INSTRUCTION_V2));
  if (second?.viewValue === undefined || !isToPart(second.viewValue)) return view;
  return { ...view, transfer: { ...view.transfer, isToPart: true } };
}

/** Of a view of the second generation beside one that was read. What cannot be read is not taken for an offer of all to one. */
function isToPart(view: DamlRecord): boolean {
  try {
    return !isPlainAccount(field(readRecord(field(view, 'transfer')), 'receiver'));
  } catch (error) {
    if (error instanceof DecodeError) return true;
    throw error;
  }
}

function readInstruction(view: DamlRecord, transferOf: (value: Value | undefined) => TransferRecord): InstructionView {
  return {
    transfer: transferOf(field(view, 'transfer')),
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
