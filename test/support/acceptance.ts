/** The acceptance of offers wired as the command line wires it, against a simulated network and its registries over HTTP. */
import { sql } from 'kysely';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Signer } from '../../src/custody/signer.ts';
import type { Database } from '../../src/db/connection.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { runAcceptance } from '../../src/deposits/acceptance/acceptance.ts';
import type { OfferRegistry } from '../../src/deposits/acceptance/offer-plan.ts';
import type { OfferRules } from '../../src/deposits/acceptance/offer-rules.ts';
import { implementationOf } from '../../src/directory/token-policy.ts';
import type { Clock } from '../../src/env/clock.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import type { Logger } from '../../src/env/logger.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { createSubmitter, type Submitter } from '../../src/ledger/submission-client.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { SIGNER_SEED } from './payouts.ts';

export const OFFER_RULES: OfferRules = {
  limits: {
    ttlMs: 30_000,
    recordTimeAgeMsMax: 600_000,
    recordTimeAheadMsMax: 600_000,
    attemptsMax: 100,
    triesMax: 3,
    tryHoldMs: 1_000,
  },
  triesMax: 3,
  backoffMsMin: 100,
  backoffMsMax: 1_000,
  budget: { all: 1_000, perInstrument: 1_000, perAccount: 1_000, perSender: 1_000 },
  isCleared: () => sql<boolean>`true`,
};

/** Of registries that each answer at these URLs; several are read as a quorum. */
export function registryAt(
  registries: readonly { readonly admin: string; readonly urls: readonly string[] }[],
  logger: Logger,
): OfferRegistry {
  const sources = new Map(registries.map(({ admin, urls }) => [admin, urls]));
  return createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger,
    sourceOf: (admin) => {
      const urls = sources.get(admin);
      if (urls === undefined) return null;
      return urls.length === 1
        ? { strategy: 'rotate', urls }
        : { strategy: 'quorum', urls, faultsMax: Math.floor((urls.length - 1) / 3) };
    },
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
  });
}

export type AcceptanceTestOptions = {
  readonly db: Database;
  readonly treasury: Treasury;
  readonly ledgerUrl: string;
  readonly registry: OfferRegistry;
  readonly logger: Logger;
  readonly rules?: OfferRules;
  readonly clock?: Clock;
  readonly failpoint?: Failpoint;
  readonly signer?: Signer;
  readonly wrapSubmitter?: (submitter: Submitter) => Submitter;
};

export function startAcceptance(options: AcceptanceTestOptions): { stop(): Promise<void>; throwIfFailed(): void } {
  const { clock = systemClock } = options;
  const client = createSubmitter({ url: options.ledgerUrl });
  const ending = new AbortController();
  const failures: unknown[] = [];
  const running = runAcceptance({
    ...options,
    rules: options.rules ?? OFFER_RULES,
    submitter: options.wrapSubmitter?.(client) ?? client,
    signer: options.signer ?? createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }),
    implementationOf: ({ id }) => implementationOf(id),
    userId: 'sluice',
    clock,
    random: systemRandom,
    failpoint: options.failpoint ?? noFailpoints,
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
    },
  };
}
