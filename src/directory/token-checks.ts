/** Looks at every token of the network again and again, once per interval however many processes there are. */
import type { Leases } from '../db/lease.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import { messageOf } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { isPoison } from '../ingestion/poison.ts';
import { readTokensOfNetwork } from '../read/tokens.ts';
import { lookAtToken, type TokenLookOptions } from './token-look.ts';

const EVERY_MS = 5 * 60_000; // Registries limit their callers, and what is looked for does not change by the minute.
const POLLS_PER_ROUND = 20;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does: the database stayed away. */
export async function runTokenChecks(
  options: TokenLookOptions & {
    readonly network: string;
    readonly leases: Leases;
    /** Unique per process and start. */
    readonly holder: string;
    readonly random: Random;
    readonly signal: AbortSignal;
    /** Done first in every round, e.g. to add what belongs there. */
    readonly beforeRound?: () => Promise<void>;
    /** Default: five minutes. */
    readonly everyMs?: number;
  },
): Promise<void> {
  const { db, network, leases, holder, clock, random, logger, signal, everyMs = EVERY_MS } = options;
  let round = 0;
  await runPollingLoop({
    name: 'checks of tokens',
    pass: async () => {
      round += 1;
      // Not released: it is the turn itself, and gone when the next round is due.
      const ttlMs = everyMs * (1 - 1 / (2 * POLLS_PER_ROUND));
      const turn = await leases.acquire({ name: `tokens:${network}`, holder: `${holder}:${round}`, ttlMs });
      if (turn === null) return false;
      try {
        await options.beforeRound?.();
      } catch (error) {
        if (!isPoison(error)) throw error;
        logger.error('What belongs into the token directory could not be added.', { network, why: messageOf(error) });
      }
      for (const token of await readTokensOfNetwork(db, network)) {
        if (signal.aborted) return false;
        await lookAtToken(options, token);
      }
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
