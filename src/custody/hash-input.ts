/**
 * Bytes on their way into a hash, in the primitives of Canton's encoding: integers big-endian, everything of variable length behind its
 * length as four bytes.
 * @see Canton, "External Signing Hashing Algorithm"; where that text and the participant's code differ, the code and its test vectors count.
 */
import { createHash } from 'node:crypto';

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
  const into = (count: number, write: (target: Buffer, at: number) => void): HashInput => {
    const at = reserve(count);
    write(buffer, at);
    return input;
  };
  const input: HashInput = {
    byte: (value) => into(1, (target, at) => target.writeUInt8(value, at)),
    int32: (value) => into(4, (target, at) => target.writeInt32BE(value | 0, at)),
    int64: (value) => into(8, (target, at) => target.writeBigInt64BE(BigInt.asIntN(64, value), at)),
    bool: (value) => input.byte(value ? 1 : 0),
    raw: (bytes) => into(bytes.length, (target, at) => target.set(bytes, at)),
    bytes: (bytes) => input.int32(bytes.length).raw(bytes),
    text: (text) => {
      const count = Buffer.byteLength(text, 'utf8');
      return input.int32(count) && into(count, (target, at) => target.write(text, at, 'utf8'));
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
    sha256: () => new Uint8Array(createHash('sha256').update(buffer.subarray(0, length)).digest()),
  };
  return input;
}
