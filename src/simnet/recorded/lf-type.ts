/**
 * Daml-LF types as far as captured transactions need them, and the way from Daml-LF JSON, which has no types, to typed values. Without a
 * description the type is guessed from the text: good enough for what no parser looks at.
 */
import { PermanentError } from '../../env/errors.ts';
import type { Identifier, Value } from '../daml/value.ts';
import { bool, contractId, int64, list, optional, party, text, textMap, time, unit, variant } from '../daml/value.ts';

export type LfType =
  | { readonly kind: 'text' | 'party' | 'contractId' | 'numeric' | 'time' | 'date' | 'int' | 'bool' | 'unit' | 'guess' }
  | { readonly kind: 'optional' | 'list' | 'textMap'; readonly of: LfType }
  | { readonly kind: 'genMap'; readonly key: LfType; readonly value: LfType }
  | {
      readonly kind: 'record';
      readonly id: Identifier;
      readonly fields: readonly (readonly [label: string, type: LfType])[];
    }
  | { readonly kind: 'variant'; readonly id: Identifier; readonly cases: () => Readonly<Record<string, LfType>> };

export const TEXT: LfType = { kind: 'text' };
export const PARTY: LfType = { kind: 'party' };
export const CONTRACT_ID: LfType = { kind: 'contractId' };
export const NUMERIC: LfType = { kind: 'numeric' };
export const TIME: LfType = { kind: 'time' };
export const INT: LfType = { kind: 'int' };
export const BOOL: LfType = { kind: 'bool' };
export const UNIT: LfType = { kind: 'unit' };
export const GUESS: LfType = { kind: 'guess' };
export const optionalOf = (of: LfType): LfType => ({ kind: 'optional', of });
export const listOf = (of: LfType): LfType => ({ kind: 'list', of });
export const textMapOf = (of: LfType): LfType => ({ kind: 'textMap', of });
export const genMapOf = (key: LfType, value: LfType): LfType => ({ kind: 'genMap', key, value });

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** @throws PermanentError SIMNET_BAD_RECORDING when the JSON does not fit the type. */
export function valueOfJson(json: Json, type: LfType): Value {
  switch (type.kind) {
    case 'guess':
      return guessed(json);
    case 'optional':
      return optional(json === null ? undefined : valueOfJson(json, type.of));
    case 'unit':
      return unit();
    case 'bool':
      return bool(json === true);
    case 'text':
      return text(stringOf(json, type));
    case 'party':
      return party(stringOf(json, type));
    case 'contractId':
      return contractId(stringOf(json, type));
    case 'numeric':
      return { sum: { $case: 'numeric', value: stringOf(json, type) } };
    case 'int':
      return int64(BigInt(typeof json === 'number' ? json : stringOf(json, type)));
    case 'time':
      return time(microsOfIso(stringOf(json, type)));
    case 'date':
      return {
        sum: { $case: 'date', value: Number(microsOfIso(`${stringOf(json, type)}T00:00:00Z`) / MICROS_PER_DAY) },
      };
    case 'list':
      return list(arrayOf(json, type).map((element) => valueOfJson(element, type.of)));
    case 'textMap':
      return textMap(
        new Map(Object.entries(objectOf(json, type)).map(([key, entry]) => [key, valueOfJson(entry, type.of)])),
      );
    case 'genMap': {
      const entries = arrayOf(json, type).map((pair) => {
        const [key = null, value = null] = arrayOf(pair, type);
        return { key: valueOfJson(key, type.key), value: valueOfJson(value, type.value) };
      });
      return { sum: { $case: 'genMap', value: { entries } } };
    }
    case 'record': {
      const object = objectOf(json, type);
      const fields = type.fields.flatMap(([label, fieldType]) => {
        const field = object[label];
        return field === undefined ? [] : [{ label, value: valueOfJson(field, fieldType) }];
      });
      const unknown = Object.keys(object).filter((label) => !type.fields.some(([known]) => known === label));
      if (unknown.length > 0)
        throw badRecording('The record has fields of no description.', { unknown, record: type.id });
      return { sum: { $case: 'record', value: { recordId: type.id, fields } } };
    }
    case 'variant': {
      const { tag, value = null } = objectOf(json, type);
      const inner = typeof tag === 'string' ? type.cases()[tag] : undefined;
      if (typeof tag !== 'string' || inner === undefined)
        throw badRecording('Not a constructor of the variant.', { tag, variant: type.id });
      return variant(type.id, tag, valueOfJson(value, inner));
    }
  }
}

/** Exact to the microsecond. @throws PermanentError for anything but an ISO time in UTC. */
export function microsOfIso(iso: string): bigint {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z$/.exec(iso);
  if (match === null) throw badRecording('Not a time.', { iso });
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const seconds = BigInt(daysFromCivil(year, month, day)) * 86_400n + BigInt(hour * 3_600 + minute * 60 + second);
  return seconds * 1_000_000n + BigInt((match[7] ?? '').padEnd(6, '0'));
}

const MICROS_PER_DAY = 86_400_000_000n;

/** Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that leap days come last. */
function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function guessed(json: Json): Value {
  if (json === null) return optional(undefined);
  if (typeof json === 'boolean') return bool(json);
  if (typeof json === 'number') return int64(BigInt(Math.trunc(json)));
  if (typeof json === 'string') return guessedText(json);
  if (isArray(json)) return list(json.map(guessed));
  const { tag, value, ...rest } = json;
  if (typeof tag === 'string' && Object.keys(rest).length === 0) {
    return {
      sum: {
        $case: 'variant',
        value: { variantId: undefined, constructor: tag, value: value === undefined ? unit() : guessed(value) },
      },
    };
  }
  const fields = Object.entries(json).map(([label, field]) => ({ label, value: guessed(field) }));
  return fields.length === 0 ? unit() : { sum: { $case: 'record', value: { recordId: undefined, fields } } };
}

function guessedText(value: string): Value {
  if (/^00[0-9a-f]{64,}$/.test(value)) return contractId(value);
  if (/^[^:\s]+::1220[0-9a-f]{64}$/.test(value)) return party(value);
  if (/^-?\d+\.\d{10}$/.test(value)) return { sum: { $case: 'numeric', value } };
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return time(microsOfIso(value));
  return text(value);
}

function isArray(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

function stringOf(json: Json, type: LfType): string {
  if (typeof json === 'string') return json;
  throw badRecording('Expected a text.', { type: type.kind, json });
}

function arrayOf(json: Json, type: LfType): readonly Json[] {
  if (isArray(json)) return json;
  throw badRecording('Expected a list.', { type: type.kind, json });
}

function objectOf(json: Json, type: LfType): { readonly [key: string]: Json } {
  if (typeof json === 'object' && json !== null && !isArray(json)) return json;
  throw badRecording('Expected an object.', { type: type.kind, json });
}

function badRecording(message: string, facts: Readonly<Record<string, unknown>>): PermanentError {
  return new PermanentError('SIMNET_BAD_RECORDING', message, facts);
}
