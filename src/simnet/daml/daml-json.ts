/** Daml-JSON, the form of values in registry bodies: integers, decimals and times as texts, variants as `{tag, value}`, nothing of types. */
import type { Value } from './value.ts';

export type DamlJson = null | boolean | string | readonly DamlJson[] | { readonly [key: string]: DamlJson };

const MICROS_PER_SECOND = 1_000_000n;
const MICROS_PER_DAY = 86_400n * MICROS_PER_SECOND;

export function damlJsonOf(value: Value | undefined): DamlJson {
  const sum = value?.sum;
  switch (sum?.$case) {
    case undefined:
      return null;
    case 'unit':
      return {};
    case 'bool':
      return sum.value;
    case 'int64':
      return sum.value.toString();
    case 'timestamp':
      return isoOfMicros(sum.value);
    case 'date':
      return isoOfMicros(BigInt(sum.value) * MICROS_PER_DAY).slice(0, 10);
    case 'numeric':
    case 'party':
    case 'text':
    case 'contractId':
      return sum.value;
    case 'optional':
      return damlJsonOf(sum.value.value);
    case 'list':
      return sum.value.elements.map(damlJsonOf);
    case 'textMap':
      return Object.fromEntries(sum.value.entries.map(({ key, value: entry }) => [key, damlJsonOf(entry)]));
    case 'genMap':
      return sum.value.entries.map(({ key, value: entry }) => [damlJsonOf(key), damlJsonOf(entry)]);
    case 'record':
      return Object.fromEntries(sum.value.fields.map(({ label, value: field }) => [label, damlJsonOf(field)]));
    case 'variant':
      return { tag: sum.value.constructor, value: damlJsonOf(sum.value.value) };
    case 'enum':
      return sum.value.constructor;
  }
}

/** @returns UTC with six decimals. */
export function isoOfMicros(micros: bigint): string {
  const days = (micros - (((micros % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY)) / MICROS_PER_DAY;
  const ofDay = micros - days * MICROS_PER_DAY;
  const seconds = Number(ofDay / MICROS_PER_SECOND);
  const pad = (value: number | bigint, width: number): string => String(value).padStart(width, '0');
  const { year, month, day } = civilOfDays(Number(days));
  const clock = [Math.trunc(seconds / 3_600), Math.trunc(seconds / 60) % 60, seconds % 60].map((part) => pad(part, 2));
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${clock.join(':')}.${pad(ofDay % MICROS_PER_SECOND, 6)}Z`;
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that leap days come last. */
function civilOfDays(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1_460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}
