/** Compares Daml values as meaning, and says where they part. */
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';

/**
 * The path of the first difference, or `null`.
 *
 * Type ids and labels that `expected` leaves out are not compared: what we send to a node may lack them, what it shows has them. Entries of
 * text maps are compared by key; those found must stand in the ledger's own order. Everything else is compared in the order it has.
 * @param at the path so far.
 */
export function differenceOf(expected: Value | undefined, found: Value | undefined, at: string): string | null {
  const [wanted, sum] = [expected?.sum, found?.sum];
  if (wanted === undefined || sum === undefined) return wanted === sum ? null : at;
  switch (wanted.$case) {
    case 'unit':
      return sum.$case === 'unit' ? null : at;
    case 'optional':
      return sum.$case === 'optional' ? differenceOf(wanted.value.value, sum.value.value, at) : at;
    case 'list':
      return sum.$case === 'list' ? listDifference(wanted.value.elements, sum.value.elements, at) : at;
    case 'textMap':
      return sum.$case === 'textMap' ? mapDifference(wanted.value.entries, sum.value.entries, at) : at;
    case 'genMap': {
      if (sum.$case !== 'genMap') return at;
      const flat = ({ entries }: typeof sum.value): (Value | undefined)[] =>
        entries.flatMap(({ key, value }) => [key, value]);
      return listDifference(flat(wanted.value), flat(sum.value), at);
    }
    case 'record': {
      if (sum.$case !== 'record' || !isType(wanted.value.recordId, sum.value.recordId)) return at;
      const { fields } = wanted.value;
      if (fields.length !== sum.value.fields.length) return at;
      for (const [index, { label, value }] of fields.entries()) {
        const other = sum.value.fields[index];
        if (label !== '' && other?.label !== label) return `${at}.${label}`;
        const difference = differenceOf(value, other?.value, `${at}.${label === '' ? index : label}`);
        if (difference !== null) return difference;
      }
      return null;
    }
    case 'variant': {
      const isSame =
        sum.$case === 'variant' &&
        isType(wanted.value.variantId, sum.value.variantId) &&
        wanted.value.constructor === sum.value.constructor;
      return isSame ? differenceOf(wanted.value.value, sum.value.value, at) : at;
    }
    case 'enum': {
      const isSame =
        sum.$case === 'enum' &&
        isType(wanted.value.enumId, sum.value.enumId) &&
        wanted.value.constructor === sum.value.constructor;
      return isSame ? null : at;
    }
    default:
      return sum.$case === wanted.$case && sum.value === wanted.value ? null : at;
  }
}

function isType(wanted: Identifier | undefined, found: Identifier | undefined): boolean {
  return (
    wanted === undefined ||
    (found !== undefined &&
      wanted.packageId === found.packageId &&
      wanted.moduleName === found.moduleName &&
      wanted.entityName === found.entityName)
  );
}

function listDifference(
  wanted: readonly (Value | undefined)[],
  found: readonly (Value | undefined)[],
  at: string,
): string | null {
  if (wanted.length !== found.length) return at;
  for (const [index, value] of wanted.entries()) {
    const difference = differenceOf(value, found[index], `${at}[${index}]`);
    if (difference !== null) return difference;
  }
  return null;
}

/** The order in which Daml keeps the keys of a text map: that of their UTF-8 bytes, which is not that of JavaScript strings. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left, 'utf8'), Buffer.from(right, 'utf8'));
}

type Entries = readonly { readonly key: string; readonly value: Value | undefined }[];

function mapDifference(wanted: Entries, found: Entries, at: string): string | null {
  const values = new Map(found.map(({ key, value }) => [key, value]));
  const isSorted = found.every(({ key }, index) => index === 0 || compareKeys(found[index - 1]?.key ?? '', key) < 0);
  if (!isSorted || wanted.length !== found.length) return at;
  for (const { key, value } of wanted) {
    if (!values.has(key)) return `${at}["${key}"]`;
    const difference = differenceOf(value, values.get(key), `${at}["${key}"]`);
    if (difference !== null) return difference;
  }
  return null;
}
