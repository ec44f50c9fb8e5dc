/**
 * Fields of a newer protocol that our decoder kept without understanding. They take no part in our hash and in no check, so bytes that
 * carry one anywhere are not signed.
 */
import { CustodyRefusal } from './custody-refusal.ts';

/** @throws CustodyRefusal PREPARED_UNKNOWN_FIELD naming the place of the first one. */
export function refuseUnknownFields(message: unknown, at: string): void {
  const found = findUnknown(message);
  if (found === null) return;
  throw new CustodyRefusal('PREPARED_UNKNOWN_FIELD', 'A field unknown to this version.', `${at}${found.at}`, {
    numbers: found.numbers,
  });
}

type Unknown = { readonly at: string; readonly numbers: readonly number[] };

/** Its place is put together on the way back, by the few that are refused: a transaction has thousands of places. */
function findUnknown(message: unknown): Unknown | null {
  if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return null;
  if (Array.isArray(message)) {
    for (let index = 0; index < message.length; index += 1) {
      const found = findUnknown(message[index]);
      if (found !== null) return { ...found, at: `[${index}]${found.at}` };
    }
    return null;
  }
  // What our decoder made, or somebody gave for it: whatever it has is looked at, without a copy of each of its thousands of messages.
  const fields = message as Readonly<Record<string, unknown>>;
  for (const name in fields) {
    const value = fields[name];
    if (typeof value !== 'object' || value === null) continue;
    if (name !== '_unknownFields') {
      const found = findUnknown(value);
      if (found !== null) return { ...found, at: `.${name}${found.at}` };
    } else if (Object.keys(value).length > 0) {
      return { at: '', numbers: Object.keys(value).map((tag) => Number(tag) >>> 3) };
    }
  }
  return null;
}
