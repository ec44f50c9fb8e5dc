/**
 * Exact amounts. A Daml `Decimal` has ten decimals and up to 28 integer digits; here it is a bigint of 10⁻¹⁰ units, in PostgreSQL a
 * `ledger_amount`, on the wire and in the API a decimal string. A JS number never holds one.
 */
import { PermanentError } from '../env/errors.ts';

declare const amountBrand: unique symbol;
/** Units of 10⁻¹⁰ of an instrument; may be negative where it is a difference. */
export type Amount = bigint & { readonly [amountBrand]: true };

const DECIMALS = 10;
const UNITS_PER_ONE = 10n ** 10n;
/** First value that does not fit: 28 integer digits, the limit of Daml's Numeric 10. */
const AMOUNT_BOUND = 10n ** 38n;
// Anchored and without nested repetition: linear time on hostile input.
const AMOUNT_PATTERN = /^(-?)(\d{1,28})(?:\.(\d{1,10}))?$/;

export const ZERO = 0n as Amount;

/** @returns `units` of 10⁻¹⁰ as an Amount. @throws PermanentError AMOUNT_INVALID beyond 28 integer digits. */
export function amountOf(units: bigint): Amount {
  if (!fitsAmount(units)) {
    throw new PermanentError('AMOUNT_INVALID', 'An amount has at most 28 integer digits.', { units });
  }
  return units;
}

/** Whether `units` is within the 28 integer digits of one amount; a sum of several may not be. */
export function fitsAmount(units: bigint): units is Amount {
  return -AMOUNT_BOUND < units && units < AMOUNT_BOUND;
}

/**
 * Reads a plain decimal string: no exponent, no plus sign, no spaces, no digit groups, ASCII digits, at most ten decimals.
 * @throws PermanentError AMOUNT_INVALID on anything else; nothing is ever rounded.
 */
export function parseAmount(text: string): Amount {
  const match = AMOUNT_PATTERN.exec(text);
  if (match === null)
    throw new PermanentError('AMOUNT_INVALID', 'Not a decimal number with at most ten decimals.', { text });
  const [, sign = '', whole = '', fraction = ''] = match;
  const units = BigInt(whole) * UNITS_PER_ONE + BigInt(fraction.padEnd(DECIMALS, '0'));
  return (sign === '-' ? -units : units) as Amount;
}

/** The canonical form: always ten decimals, as Canton prints them (`200.0000000000`). Also prints sums beyond the bound of one amount. */
export function formatAmount(units: bigint): string {
  const absolute = units < 0n ? -units : units;
  const fraction = (absolute % UNITS_PER_ONE).toString().padStart(DECIMALS, '0');
  return `${units < 0n ? '-' : ''}${absolute / UNITS_PER_ONE}.${fraction}`;
}

/** The sum, unbounded: totals may exceed what one contract can hold. */
export function sumAmounts(amounts: Iterable<bigint>): bigint {
  let total = 0n;
  for (const amount of amounts) total += amount;
  return total;
}
