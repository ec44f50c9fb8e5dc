/**
 * The synchronizer: the one clock of the network. Every update gets a record time from it, in microseconds, strictly later than any before
 * and than any that was shown to a reader in a checkpoint.
 */
import type { Clock } from '../../env/clock.ts';

export type Synchronizer = {
  /** Logical id, `name::fingerprint`. */
  readonly synchronizerId: string;
  /** `name::fingerprint::protocol-serial`: what prepared transactions name from protocol version 35 on. */
  physicalId(): string;
  /** A logical upgrade: the next serial. Transactions prepared before it are refused. */
  upgrade(): void;
  /** @returns a record time that no other update has, microseconds; that of the one before after `shareNext`. */
  sequence(): bigint;
  /** The next update shares the record time of the one before it, as imported and replicated ones do. */
  shareNext(): void;
  /** @returns a record time that every later update will be past: what checkpoints may promise. */
  observe(): bigint;
};

const PROTOCOL_VERSION = 35;

export function createSynchronizer({ synchronizerId, clock }: { synchronizerId: string; clock: Clock }): Synchronizer {
  let lastMicros = 0n;
  let serial = 0;
  let isNextShared = false;
  const advance = (leastMicros: bigint): bigint => {
    const now = clock.nowMicros();
    lastMicros = now > leastMicros ? now : leastMicros;
    return lastMicros;
  };
  return {
    synchronizerId,
    physicalId: () => `${synchronizerId}::${PROTOCOL_VERSION}-${serial}`,
    upgrade: () => {
      serial += 1;
    },
    sequence: () => {
      if (!isNextShared || lastMicros === 0n) return advance(lastMicros + 1n);
      isNextShared = false;
      return lastMicros;
    },
    shareNext: () => {
      isNextShared = true;
    },
    observe: () => advance(lastMicros),
  };
}
