/**
 * The way of submissions through the network: how long they take, which uuids were seen, and the end of all that is under way when the
 * network stops. A transaction gets its record time at its verdict; from being sequenced until then it holds locks on what it spends.
 */
import type { Clock } from '../../env/clock.ts';
import { cantonError } from '../ledger/canton-error.ts';

export type SequencingDelays = {
  /** From the answer of execute to being sequenced. */
  readonly sequencingMs?: number;
  /** From being sequenced to the verdict: how long inputs are locked. */
  readonly verdictMs?: number;
};

export type Sequencing = {
  setDelays(delays: SequencingDelays): void;
  /** @returns false when the network stopped meanwhile. */
  travel(extraMs: number): Promise<boolean>;
  confirm(): Promise<boolean>;
  /** @throws CantonError when a request with that uuid was sequenced before, whatever became of it. */
  admit(transactionUuid: string, nowMicros: bigint): void;
  /** Whatever is under way is lost. */
  close(): void;
};

/** Twice the preparation time tolerance: the mediator's memory. */
const UUID_MEMORY_MICROS = 48n * 3_600n * 1_000_000n;
const UUIDS_MAX = 200_000;

export function createSequencing({ clock, ...initial }: { readonly clock: Clock } & SequencingDelays): Sequencing {
  const closing = new AbortController();
  const seen = new Map<string, bigint>();
  let delays: SequencingDelays = initial;
  const wait = async (delayMs: number): Promise<boolean> => {
    if (delayMs > 0) await clock.sleep(delayMs, closing.signal);
    return !closing.signal.aborted;
  };
  return {
    setDelays: (changed) => {
      delays = { ...delays, ...changed };
    },
    travel: (extraMs) => wait((delays.sequencingMs ?? 0) + extraMs),
    confirm: () => wait(delays.verdictMs ?? 0),
    admit: (transactionUuid, nowMicros) => {
      const until = seen.get(transactionUuid);
      if (until !== undefined && until > nowMicros) {
        throw cantonError({
          code: 'MEDIATOR_RECEIVED_MALFORMED_MESSAGE',
          category: 'securityAlert',
          text: `The request uuid (${transactionUuid}) must not be used until its deduplication period has passed.`,
          definiteAnswer: true,
        });
      }
      seen.set(transactionUuid, nowMicros + UUID_MEMORY_MICROS);
      for (const oldest of seen.keys()) {
        if (seen.size <= UUIDS_MAX) break;
        seen.delete(oldest);
      }
    },
    close: () => closing.abort(),
  };
}
