/**
 * Receivers who answer offers by themselves, as the customers of an exchange do when it pays them: some accept, some reject, some let them lie, some come late. Without a habit a party leaves its offers to
 * whoever speaks for it.
 */
import { type Clock, millisToMicros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Network } from './network.ts';
import { instructionOf } from './network-commands.ts';

export const RECEIVER_ANSWERS = ['accept', 'reject', 'leave'] as const;

export type ReceiverHabit = {
  /** Hint or full id. */
  readonly party: string;
  readonly does: (typeof RECEIVER_ANSWERS)[number];
  /** After the offer was first noticed; at once when left out. An offer whose deadline has passed by then is refused by the ledger, once. */
  readonly afterMs?: number;
};

export type Receivers = {
  /** From now on, also for offers that stand already. */
  set(habit: ReceiverHabit): void;
  /** Looks once at what stands and answers what is due. @returns how many offers were answered. */
  answerOnce(): number;
  /** Looks again and again until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
};

const LOOK_MS = 200; // A person is slower, a demonstration should not be.

export function createReceivers({
  network,
  clock,
  logger,
}: {
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger;
}): Receivers {
  const habits = new Map<string, ReceiverHabit>();
  /** When each offer was first noticed, by contract id; undefined: it has been answered. */
  const noticed = new Map<string, bigint | undefined>();

  const answerOnce = (): number => {
    const standing = [...habits].flatMap(([party, habit]) =>
      [...network.ledger.contracts.activeOf(party)]
        .filter((contract) => instructionOf(contract)?.receiver === party)
        .map(({ contractId }) => ({ habit, contractId })),
    );
    const ids = new Set(standing.map(({ contractId }) => contractId));
    for (const contractId of noticed.keys()) if (!ids.has(contractId)) noticed.delete(contractId);
    let answered = 0;
    for (const { habit, contractId } of standing) {
      if (!noticed.has(contractId)) noticed.set(contractId, clock.nowMicros());
      const since = noticed.get(contractId);
      if (habit.does === 'leave' || since === undefined) continue;
      if (clock.nowMicros() < since + millisToMicros(habit.afterMs ?? 0)) continue;
      noticed.set(contractId, undefined);
      try {
        network[habit.does]({ instructionCid: contractId });
        answered += 1;
      } catch (error) {
        logger.info('A receiver’s answer was refused.', {
          party: habit.party,
          does: habit.does,
          why: messageOf(error),
        });
      }
    }
    return answered;
  };

  return {
    set: (habit) => {
      const party = network.party(habit.party);
      habits.set(party, habit);
    },
    answerOnce,
    run: async (signal) => {
      while (!signal.aborted) {
        answerOnce();
        await clock.sleep(LOOK_MS, signal);
      }
    },
  };
}
