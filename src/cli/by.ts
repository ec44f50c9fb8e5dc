/** Who gives a command: kept for ever with what it does, in every entry of the audit. */
import { InvalidArgumentError } from 'commander';

/** Bytes of UTF-8. It is a name: what is longer was put there by mistake. The database refuses entries with 1,024 (migrations/0030). */
const BY_BYTES_MAX = 255;

/** For options of commands. @throws InvalidArgumentError, which commander tells with the option's name. */
export function parseBy(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It is empty.');
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes > BY_BYTES_MAX) {
    throw new InvalidArgumentError(`It has ${bytes} bytes, and a name has ${BY_BYTES_MAX} at most.`);
  }
  return text;
}
