/** The look ahead of a process that serves the API: with clients of its own, on which nothing else depends. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { createTokenSources } from '../directory/token-sources.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { createAskingBudget } from '../preflight/asking-budget.ts';
import { createOutsideFacts } from '../preflight/outside-facts.ts';
import { createPreflight, type Preflight } from '../preflight/preflight.ts';
import { lookAtReceiver } from '../preflight/receiver-look.ts';
import { DEFAULT_LIMITS } from '../withdrawals/automation.ts';
import { type EndpointsConfig, openEndpoints } from './ledger-endpoints.ts';
import { openRegistries, type RegistriesConfig } from './open-registries.ts';

export type PreflightConfig = EndpointsConfig &
  RegistriesConfig &
  Pick<
    Config,
    | 'network'
    | 'withdrawalTtlSeconds'
    | 'restoreMarginSeconds'
    | 'preflightsPerSecond'
    | 'trafficReserveBytes'
    | 'customerBooks'
  >;

export type OpenedPreflight = {
  readonly preflight: Preflight;
  /** To be run while it is used. */
  readonly loops: readonly { readonly name: string; readonly run: (signal: AbortSignal) => Promise<void> }[];
  readonly close: () => void;
};

/** Connects lazily: a participant or a registry that is away is told of by the look ahead, and disturbs nothing else. */
export function openPreflight(
  config: PreflightConfig,
  db: Database,
  env: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
): OpenedPreflight {
  const { pool, loops } = openEndpoints(config, env);
  const sources = createTokenSources({ db, network: config.network, ...env });
  const registries = openRegistries(config, env, async (admin, instrumentId) => {
    // Read each time, which the budget bounds: a token that was added a moment ago has its registry.
    await sources.refresh();
    return sources.sourceOf(admin, instrumentId);
  });
  const { scan } = registries;
  const askOutside = createOutsideFacts({
    outside: {
      transferKind: async (transfer, signal) =>
        (await registries.transferFactory(transfer.instrument, transfer, signal)).transferKind,
      preapproval: scan && (async (receiver, signal) => await scan.transferPreapproval(receiver, signal)),
      receiver: async (receiver, packages) => await lookAtReceiver(pool.roaming.call, receiver, packages),
    },
    budget: createAskingBudget({ clock: env.clock, perSecond: config.preflightsPerSecond }),
    clock: env.clock,
  });
  return {
    preflight: createPreflight({
      db,
      network: config.network,
      clock: env.clock,
      askOutside,
      ttlMs: config.withdrawalTtlSeconds * 1_000,
      recordTimeAgeMsMax: DEFAULT_LIMITS.recordTimeAgeMsMax,
      recordTimeAheadMsMax: config.restoreMarginSeconds * 1_000,
      trafficReserve: config.trafficReserveBytes,
      books: config.customerBooks,
    }),
    loops,
    close: () => pool.close(),
  };
}
