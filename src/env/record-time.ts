/**
 * Microseconds since 1970 as RFC 3339 text and back, in integers only: a JS Date would drop the microseconds, and Canton's earliest time
 * (0001-01-01) and its latest (9999-12-31) both occur. Daml writes times and dates in JSON the same way.
 */
import type { Micros } from './clock.ts';
import { PermanentError } from './errors.ts';

const MICROS_PER_SECOND = 1_000_000n;
const SECONDS_PER_DAY = 86_400n;
const MICROS_PER_DAY = SECONDS_PER_DAY * MICROS_PER_SECOND;
const DAYS_PER_ERA = 146_097n; // 400 years
/** Days from 0000-03-01, where the algorithm's years begin, to 1970-01-01. */
const EPOCH_DAYS = 719_468n;

/** 0001-01-01T00:00:00.000000Z, the earliest time Daml knows; imported contracts carry it. */
export const RECORD_TIME_MIN: Micros = -62_135_596_800_000_000n;
/** 9999-12-31T23:59:59.999999Z, the latest. */
export const RECORD_TIME_MAX: Micros = 253_402_300_799_999_999n;

const PATTERN = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?Z$/;

/**
 * @returns UTC with exactly six decimals, e.g. `2026-11-22T04:33:07.000120Z`.
 * @throws PermanentError RECORD_TIME_INVALID outside the years 1 to 9999, which RFC 3339 cannot write.
 */
export function formatRecordTime(micros: Micros): string {
  if (micros < RECORD_TIME_MIN || micros > RECORD_TIME_MAX) {
    throw new PermanentError('RECORD_TIME_INVALID', 'A time outside the years 1 to 9999.', { micros });
  }
  const days = floorDiv(micros, MICROS_PER_DAY);
  const ofDay = micros - days * MICROS_PER_DAY;
  const { year, month, day } = dateOfDays(days);
  const seconds = ofDay / MICROS_PER_SECOND;
  const time = [seconds / 3_600n, (seconds / 60n) % 60n, seconds % 60n].map((part) => pad(part, 2)).join(':');
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${time}.${pad(ofDay % MICROS_PER_SECOND, 6)}Z`;
}

/**
 * Reads UTC with up to six decimals. No offsets, no lower case, no leap second, no calendar day that does not exist.
 * @throws PermanentError RECORD_TIME_INVALID.
 */
export function parseRecordTime(text: string): Micros {
  const match = PATTERN.exec(text);
  if (match === null) throw invalid(text);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(BigInt);
  if (
    year === undefined ||
    month === undefined ||
    day === undefined ||
    hour === undefined ||
    minute === undefined ||
    second === undefined
  ) {
    throw invalid(text);
  }
  const fraction = BigInt((match[7] ?? '').padEnd(6, '0'));
  const ofDay = (hour * 3_600n + minute * 60n + second) * MICROS_PER_SECOND + fraction;
  const micros = daysOfDate({ year, month, day }) * MICROS_PER_DAY + ofDay;
  // Printing it again catches the 30th of February, the 25th hour and the year 0 alike.
  if (micros < RECORD_TIME_MIN || formatRecordTime(micros).slice(0, 19) !== text.slice(0, 19)) throw invalid(text);
  return micros;
}

/**
 * @param text a calendar day of the years 1 to 9999, e.g. `2026-11-22`.
 * @returns days since 1970-01-01.
 * @throws PermanentError DATE_INVALID for anything but a day that exists.
 */
export function parseDate(text: string): number {
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  try {
    if (isDate) return Number(parseRecordTime(`${text}T00:00:00Z`) / MICROS_PER_DAY);
  } catch (cause) {
    throw new PermanentError('DATE_INVALID', 'Not a day that exists.', { text }, { cause });
  }
  throw new PermanentError('DATE_INVALID', 'Not a date like 2026-11-22.', { text });
}

type CalendarDate = { readonly year: bigint; readonly month: bigint; readonly day: bigint };

/**
 * Days since 1970-01-01 as a proleptic Gregorian date. Years are counted from the first of March, so that the leap day is the last one.
 * @see Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days
 */
function dateOfDays(days: bigint): CalendarDate {
  const shifted = days + EPOCH_DAYS;
  const era = floorDiv(shifted, DAYS_PER_ERA);
  const ofEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = (ofEra - ofEra / 1_460n + ofEra / 36_524n - ofEra / 146_096n) / 365n;
  const ofYear = ofEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const shiftedMonth = (5n * ofYear + 2n) / 153n;
  const day = ofYear - (153n * shiftedMonth + 2n) / 5n + 1n;
  const month = shiftedMonth < 10n ? shiftedMonth + 3n : shiftedMonth - 9n;
  return { year: yearOfEra + era * 400n + (month <= 2n ? 1n : 0n), month, day };
}

function daysOfDate({ year, month, day }: CalendarDate): bigint {
  const shiftedYear = month <= 2n ? year - 1n : year;
  const era = floorDiv(shiftedYear, 400n);
  const yearOfEra = shiftedYear - era * 400n;
  const ofYear = (153n * (month > 2n ? month - 3n : month + 9n) + 2n) / 5n + day - 1n;
  const ofEra = yearOfEra * 365n + yearOfEra / 4n - yearOfEra / 100n + ofYear;
  return era * DAYS_PER_ERA + ofEra - EPOCH_DAYS;
}

function floorDiv(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}

function pad(value: bigint, width: number): string {
  return value.toString().padStart(width, '0');
}

function invalid(text: string): PermanentError {
  return new PermanentError(
    'RECORD_TIME_INVALID',
    'Not a UTC time like 2026-11-22T04:33:07.000120Z: at most six decimals, and Z for the zone.',
    { text },
  );
}
