/** Randomness as the logic sees it: seeded in simulation, the operating system's in production (`system.ts`). */
export type Random = {
  /** A float in [0, 1), for jitter and choices. Not for secrets. */
  next(): number;
  /** `length` bytes fit for keys and tokens (in simulation: seeded, so worthless as secrets). */
  bytes(length: number): Uint8Array;
  /** An RFC 4122 version 4 UUID. */
  uuid(): string;
};

/**
 * A small seeded generator (splitmix-style 32-bit mix), good enough for simulation and sample data.
 * Same seed, same sequence, on every platform. Never for keys.
 */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  const nextUint32 = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => nextUint32() & 0xff);
  return {
    next: () => nextUint32() / 0x1_0000_0000,
    bytes,
    uuid: () => uuidOf(bytes(16)),
  };
}

/** Sets the version and variant bits of 16 random bytes and prints them as a UUID. */
export function uuidOf(bytes: Uint8Array): string {
  const hex = [...bytes]
    .map((byte, index) => (index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte))
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
