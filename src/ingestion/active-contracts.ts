/**
 * What a participant has active of a treasury party at an offset: its holdings and its open offers, as events that can be stored and read again. Everything else that the
 * party is a stakeholder of is left out. Where the treasury lives is told by its own holdings and the offers it made; where strangers keep what they offer is their affair.
 */
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { Known } from '../tokens/update-effects.ts';
import type { Treasury } from './effect-sink.ts';
import { openingEffects } from './opening-effects.ts';
import { unlessSilent } from './silence.ts';
import { updateFormatFor } from './update-format.ts';

export type ActiveContracts = {
  /** Holdings and open offers of one synchronizer; in the order of their contract ids, so that two readings of one state are equal. */
  readonly events: readonly CreatedEvent[];
  /** Null where nothing is active. */
  readonly synchronizerId: string | null;
  /** Contract ids of the holdings that are the party's own. */
  readonly holdings: readonly string[];
  /** Contract id → the offset at which it was created, for all holdings and offers, those of strangers on any synchronizer. */
  readonly createdAt: ReadonlyMap<string, bigint>;
};

const SILENCE_MS_MAX = 20_000; // A contract set comes without pause.

const NOTHING_KNOWN: Known = { holding: () => undefined, instruction: () => undefined };

/**
 * @throws PermanentError SECOND_SYNCHRONIZER when holdings of the party or offers it made live on several, or are on the way between two: this version follows one. DecodeError
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
  const found: Found[] = [];
  const homes = new Set<string>();
  const format = updateFormatFor(treasury.party).includeTransactions?.eventFormat;
  if (format !== undefined && offset > 0n) {
    const contracts = unlessSilent((reading) => ledger.activeContracts({ atOffset: offset, format, signal: reading }), {
      clock,
      signal,
      silenceMsMax: SILENCE_MS_MAX,
    });
    for await (const { kind, synchronizerId, createdEvent } of contracts) {
      const role = roleOf(createdEvent, treasury.party);
      if (role === null) continue;
      createdAt.set(createdEvent.contractId, createdEvent.offset);
      if (role !== 'OFFERED_TO_US') {
        if (kind !== 'ACTIVE') throw severalSynchronizers([synchronizerId], createdEvent.contractId);
        homes.add(synchronizerId);
      }
      if (kind === 'ACTIVE') found.push({ role, synchronizerId, event: createdEvent });
    }
  }
  if (homes.size > 1) throw severalSynchronizers([...homes], null);
  const synchronizerId = [...homes][0] ?? onlyOne(found);
  const ours = found.filter((one) => one.synchronizerId === synchronizerId);
  ours.sort((left, right) => (left.event.contractId < right.event.contractId ? -1 : 1));
  return {
    events: ours.map(({ event }) => event),
    synchronizerId,
    holdings: ours.flatMap(({ role, event }) => (role === 'HOLDING' ? [event.contractId] : [])),
    createdAt,
  };
}

type Role = 'HOLDING' | 'OFFERED_BY_US' | 'OFFERED_TO_US';

type Found = { readonly role: Role; readonly synchronizerId: string; readonly event: CreatedEvent };

/** What a contract is to the party, as the stream would read it. */
function roleOf(event: CreatedEvent, party: string): Role | null {
  const transaction = Transaction.fromPartial({ events: [asEvent(event, 0)] });
  const { holdingsCreated, instructionsOpened } = openingEffects(transaction, party, NOTHING_KNOWN);
  if (holdingsCreated.length > 0) return 'HOLDING';
  const [offer] = instructionsOpened;
  return offer === undefined ? null : offer.transfer.sender === party ? 'OFFERED_BY_US' : 'OFFERED_TO_US';
}

/** Where the treasury has nothing of its own, offers to it name its synchronizer if they agree; otherwise they tell nothing. */
function onlyOne(found: readonly Found[]): string | null {
  const synchronizers = new Set(found.map(({ synchronizerId }) => synchronizerId));
  const [first = null] = synchronizers;
  return synchronizers.size === 1 ? first : null;
}

/** Numbered as a transaction numbers its nodes: events are read in that order. */
export function asEvent(created: CreatedEvent, nodeId: number) {
  return { event: { $case: 'created' as const, value: { ...created, nodeId } } };
}

function severalSynchronizers(synchronizerIds: readonly string[], contractId: string | null): PermanentError {
  return new PermanentError(
    'SECOND_SYNCHRONIZER',
    'Holdings or offers of the party live on several synchronizers, or move between two.',
    { synchronizerIds, contractId },
  );
}
