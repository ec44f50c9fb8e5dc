/** Times in Daml-JSON (ISO 8601, UTC, up to six decimals) as microseconds and back, in integers only: a JS Date would drop the microseconds. */
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';

const PATTERN = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?Z$/;
const MICROS_PER_SECOND = 1_000_000n;
const MICROS_PER_DAY = 86_400n * MICROS_PER_SECOND;
const DAYS_PER_ERA = 146_097n; // 400 years.
/** Days from 0000-03-01, where the years of the algorithm begin, to 1970-01-01. */
const EPOCH_DAYS = 719_468n;

/** @returns six decimals, always. @throws PermanentError DAML_TIME_INVALID outside the years 1 to 9999. */
export function formatDamlTime(micros: Micros): string {
  const days = floorDiv(micros, MICROS_PER_DAY);
  const ofDay = micros - days * MICROS_PER_DAY;
  const seconds = ofDay / MICROS_PER_SECOND;
  const time = [seconds / 3_600n, (seconds / 60n) % 60n, seconds % 60n].map((part) => pad(part, 2)).join(':');
  const date = formatDate(days);
  if (!/^(?!0000)\d{4}-/.test(date)) throw new PermanentError('DAML_TIME_INVALID', 'Not a time of Daml.', { micros });
  return `${date}T${time}.${pad(ofDay % MICROS_PER_SECOND, 6)}Z`;
}

/** @throws PermanentError DAML_TIME_INVALID for anything else, days that do not exist included. */
export function parseDamlTime(text: string): Micros {
  const match = PATTERN.exec(text);
  if (match === null) throw new PermanentError('DAML_TIME_INVALID', 'Not a time of Daml.', { text });
  const [hour = 0n, minute = 0n, second = 0n] = match.slice(4, 7).map(BigInt);
  const ofDay = (hour * 3_600n + minute * 60n + second) * MICROS_PER_SECOND;
  const micros = BigInt(parseDamlDate(text.slice(0, 10))) * MICROS_PER_DAY + ofDay;
  // Printed again: catches the 25th hour as well as the 61st second.
  if (formatDamlTime(micros).slice(0, 19) !== text.slice(0, 19)) {
    throw new PermanentError('DAML_TIME_INVALID', 'Not a time of Daml.', { text });
  }
  return micros + BigInt((match[7] ?? '').padEnd(6, '0'));
}

/** @returns days since 1970-01-01. @throws PermanentError DAML_TIME_INVALID for anything but a day that exists. */
export function parseDamlDate(text: string): number {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  const [year = 0n, month = 0n, day = 0n] = (match ?? []).slice(1).map(BigInt);
  const shifted = month <= 2n ? year - 1n : year;
  const era = floorDiv(shifted, 400n);
  const yearOfEra = shifted - era * 400n;
  const dayOfYear = (153n * (month + (month > 2n ? -3n : 9n)) + 2n) / 5n + day - 1n;
  const days = era * DAYS_PER_ERA + yearOfEra * 365n + yearOfEra / 4n - yearOfEra / 100n + dayOfYear - EPOCH_DAYS;
  if (match === null || formatDate(days) !== text) {
    throw new PermanentError('DAML_TIME_INVALID', 'Not a date of Daml.', { text });
  }
  return Number(days);
}

/** @see Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
function formatDate(days: bigint): string {
  const shifted = days + EPOCH_DAYS;
  const era = floorDiv(shifted, DAYS_PER_ERA);
  const ofEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = (ofEra - ofEra / 1_460n + ofEra / 36_524n - ofEra / 146_096n) / 365n;
  const ofYear = ofEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const shiftedMonth = (5n * ofYear + 2n) / 153n;
  const month = shiftedMonth < 10n ? shiftedMonth + 3n : shiftedMonth - 9n;
  const year = yearOfEra + era * 400n + (month <= 2n ? 1n : 0n);
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(ofYear - (153n * shiftedMonth + 2n) / 5n + 1n, 2)}`;
}

function floorDiv(value: bigint, by: bigint): bigint {
  return (value - (((value % by) + by) % by)) / by;
}

function pad(value: bigint, width: number): string {
  return value.toString().padStart(width, '0');
}
