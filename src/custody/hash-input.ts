/**
 * Bytes on their way into a hash, in the primitives of Canton's encoding: integers big-endian, everything of variable length behind its
 * length as four bytes.
 * @see Canton, "External Signing Hashing Algorithm"; where that text and the participant's code differ, the code and its test vectors count.
 */
import { hash } from 'node:crypto';

export type HashInput = {
  byte(value: number): HashInput;
  int32(value: number): HashInput;
  /** Two's complement; a uint64 beyond 2^63 wraps as it does on the JVM. */
  int64(value: bigint): HashInput;
  bool(value: boolean): HashInput;
  /** Without a length: hashes and seeds. */
  raw(bytes: Uint8Array): HashInput;
  bytes(bytes: Uint8Array): HashInput;
  text(text: string): HashInput;
  /** Count, then each. */
  repeated<T>(items: readonly T[], encode: (item: T) => unknown): HashInput;
  /** 00, or 01 and the value. */
  optional<T>(value: T | undefined, encode: (value: T) => unknown): HashInput;
  content(): Uint8Array;
  sha256(): Uint8Array;
};

const UTF8_BYTES_MAX = 3; // Of one UTF-16 code unit; a pair of them takes four.
const INITIAL_BYTES = 1_024; // Most nodes fit; larger ones double.

export function createHashInput(): HashInput {
  let buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  let length = 0;

  const reserve = (count: number): number => {
    if (length + count > buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(buffer.length * 2, length + count));
      buffer.copy(grown, 0, 0, length);
      buffer = grown;
    }
    const at = length;
    length += count;
    return at;
  };
  // `reserve` first: it may replace the buffer.
  const input: HashInput = {
    byte: (value) => {
      const at = reserve(1);
      buffer[at] = value;
      return input;
    },
    int32: (value) => {
      const at = reserve(4);
      buffer.writeInt32BE(value | 0, at);
      return input;
    },
    int64: (value) => {
      const at = reserve(8);
      buffer.writeBigInt64BE(BigInt.asIntN(64, value), at);
      return input;
    },
    bool: (value) => input.byte(value ? 1 : 0),
    raw: (bytes) => {
      const at = reserve(bytes.length);
      buffer.set(bytes, at);
      return input;
    },
    bytes: (bytes) => input.int32(bytes.length).raw(bytes),
    text: (text) => {
      // Written before it is counted, into as much room as it may need: one pass over each text instead of two.
      const at = reserve(4 + text.length * UTF8_BYTES_MAX);
      const count = buffer.write(text, at + 4, 'utf8');
      buffer.writeInt32BE(count, at);
      length = at + 4 + count;
      return input;
    },
    repeated: (items, encode) => {
      input.int32(items.length);
      for (const item of items) encode(item);
      return input;
    },
    optional: (value, encode) => {
      input.bool(value !== undefined);
      if (value !== undefined) encode(value);
      return input;
    },
    content: () => Uint8Array.prototype.slice.call(buffer, 0, length),
    sha256: () => new Uint8Array(hash('sha256', buffer.subarray(0, length), 'buffer')),
  };
  return input;
}
