/**
 * Reads Daml values as the gRPC Ledger API sends them. Records are read by label, never by position: a node cuts trailing `None`s even in
 * verbose mode, and a package upgrade may append fields. So a missing field reads as `undefined`, just like an absent optional, and a field
 * of another type than asked for is a {@link DecodeError}.
 */

import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { storableText } from '../env/storable-text.ts';
import type { Record as DamlRecord, Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Amount, parseAmount } from './amount.ts';

/** What we received does not have the shape that the token standard promises. Retrying cannot help. */
export class DecodeError extends PermanentError {
  constructor(message: string, facts: Readonly<Record<string, unknown>> = {}) {
    super('VALUE_NOT_UNDERSTOOD', message, facts);
  }
}

type Sum = NonNullable<Value['sum']>;
/** What each case of a value carries. */
type Payloads = { [S in Sum as S['$case']]: S['value'] };

/**
 * The payload of `value` if it is of the case asked for; `undefined` if there is no value. @throws DecodeError on another case, also on one that this version
 * does not know: it is something, and to read it as nothing would make, say, a locked holding a free one.
 */
function read<C extends keyof Payloads>(value: Value | undefined, wanted: C): Payloads[C] | undefined {
  if (value === undefined) return undefined;
  const { sum } = value;
  if (sum?.$case !== wanted)
    throw new DecodeError(`Expected a ${wanted}, found a ${sum?.$case ?? 'value of a new kind'}.`);
  return sum.value as Payloads[C]; // The comparison is the proof; the compiler cannot follow it through the type parameter.
}

export function readText(value: Value | undefined): string | undefined {
  const text = read(value, 'text');
  return text === undefined ? undefined : storableText(text);
}
export const readParty = (value: Value | undefined): string | undefined => read(value, 'party');
export const readContractId = (value: Value | undefined): string | undefined => read(value, 'contractId');
export const readRecord = (value: Value | undefined): DamlRecord | undefined => read(value, 'record');
/** Microseconds since the epoch. */
export const readTime = (value: Value | undefined): Micros | undefined => read(value, 'timestamp');
export const readList = (value: Value | undefined): readonly Value[] | undefined => read(value, 'list')?.elements;
export const readVariant = (
  value: Value | undefined,
): { constructor: string; value: Value | undefined } | undefined => {
  const variant = read(value, 'variant');
  return variant && { constructor: variant.constructor, value: variant.value };
};

/** @throws DecodeError when the numeric has more than ten decimals or 28 integer digits: then it is not a Daml `Decimal`. */
export function readDecimal(value: Value | undefined): Amount | undefined {
  const numeric = read(value, 'numeric');
  if (numeric === undefined) return undefined;
  try {
    return parseAmount(numeric);
  } catch (cause) {
    throw new DecodeError('Expected a Decimal with ten decimals.', { numeric, cause });
  }
}

/** The value inside an `Optional`; `undefined` for `None` and for a missing field. */
export function readOptional(value: Value | undefined): Value | undefined {
  return read(value, 'optional')?.value;
}

/** A TextMap of texts as a map; entries of another type are a DecodeError. */
export function readTextMap(value: Value | undefined): ReadonlyMap<string, string> {
  const entries = read(value, 'textMap')?.entries ?? [];
  return new Map(
    entries.map((entry) => [storableText(entry.key), required(readText(entry.value), `text at key ${entry.key}`)]),
  );
}

/** The field of that label, or `undefined`. */
export function field(record: DamlRecord | undefined, label: string): Value | undefined {
  return record?.fields.find((candidate) => candidate.label === label)?.value;
}

/** @throws DecodeError naming `what` when the value is missing. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new DecodeError(`Missing: ${what}.`);
  return value;
}

/** `Module.Path:Entity`, without the package: what stays the same when a package is upgraded. */
export function qualifiedName(identifier: Identifier | undefined): string {
  return identifier === undefined ? '' : `${identifier.moduleName}:${identifier.entityName}`;
}
