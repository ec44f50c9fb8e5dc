/** What a participant has active of a treasury party at an offset: its holdings and its open offers, as events that can be stored and read again. */
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { Known } from '../tokens/update-effects.ts';
import type { Treasury } from './effect-sink.ts';
import { openingEffects } from './opening-effects.ts';
import { unlessSilent } from './unless-silent.ts';
import { updateFormatFor } from './update-format.ts';

export type ActiveContracts = {
  /** Of one synchronizer; in the order of their contract ids, so that two readings of one state are equal. */
  readonly events: readonly CreatedEvent[];
  /** Null where nothing is active. */
  readonly synchronizerId: string | null;
  /** Contract ids of the holdings that are the party's own. */
  readonly holdings: readonly string[];
  /** Contract id → the offset at which it was created, for everything active. */
  readonly createdAt: ReadonlyMap<string, bigint>;
};

const SILENCE_MS_MAX = 20_000; // A contract set comes without pause.

const NOTHING_KNOWN: Known = { holding: () => undefined, instruction: () => undefined };

/**
 * @throws PermanentError SECOND_SYNCHRONIZER when contracts of the party live on several, or are on the way between two: this version follows one. DecodeError
 * for holdings that cannot be read. RetryableError and PermanentError of the call (OFFSET_AFTER_LEDGER_END, PARTICIPANT_PRUNED_DATA_ACCESSED).
 */
export async function readActiveContracts(
  {
    ledger,
    treasury,
    clock,
    signal,
  }: { readonly ledger: Ledger; readonly treasury: Treasury; readonly clock: Clock; readonly signal: AbortSignal },
  offset: bigint,
): Promise<ActiveContracts> {
  const createdAt = new Map<string, bigint>();
  const events: CreatedEvent[] = [];
  const synchronizers = new Set<string>();
  const format = updateFormatFor(treasury.party).includeTransactions?.eventFormat;
  if (format !== undefined && offset > 0n) {
    const contracts = unlessSilent((reading) => ledger.activeContracts({ atOffset: offset, format, signal: reading }), {
      clock,
      signal,
      silenceMsMax: SILENCE_MS_MAX,
    });
    for await (const contract of contracts) {
      const { kind, synchronizerId, createdEvent } = contract;
      if (kind !== 'ACTIVE') throw severalSynchronizers([synchronizerId], createdEvent.contractId);
      createdAt.set(createdEvent.contractId, createdEvent.offset);
      synchronizers.add(synchronizerId);
      events.push(createdEvent);
    }
  }
  if (synchronizers.size > 1) throw severalSynchronizers([...synchronizers], null);
  events.sort((left, right) => (left.contractId < right.contractId ? -1 : 1));
  const [synchronizerId = null] = synchronizers;
  const transaction = Transaction.fromPartial({ events: events.map(asEvent) });
  const { holdingsCreated } = openingEffects(transaction, treasury.party, NOTHING_KNOWN);
  return { events, synchronizerId, holdings: holdingsCreated.map(({ contractId }) => contractId), createdAt };
}

/** Numbered as a transaction numbers its nodes: events are read in that order. */
export function asEvent(created: CreatedEvent, nodeId: number) {
  return { event: { $case: 'created' as const, value: { ...created, nodeId } } };
}

function severalSynchronizers(synchronizerIds: readonly string[], contractId: string | null): PermanentError {
  return new PermanentError(
    'SECOND_SYNCHRONIZER',
    'Contracts of the party live on several synchronizers, or move between two.',
    { synchronizerIds, contractId },
  );
}
