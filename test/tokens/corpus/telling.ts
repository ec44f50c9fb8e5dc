/** Reads a party's updates one after the other with the parser, remembering what each later one needs to know. */

import type { Event } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { parseAmount } from '../../../src/tokens/amount.ts';
import type { KnownHolding } from '../../../src/tokens/holding-changes.ts';
import type { Instrument } from '../../../src/tokens/transfer-record.ts';
import { effectsOf, type KnownInstruction, type UpdateEffects } from '../../../src/tokens/update-effects.ts';
import { type Story, storyOf } from './story.ts';

/** A holding that a party has from before the first update. */
export type Given = {
  readonly cid: string;
  readonly owner: string;
  readonly amount: string;
  readonly instrument: Instrument;
};

export type Teller = {
  /** @throws DecodeError; nothing is remembered then. */
  read(events: readonly Event[]): { readonly effects: UpdateEffects; readonly story: Story };
};

export function createTeller(party: string, given: readonly Given[]): Teller {
  const holdings = new Map<string, KnownHolding>(
    given
      .filter(({ owner }) => owner === party)
      .map(({ cid, instrument, amount }) => [cid, { instrument, amount: parseAmount(amount) }]),
  );
  const instructions = new Map<string, KnownInstruction>();
  const names = new Map<string, string>();
  let count = 0;
  return {
    read: (events) => {
      const transaction = Transaction.fromPartial({ updateId: `update-${count}`, events: [...events] });
      const effects = effectsOf(transaction, party, {
        holding: (cid) => holdings.get(cid),
        instruction: (cid) => instructions.get(cid),
      });
      for (const { id, rank } of effects.movements) names.set(id, `u${count}.${rank}`);
      for (const created of effects.holdingsCreated) holdings.set(created.contractId, created);
      for (const { contractId, transferId, transfer } of effects.instructionsOpened) {
        instructions.set(contractId, { transferId, instrument: transfer.instrument });
      }
      count += 1;
      return { effects, story: storyOf(effects, (id) => names.get(id) ?? `unknown ${id}`) };
    },
  };
}
