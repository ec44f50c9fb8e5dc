/**
 * Fields of a newer protocol that our decoder kept without understanding. They take no part in our hash and in no check, so bytes that
 * carry one anywhere are not signed.
 */
import { CustodyRefusal } from './custody-refusal.ts';

/** @throws CustodyRefusal PREPARED_UNKNOWN_FIELD naming the place of the first one. */
export function refuseUnknownFields(message: unknown, at: string): void {
  if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return;
  if (Array.isArray(message)) {
    for (const [index, element] of message.entries()) refuseUnknownFields(element, `${at}[${index}]`);
    return;
  }
  for (const [name, value] of Object.entries(message)) {
    if (name !== '_unknownFields') refuseUnknownFields(value, `${at}.${name}`);
    else if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
      const numbers = Object.keys(value).map((tag) => Number(tag) >>> 3);
      throw new CustodyRefusal('PREPARED_UNKNOWN_FIELD', 'A field unknown to this version.', at, { numbers });
    }
  }
}
