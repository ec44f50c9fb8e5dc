/**
 * A synchronizer: the clock of everything that is sequenced there. Every update gets a record time from it, in microseconds, strictly later
 * than any before and than any that was shown to a reader in a checkpoint, unless a test lets it misbehave.
 */
import type { Clock } from '../../env/clock.ts';
import { cantonError } from './canton-error.ts';
import { knownRefusal } from './known-refusals.ts';

export type SynchronizerControls = {
  /** Its clock runs off by so much more from now on; negative: record times go back, which no real one does. */
  jumpTime(deltaMicros: bigint): void;
  /** The next update shares the record time of the one before it, as imported and replicated ones do. */
  shareNext(): void;
  /** The next `count` updates share one record time. */
  shareNextTime(count: number): void;
  /**
   * A logical upgrade, at once or in two steps. Between them nothing is sequenced, record time stands still, and what was under way times
   * out. Afterwards transactions prepared for the former physical synchronizer are refused. The logical id and all history stay.
   */
  upgrade(options?: UpgradeOptions): void;
  beginUpgrade(options?: UpgradeOptions): void;
  /** Harmless when none has begun. */
  completeUpgrade(): void;
};

export type UpgradeOptions = {
  readonly protocolVersion?: number;
  /** Between the two steps, prepare already names the new physical synchronizer while execute still demands the old one. */
  readonly isInconsistent?: boolean;
};

export type Synchronizer = SynchronizerControls & {
  /** Logical id, `name::fingerprint`. */
  readonly synchronizerId: string;
  /** `name::fingerprint::protocol-serial`: what prepared transactions have to name from protocol version 35 on. */
  physicalId(): string;
  /** What prepare puts into transactions: the physical id, or that of after an upgrade under way. */
  preparedPhysicalId(): string;
  /** Between the two steps of an upgrade. */
  isUpgrading(): boolean;
  /** @returns the record time of an update, microseconds. @throws CantonError while it is being upgraded. */
  sequence(): bigint;
  /** @returns a record time that every later update will be past: what checkpoints may promise. */
  observe(): bigint;
};

/** With the alias that participants know it by. */
export type NamedSynchronizer = Synchronizer & { readonly name: string };

const PROTOCOL_VERSION = 35;

export function createSynchronizer({ synchronizerId, clock }: { synchronizerId: string; clock: Clock }): Synchronizer {
  let lastMicros = 0n;
  let shiftMicros = 0n;
  /** Updates that are yet to get `lastMicros`. */
  let shared = 0;
  /** Whether no update before them has it. */
  let isSharedTimeFresh = false;
  let current = { protocolVersion: PROTOCOL_VERSION, serial: 0 };
  let upcoming: (UpgradeOptions & { readonly serial: number }) | undefined;

  const idOf = ({ protocolVersion, serial }: typeof current): string =>
    `${synchronizerId}::${protocolVersion}-${serial}`;
  const next = (): typeof current => ({
    protocolVersion: upcoming?.protocolVersion ?? current.protocolVersion,
    serial: upcoming?.serial ?? current.serial,
  });
  const advance = (leastMicros: bigint): bigint => {
    const now = clock.nowMicros() + shiftMicros;
    lastMicros = now > leastMicros ? now : leastMicros;
    return lastMicros;
  };
  const beginUpgrade = (options: UpgradeOptions = {}): void => {
    upcoming = { ...options, serial: current.serial + 1 };
  };
  const completeUpgrade = (): void => {
    current = next();
    upcoming = undefined;
  };

  return {
    synchronizerId,
    physicalId: () => idOf(current),
    preparedPhysicalId: () => idOf(upcoming?.isInconsistent === true ? next() : current),
    isUpgrading: () => upcoming !== undefined,
    beginUpgrade,
    completeUpgrade,
    upgrade: (options) => {
      beginUpgrade(options);
      completeUpgrade();
    },
    jumpTime: (deltaMicros) => {
      shiftMicros += deltaMicros;
      if (deltaMicros < 0n) lastMicros += deltaMicros;
    },
    shareNext: () => {
      if (lastMicros > 0n) shared = 1;
    },
    shareNextTime: (count) => {
      shared = count;
      advance(lastMicros + 1n);
      isSharedTimeFresh = true;
    },
    sequence: () => {
      if (upcoming !== undefined) throw cantonError(knownRefusal('SEQUENCER_SUBMISSION_AFTER_UPGRADE_TIME'));
      if (shared === 0) return advance(lastMicros + 1n);
      shared -= 1;
      isSharedTimeFresh &&= shared > 0;
      return lastMicros;
    },
    observe: () => {
      // What is yet to share a time must not come at or below a promise.
      if (isSharedTimeFresh) return lastMicros - 1n;
      return upcoming === undefined ? advance(lastMicros) : lastMicros;
    },
  };
}
