/** Whoever is offered a withdrawal: accepts, refuses, lets it expire, or is too late for any of it. */
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import type { Dice } from './dice.ts';
import type { Marks } from './marks.ts';

export type Payees = {
  /** One of them does something, or nothing. @returns what it was. */
  act(): string;
};

/** What becomes of offers, by how often. */
const ENDS = ['accept', 'accept', 'accept', 'reject', 'reject', 'expire', 'ignore'] as const;

export function createPayees({
  network,
  receivers,
  dice,
  marks,
}: {
  readonly network: Network;
  /** Party ids. */
  readonly receivers: ReadonlySet<string>;
  readonly dice: Dice;
  readonly marks: Marks;
}): Payees {
  const ignored = new Set<string>();
  const open = (): readonly string[] =>
    [...network.ledger.contracts.active()]
      .filter((contract) => {
        const transfer = instructionOf(contract);
        return transfer?.sender === network.party(TREASURY) && receivers.has(transfer.receiver);
      })
      .map(({ contractId }) => contractId)
      .filter((contractId) => !ignored.has(contractId))
      .sort();
  return {
    act: () => {
      const offers = open();
      if (offers.length === 0) return 'nothing';
      const instructionCid = dice.pick(offers);
      const end = dice.pick(ENDS);
      if (end === 'ignore') {
        ignored.add(instructionCid);
        marks.add('our offer ignored');
        return end;
      }
      try {
        network[end]({ instructionCid });
        marks.add(`our offer: ${end}`);
        return end;
      } catch (error) {
        if (error instanceof PermanentError || error instanceof RetryableError) return `${end} refused ${error.code}`;
        throw error;
      }
    },
  };
}
