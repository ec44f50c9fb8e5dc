/** The standard's `Transfer` record: what an offer, a factory call and a registry's transfer rule carry, and half of a proof of transfer. */
import type { Micros } from '../env/clock.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Amount, formatAmount, parseAmount } from './amount.ts';
import { META_ACCOUNT_ID, META_ACCOUNT_PROVIDER } from './standard.ts';
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
  readTextMap,
  readTime,
  required,
} from './value.ts';

/** An instrument is its admin and its id; the same id under another admin is another instrument. */
export type Instrument = { readonly admin: string; readonly id: string };

export type TransferRecord = {
  readonly sender: string;
  readonly receiver: string;
  readonly amount: Amount;
  readonly instrument: Instrument;
  readonly requestedAt: Micros;
  /** Exclusive: at this time it is too late. */
  readonly executeBefore: Micros;
  readonly inputHoldings: readonly string[];
  readonly meta: ReadonlyMap<string, string>;
  /** Where it is for a part of what the receiver has, which a provider or a number divides from the rest (V2 alone): then what it brings is not simply his. */
  readonly isToPart?: true;
};

/** Bytes of UTF-8: escaped and encoded it must still fit an entry of an index and a cursor of the API. No real instrument comes near. */
const INSTRUMENT_ID_BYTES_MAX = 256;

/** @throws DecodeError when the record lacks a field, has one of another type, or an id too long to be one. */
export function readInstrument(value: Value | undefined): Instrument {
  const record = readRecord(value);
  const id = required(readText(field(record, 'id')), 'instrumentId.id');
  if (Buffer.byteLength(id, 'utf8') > INSTRUMENT_ID_BYTES_MAX) throw new DecodeError('The instrument id is too long.');
  return { admin: required(readParty(field(record, 'admin')), 'instrumentId.admin'), id };
}

/** The `values` of a `Metadata` record; empty when there is none. */
export function readMetadata(value: Value | undefined): ReadonlyMap<string, string> {
  return readTextMap(field(readRecord(value), 'values'));
}

/** @throws DecodeError when a mandatory field is missing or of another type, or the amount is below zero. */
export function readTransfer(value: Value | undefined): TransferRecord {
  return transferBetween(value, readParty);
}

/** The transfer of V2, which is between accounts: read as one between their owners. @throws DecodeError as `readTransfer`. */
export function readTransferV2(value: Value | undefined): TransferRecord {
  const transfer = transferBetween(value, readAccountOwner);
  return isPlainAccount(field(readRecord(value), 'receiver')) ? transfer : { ...transfer, isToPart: true };
}

/**
 * Who owns an account of V2; its provider and number only divide what the owner has. The accounts without an owner are the admin's own, the source of what
 * is minted and the end of what is burned.
 */
export function readAccountOwner(value: Value | undefined, { admin }: Instrument): string {
  return readParty(readOptional(field(required(readRecord(value), 'account'), 'owner'))) ?? admin;
}

/** Of V2: whether the account is all that its owner has and not a part, kept by a provider or under a number. */
export function isPlainAccount(value: Value | undefined): boolean {
  const account = required(readRecord(value), 'account');
  const provider = readParty(readOptional(field(account, 'provider')));
  const id = readText(field(account, 'id')) ?? '';
  return provider === undefined && id === '';
}

/** The same as a V1 view tells it of a holding of V2 (CIP-112). */
export function isPlainByMetadata(meta: ReadonlyMap<string, string>): boolean {
  return (meta.get(META_ACCOUNT_PROVIDER) ?? '') === '' && (meta.get(META_ACCOUNT_ID) ?? '') === '';
}

function transferBetween(
  value: Value | undefined,
  readEnd: (end: Value | undefined, instrument: Instrument) => string | undefined,
): TransferRecord {
  const record = required(readRecord(value), 'transfer');
  const amount = required(readDecimal(field(record, 'amount')), 'transfer.amount');
  if (amount < 0n) throw new DecodeError('A transfer of less than nothing.');
  const instrument = readInstrument(field(record, 'instrumentId'));
  return {
    sender: required(readEnd(field(record, 'sender'), instrument), 'transfer.sender'),
    receiver: required(readEnd(field(record, 'receiver'), instrument), 'transfer.receiver'),
    amount,
    instrument,
    requestedAt: required(readTime(field(record, 'requestedAt')), 'transfer.requestedAt'),
    executeBefore: required(readTime(field(record, 'executeBefore')), 'transfer.executeBefore'),
    inputHoldings: (readList(field(record, 'inputHoldingCids')) ?? []).map((cid) =>
      required(readContractId(cid), 'input holding'),
    ),
    meta: readMetadata(field(record, 'meta')),
  };
}

/** JSON of the record with the standard's own field names, times in microseconds: stored for ever, since participants prune. */
export type TransferJson = {
  readonly sender: string;
  readonly receiver: string;
  readonly amount: string;
  readonly instrumentId: Instrument;
  readonly requestedAt: string;
  readonly executeBefore: string;
  readonly inputHoldingCids: readonly string[];
  readonly meta: { readonly values: Readonly<Record<string, string>> };
  /** Not the standard's: as in {@link TransferRecord}. */
  readonly isToPart?: true;
};

export function transferToJson(transfer: TransferRecord): TransferJson {
  return {
    sender: transfer.sender,
    receiver: transfer.receiver,
    amount: formatAmount(transfer.amount),
    instrumentId: transfer.instrument,
    requestedAt: transfer.requestedAt.toString(),
    executeBefore: transfer.executeBefore.toString(),
    inputHoldingCids: transfer.inputHoldings,
    meta: { values: Object.fromEntries(transfer.meta) },
    ...(transfer.isToPart === true && { isToPart: true }),
  };
}

/** Inverse of {@link transferToJson}. @throws PermanentError AMOUNT_INVALID or SyntaxError for what transferToJson never made. */
export function transferOfJson(json: TransferJson): TransferRecord {
  return {
    sender: json.sender,
    receiver: json.receiver,
    amount: parseAmount(json.amount),
    instrument: json.instrumentId,
    requestedAt: BigInt(json.requestedAt),
    executeBefore: BigInt(json.executeBefore),
    inputHoldings: json.inputHoldingCids,
    meta: new Map(Object.entries(json.meta.values)),
    ...(json.isToPart === true && { isToPart: true }),
  };
}
