/**
 * Relay's global ids: the type and the key of an object, opaque to clients. The key is a function of ledger ids and names
 * (src/read/ledger-keys.ts), so a second installation gives the same object the same id.
 */
import { PermanentError } from '../env/errors.ts';
import { isStorableText, parseLedgerKey } from '../read/ledger-keys.ts';
import { apiError } from './api-error.ts';

export const NODE_TYPES = [
  'Account',
  'DepositAccount',
  'DeskCase',
  'Holding',
  'IngestionStream',
  'Instrument',
  'Transfer',
  'TreasuryParty',
  'Withdrawal',
] as const;

export type NodeType = (typeof NODE_TYPES)[number];

/** Characters; the longest parts of a key (party, contract id, memo) have some hundred each, percent-encoded at worst threefold. */
const ID_LENGTH_MAX = 4_096;

export function formatGlobalId(type: string, key: string): string {
  return Buffer.from(`${type}:${key}`, 'utf8').toString('base64url');
}

/** Reads an id as hostile input: only what {@link formatGlobalId} prints for a type of ours. @throws GraphQLError ID_INVALID. */
export function parseGlobalId(id: string): { readonly type: NodeType; readonly key: string } {
  if (id.length > ID_LENGTH_MAX) throw invalid();
  const text = Buffer.from(id, 'base64url').toString('utf8');
  const separator = text.indexOf(':');
  const type = NODE_TYPES.find((known) => known === text.slice(0, separator));
  const key = text.slice(separator + 1);
  // What the database could not store was never given out, and it would refuse to look for it.
  const isOurs = separator >= 0 && isStorableText(key) && formatGlobalId(String(type), key) === id;
  if (type === undefined || !isOurs) throw invalid();
  return { type, key };
}

/** The key of an id that must be of one type. @throws GraphQLError ID_INVALID, also for an id of another type. */
export function keyOfGlobalId(type: NodeType, id: string): string {
  const parsed = parseGlobalId(id);
  if (parsed.type !== type)
    throw apiError('ID_INVALID', `The id of a ${type} is needed here, not of a ${parsed.type}.`);
  return parsed.key;
}

/** The named parts of a key. @throws GraphQLError ID_INVALID. */
export function partsOfKey<Names extends readonly string[]>(
  key: string,
  names: Names,
): { readonly [Name in Names[number]]: string } {
  try {
    return parseLedgerKey(key, names);
  } catch (error) {
    throw error instanceof PermanentError ? invalid() : error;
  }
}

function invalid() {
  return apiError('ID_INVALID', 'Not an id of this API. Pass one back exactly as it was received.');
}
