/**
 * A participant that hides payments of ours: from the stream and from look-ups, or from its active contracts as well. Then the ledger's clock passes without them, and what would be proof is none. Nobody can
 * tell what it does not show; what is demanded is that nobody is paid twice for it.
 */
import type { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';

export type Hiding = {
  readonly mode: 'NOTHING' | 'UPDATES' | 'CONTRACTS_TOO';
  /** Whether the message is left out; the same answer for the same update, for ever. */
  hides(message: GetUpdatesResponse, bytes: Uint8Array): boolean;
  isHidden(updateId: string): boolean;
  /** What the active contracts are shown as of, when they are asked for at `offset`. */
  contractsAsOf(offset: bigint): bigint;
};

export function createHiding({
  faults,
  dice,
  marks,
  payees,
}: {
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  /** Party ids: who else is named in an update than those we pay, is none of its business. */
  readonly payees: readonly string[];
}): Hiding {
  const decided = new Map<string, boolean>();
  let first: bigint | null = null;
  const mode = faults.isDrawn('contractsHidden')
    ? 'CONTRACTS_TOO'
    : faults.isDrawn('updatesHidden')
      ? 'UPDATES'
      : 'NOTHING';
  return {
    mode,
    isHidden: (updateId) => decided.get(updateId) === true,
    hides: ({ update }, bytes) => {
      if (mode === 'NOTHING' || update?.$case !== 'transaction') return false;
      const { updateId, offset } = update.value;
      const known = decided.get(updateId);
      if (known !== undefined) return known;
      const isPayment = payees.some((party) => Buffer.from(bytes).includes(party));
      const isHidden = isPayment && dice.chance(0.6);
      decided.set(updateId, isHidden);
      if (isHidden) {
        marks.add(`payment hidden: ${mode}`);
        if (first === null || offset < first) first = offset;
      }
      return isHidden;
    },
    contractsAsOf: (offset) => (mode === 'CONTRACTS_TOO' && first !== null && offset >= first ? first - 1n : offset),
  };
}
