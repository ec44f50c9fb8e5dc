/** The withdrawal automation wired as the command line wires it, against a simulated network. */

import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Signer } from '../../src/custody/signer.ts';
import type { Database } from '../../src/db/connection.ts';
import type { LogMemory } from '../../src/db/log-history.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import type { Clock } from '../../src/env/clock.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import type { Logger } from '../../src/env/logger.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { createSubmitter, type Submitter } from '../../src/ledger/submission-client.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import type { SubmissionBudget } from '../../src/submissions/submission-budget.ts';
import { runAutomation } from '../../src/withdrawals/automation.ts';
import type { ReturnRegistry } from '../../src/withdrawals/offers/return-plan.ts';
import type { ReturnRules } from '../../src/withdrawals/offers/return-rules.ts';
import type { Registry } from '../../src/withdrawals/transfer-plan.ts';

export const SIGNER_SEED = new Uint8Array(32).fill(7);

/** Nobody waits in a test. */
export const QUICK_RETURNS: ReturnRules = {
  reclaimAfterMs: 0,
  triesMax: 4,
  backoffMsMin: 100,
  backoffMsMax: 1_000,
  triesPerAttemptMax: 3,
};

export type PayoutOptions = {
  readonly db: Database;
  readonly treasury: Treasury;
  readonly ledgerUrl: string;
  readonly registry: Registry & ReturnRegistry;
  readonly logger: Logger;
  readonly limits: AttemptLimits;
  /** Fast ones where left out. */
  readonly returnRules?: ReturnRules;
  readonly clock?: Clock;
  readonly failpoint?: Failpoint;
  readonly signer?: Signer;
  readonly budget?: SubmissionBudget;
  readonly wrapSubmitter?: (submitter: Submitter) => Submitter;
  /** What the process has seen of the database; nobody looks where left out. */
  readonly log?: LogMemory;
};

export function startPayouts(options: PayoutOptions): { stop(): Promise<void>; throwIfFailed(): void } {
  const { clock = systemClock, failpoint = noFailpoints } = options;
  const client = createSubmitter({ url: options.ledgerUrl });
  const ledger = createLedgerClient({ url: options.ledgerUrl });
  const ending = new AbortController();
  const failures: unknown[] = [];
  const running = runAutomation({
    returnRules: QUICK_RETURNS,
    ...options,
    ledger,
    submitter: options.wrapSubmitter?.(client) ?? client,
    signer: options.signer ?? createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }),
    implementationOf: ({ id }) => (id === 'Amulet' ? 'SPLICE_AMULET' : id === 'USDX' ? 'UTILITY_REGISTRY' : 'OTHER'),
    userId: 'sluice',
    clock,
    random: systemRandom,
    failpoint,
    wakeUp: createWakeUp(clock),
    signal: ending.signal,
  });
  running.catch((error: unknown) => failures.push(error));
  return {
    throwIfFailed: () => {
      if (failures.length > 0) throw failures[0];
    },
    stop: async () => {
      ending.abort();
      await Promise.allSettled([running]);
      client.close();
      ledger.close();
    },
  };
}
