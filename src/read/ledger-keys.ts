/**
 * Keys of what the ledger names: networks, parties, instruments, contracts. They are functions of the ledger's own ids and never of our row
 * numbers, so that a second installation knows the same thing by the same key. The parts are percent-encoded, so that any text may occur.
 */
import { PermanentError } from '../env/errors.ts';

declare const keyBrand: unique symbol;
/** e.g. `devnet/treasury%3A%3A1220…`: the parts of a key, joined. */
export type LedgerKey = string & { readonly [keyBrand]: true };

export function ledgerKey(...parts: readonly string[]): LedgerKey {
  return parts.map(encodeURIComponent).join('/') as LedgerKey;
}

/** @throws PermanentError KEY_INVALID when `text` is not what {@link ledgerKey} prints for that many parts. */
export function parseLedgerKey<Names extends readonly string[]>(
  text: string,
  names: Names,
): { readonly [Name in Names[number]]: string } {
  const parts = text.split('/');
  if (parts.length !== names.length) throw invalid(text);
  const values = parts.map(decode);
  // Only the canonical form, and nothing that PostgreSQL could not even hold.
  if (ledgerKey(...values) !== text || !values.every(isStorableText)) throw invalid(text);
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? ''])) as {
    readonly [Name in Names[number]]: string;
  };
}

/** Whether PostgreSQL can hold `text` as it is. What it cannot hold is nowhere in the database, and asking for it would be an error. */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw new PermanentError('KEY_INVALID', 'Not a key of this API.', { part }, { cause: error });
  }
}

function invalid(text: string): PermanentError {
  return new PermanentError('KEY_INVALID', 'Not a key of this API.', { text });
}
