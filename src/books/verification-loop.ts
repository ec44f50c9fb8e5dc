/** The comparison with the ledger, round after round beside the stream, once per interval however many processes there are. */
import type { Leases } from '../db/lease.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Random } from '../env/random.ts';
import { NOTHING_TO_COMPARE } from '../ingestion/reconcile.ts';
import { type VerificationOptions, verifyTreasury } from './verification.ts';

export type VerificationLoopOptions = VerificationOptions & {
  readonly leases: Leases;
  /** Unique per process and start. */
  readonly holder: string;
  readonly random: Random;
  /** From one round to the next, for all processes together. */
  readonly everyMs: number;
};

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does: the database stayed away. */
export async function runVerificationLoop(options: VerificationLoopOptions): Promise<void> {
  const { treasury, leases, holder, everyMs, clock, random, logger, signal } = options;
  let round = 0;
  await runPollingLoop({
    name: `verification of ${treasury.name}`,
    pass: async () => {
      round += 1;
      // Not released: it is the turn itself, and gone when the next round is due. A name of its own for each turn, or the holder would get it again at once.
      const turn = await leases.acquire({
        name: `verification:${treasury.id}`,
        holder: `${holder}:${round}`,
        ttlMs: everyMs * TURN,
      });
      if (turn === null) return false;
      const outcome = await verifyTreasury(options);
      const isTooEarly = outcome.kind === 'NOT_COMPARED' && outcome.code === NOTHING_TO_COMPARE;
      if (isTooEarly) await leases.release(turn);
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: everyMs / POLLS_PER_ROUND,
    clock,
    random,
    logger,
    signal,
  });
}

const POLLS_PER_ROUND = 12; // Every five seconds of a minute somebody asks whether it is time.
const TURN = 1 - 1 / (2 * POLLS_PER_ROUND); // With half a poll's wait on average, a round in each interval.
