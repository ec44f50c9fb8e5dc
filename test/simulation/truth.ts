/** What the simulated network itself says happened to the treasury: what every invariant compares with. Read from its own books, through none of our code. */

import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { updateFormatFor } from '../../src/ingestion/update-format.ts';
import { unitsOfDecimal } from '../../src/simnet/daml/decimal.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Network } from '../../src/simnet/network.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';

export type TrueUpdate = {
  readonly offset: bigint;
  readonly updateId: string;
  readonly recordTime: bigint;
  /** Units of 10⁻¹⁰ that the treasury holds after it, per instrument id; none where it holds nothing. */
  readonly held: ReadonlyMap<string, bigint>;
};

export type Truth = {
  /** Takes in what has happened since. Call it after every operation: holdings are known as of now only. */
  catchUp(): Promise<void>;
  updates(): readonly TrueUpdate[];
  /** The participant numbers its updates anew: those known keep the offsets they had. */
  renumbered(): void;
  /** Whether offsets say nothing any more about what was ingested. */
  isRenumbered(): boolean;
  /** The newest update at or before `offset`. */
  at(offset: bigint): TrueUpdate | null;
  /** Per word, the ids of the updates whose bytes have it. */
  naming(words: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
  /** The choice that consumed a contract; null: none has, that the treasury could see. */
  endOf(contractId: string): string | null;
  /** Contract id → units, of all instruments, now. */
  holdings(): ReadonlyMap<string, bigint>;
};

export function createTruth({
  network,
  participant,
  party,
}: {
  readonly network: Network;
  readonly participant: Participant;
  readonly party: string;
}): Truth {
  const updates: TrueUpdate[] = [];
  const ends = new Map<string, string>();
  let readUpTo = 0n;
  let isRenumbered = false;

  const heldNow = (): ReadonlyMap<string, bigint> =>
    new Map(
      network.tokens
        .map(
          ({ name, instrumentId }) =>
            [instrumentId.id, unitsOfDecimal(network.balance({ instrument: name, owner: party }))] as const,
        )
        .filter(([, units]) => units !== 0n),
    );

  return {
    updates: () => updates,
    isRenumbered: () => isRenumbered,
    renumbered: () => {
      readUpTo = 0n;
      isRenumbered = true;
    },
    at: (offset) => updates.findLast((update) => update.offset <= offset) ?? null,
    holdings: () =>
      new Map(
        network.tokens.flatMap(({ instrumentId }) =>
          holdingsOf(network.ledger.contracts, party, instrumentId).map(
            ({ contractId, amountUnits }) => [contractId, amountUnits] as const,
          ),
        ),
      ),
    endOf: (contractId) => ends.get(contractId) ?? null,
    naming: async (words) => {
      const found = new Map<string, string[]>();
      const messages = participant.api.getUpdates({
        beginExclusive: 0n,
        endInclusive: participant.ledgerEnd(),
        updateFormat: updateFormatFor(party),
        descendingOrder: false,
      });
      for await (const message of messages) {
        if (message.update?.$case !== 'transaction') continue;
        const bytes = Buffer.from(GetUpdatesResponse.encode(message).finish());
        for (const word of words)
          if (bytes.includes(word)) found.set(word, [...(found.get(word) ?? []), message.update.value.updateId]);
      }
      return found;
    },
    catchUp: async () => {
      const end = participant.ledgerEnd();
      if (end <= readUpTo) return;
      const seen: Omit<TrueUpdate, 'held'>[] = [];
      const messages = participant.api.getUpdates({
        beginExclusive: readUpTo,
        endInclusive: end,
        updateFormat: updateFormatFor(party),
        descendingOrder: false,
      });
      for await (const { update } of messages) {
        if (update?.$case !== 'transaction') continue;
        const { offset, updateId, recordTime, events } = update.value;
        for (const { event } of events)
          if (event?.$case === 'exercised' && event.value.consuming)
            ends.set(event.value.contractId, event.value.choice);
        if (isRenumbered && updates.some((known) => known.updateId === updateId)) continue;
        if (recordTime === undefined) throw new Error('An update without a record time.');
        seen.push({ offset, updateId, recordTime: recordTime.seconds * 1_000_000n + BigInt(recordTime.nanos / 1_000) });
      }
      readUpTo = end;
      // An operation changes the treasury's holdings in its last update; what comes before prepares it.
      const before = updates.at(-1)?.held ?? new Map();
      for (const [index, update] of seen.entries()) {
        updates.push({ ...update, held: index === seen.length - 1 ? heldNow() : before });
      }
    },
  };
}
