import { DecodeError } from '../tokens/value.ts';
import { CustodyRefusal, type RefusalCode } from './custody-refusal.ts';

/** Runs `read`; what it cannot read becomes a refusal with `code`. Other errors pass. */
export function understood<T>(code: RefusalCode, at: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new CustodyRefusal(code, cause.message, at, {}, { cause });
  }
}
