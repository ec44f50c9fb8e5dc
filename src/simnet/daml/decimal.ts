/** Daml's Decimal (ten digits after the point, 38 in all) as a bigint of 10⁻¹⁰ units. */
import { assert } from '../../env/errors.ts';

const SCALE = 10;
const UNITS_PER_ONE = 10n ** BigInt(SCALE);
const UNITS_MAX = 10n ** 38n - 1n;

/** @throws AssertionError for anything but a plain decimal with at most ten digits after the point, 38 in all. */
export function unitsOfDecimal(decimal: string): bigint {
  const match = /^(-?)(\d{1,28})(?:\.(\d{1,10}))?$/.exec(decimal);
  assert(match !== null, 'Not a Daml decimal.', { decimal });
  const [, sign, whole = '', fraction = ''] = match;
  const units = BigInt(whole + fraction.padEnd(SCALE, '0'));
  assert(units <= UNITS_MAX, 'A decimal is too large.', { decimal });
  return sign === '-' ? -units : units;
}

/** @returns with all ten digits after the point, as Canton renders it. */
export function decimalOfUnits(units: bigint): string {
  const digits = (units < 0n ? -units : units).toString().padStart(SCALE + 1, '0');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -SCALE)}.${digits.slice(-SCALE)}`;
}

/** @returns as Daml's `show` prints it: no trailing zeros, but at least one digit after the point. */
export function shownDecimal(units: bigint): string {
  return decimalOfUnits(units).replace(/(\.\d+?)0+$/, '$1');
}

export { UNITS_PER_ONE };
