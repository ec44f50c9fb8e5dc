/**
 * Making and reading Daml-LF values in their Ledger API form. Programs of the simulated packages build every argument, result and view
 * with these, so labels and type ids are always there; rendering (render.ts) leaves them out where a reader did not ask for them.
 */

import { assert } from '../../env/errors.ts';
import type { Record as DamlRecord, Identifier, Value } from '../../gen/com/daml/ledger/api/v2/value.ts';
import { decimalOfUnits, unitsOfDecimal } from './decimal.ts';

export type { DamlRecord, Identifier, Value };

export type Fields = Readonly<{ [label: string]: Value }>;

export function identifier(packageId: string, moduleName: string, entityName: string): Identifier {
  return { packageId, moduleName, entityName };
}

/** @returns `package:module:entity`, the form in which ids are compared and printed. */
export function keyOf(id: Identifier): string {
  return `${id.packageId}:${id.moduleName}:${id.entityName}`;
}

export const unit = (): Value => ({ sum: { $case: 'unit', value: {} } });
export const bool = (value: boolean): Value => ({ sum: { $case: 'bool', value } });
export const int64 = (value: bigint): Value => ({ sum: { $case: 'int64', value } });
export const text = (value: string): Value => ({ sum: { $case: 'text', value } });
export const party = (value: string): Value => ({ sum: { $case: 'party', value } });
export const contractId = (value: string): Value => ({ sum: { $case: 'contractId', value } });
/** @param micros since 1970-01-01T00:00:00Z. */
export const time = (micros: bigint): Value => ({ sum: { $case: 'timestamp', value: micros } });
/** @param units of 10⁻¹⁰. */
export const decimal = (units: bigint): Value => ({ sum: { $case: 'numeric', value: decimalOfUnits(units) } });
export const list = (elements: readonly Value[]): Value => ({
  sum: { $case: 'list', value: { elements: [...elements] } },
});
export const optional = (value: Value | undefined): Value => ({ sum: { $case: 'optional', value: { value } } });
export const recordValue = (value: DamlRecord): Value => ({ sum: { $case: 'record', value } });

/** Entries are put in key order, as the ledger keeps them. */
export function textMap(entries: ReadonlyMap<string, Value>): Value {
  const sorted = [...entries].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
  return { sum: { $case: 'textMap', value: { entries: sorted.map(([key, value]) => ({ key, value })) } } };
}

export function record(recordId: Identifier, fields: Fields): DamlRecord {
  return { recordId, fields: Object.entries(fields).map(([label, value]) => ({ label, value })) };
}

export function variant(variantId: Identifier, name: string, value: Value): Value {
  return { sum: { $case: 'variant', value: { variantId, constructor: name, value } } };
}

/** @returns the field, or undefined when it is missing: trailing None fields may be cut from an argument. */
export function fieldOf(source: DamlRecord, label: string): Value | undefined {
  return source.fields.find((field) => field.label === label)?.value;
}

/** @throws when it is missing. */
export function valueField(source: DamlRecord, label: string): Value {
  return required(source, label);
}

function required(source: DamlRecord, label: string): Value {
  const value = fieldOf(source, label);
  assert(value !== undefined, 'A record lacks a field.', { label, record: source.recordId && keyOf(source.recordId) });
  return value;
}

export function recordField(source: DamlRecord, label: string): DamlRecord {
  return recordOf(required(source, label));
}

export function recordOf(value: Value): DamlRecord {
  assert(value.sum?.$case === 'record', 'A value is not a record.', { found: value.sum?.$case });
  return value.sum.value;
}

export function partyField(source: DamlRecord, label: string): string {
  const { sum } = required(source, label);
  assert(sum?.$case === 'party', 'A field is not a party.', { label, found: sum?.$case });
  return sum.value;
}

export function textField(source: DamlRecord, label: string): string {
  const { sum } = required(source, label);
  assert(sum?.$case === 'text', 'A field is not a text.', { label, found: sum?.$case });
  return sum.value;
}

export function contractIdField(source: DamlRecord, label: string): string {
  return contractIdOf(required(source, label));
}

export function contractIdOf(value: Value): string {
  assert(value.sum?.$case === 'contractId', 'A value is not a contract id.', { found: value.sum?.$case });
  return value.sum.value;
}

/** @returns units of 10⁻¹⁰. */
export function decimalField(source: DamlRecord, label: string): bigint {
  const { sum } = required(source, label);
  assert(sum?.$case === 'numeric', 'A field is not a decimal.', { label, found: sum?.$case });
  return unitsOfDecimal(sum.value);
}

/** @returns microseconds since 1970-01-01T00:00:00Z. */
export function timeField(source: DamlRecord, label: string): bigint {
  const { sum } = required(source, label);
  assert(sum?.$case === 'timestamp', 'A field is not a time.', { label, found: sum?.$case });
  return sum.value;
}

export function listField(source: DamlRecord, label: string): readonly Value[] {
  const { sum } = required(source, label);
  assert(sum?.$case === 'list', 'A field is not a list.', { label, found: sum?.$case });
  return sum.value.elements;
}

export function contractIdsField(source: DamlRecord, label: string): readonly string[] {
  return listField(source, label).map(contractIdOf);
}

export function partiesField(source: DamlRecord, label: string): readonly string[] {
  return listField(source, label).map(({ sum }) => {
    assert(sum?.$case === 'party', 'An element is not a party.', { label, found: sum?.$case });
    return sum.value;
  });
}

/** @returns the content of an optional field; undefined for None and for a field that was cut. */
export function optionalField(source: DamlRecord, label: string): Value | undefined {
  const value = fieldOf(source, label);
  if (value === undefined) return undefined;
  assert(value.sum?.$case === 'optional', 'A field is not an optional.', { label, found: value.sum?.$case });
  return value.sum.value.value;
}

export function textMapField(source: DamlRecord, label: string): ReadonlyMap<string, Value> {
  const { sum } = required(source, label);
  assert(sum?.$case === 'textMap', 'A field is not a text map.', { label, found: sum?.$case });
  return new Map(sum.value.entries.flatMap(({ key, value }) => (value === undefined ? [] : [[key, value] as const])));
}
