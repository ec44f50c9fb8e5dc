/** The token directory of a process: its decisions for the API, and for the workers where registries are read and what looks after the entries. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import type { Leases } from '../db/lease.ts';
import { adoptCantonCoin } from '../directory/canton-coin.ts';
import { adoptConfiguredTokens } from '../directory/configured-tokens.ts';
import { createRegistryAccess } from '../directory/registry-access.ts';
import { runTokenChecks } from '../directory/token-checks.ts';
import { createTokenDirectory, type TokenDirectory } from '../directory/token-directory.ts';
import { createTokenSources, type TokenSources } from '../directory/token-sources.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Channel } from '../ledger/channel.ts';
import { openRegistries, type RegistriesConfig } from './open-registries.ts';
import type { ServiceLoops } from './service-loops.ts';

type Env = { readonly clock: Clock; readonly random: Random; readonly logger: Logger };
type DirectoryConfig = RegistriesConfig & Pick<Config, 'network' | 'instruments'>;

/** Decisions, by whoever may take them. */
export function openTokenDirectory(config: RegistriesConfig, db: Database, env: Env): TokenDirectory {
  const openRegistry = createRegistryAccess((sourceOf) => openRegistries(config, env, sourceOf));
  return createTokenDirectory({ db, clock: env.clock, openRegistry });
}

/** Takes the configuration's entries over, and reads where registries are. @throws RetryableError when the database is away. */
export async function prepareTokenSources(config: DirectoryConfig, db: Database, env: Env): Promise<TokenSources> {
  await adoptConfiguredTokens(db, config, env);
  const sources = createTokenSources({ db, network: config.network, ...env });
  await sources.refresh();
  return sources;
}

/** Keeps what is known of sources, registries and packages fresh. */
export function startTokenDirectory(options: {
  readonly config: DirectoryConfig;
  readonly env: Env;
  readonly db: Database;
  readonly sources: TokenSources;
  readonly call: Channel['call'];
  readonly treasuries: readonly Treasury[];
  readonly leases: Leases;
  readonly holder: string;
  readonly working: ServiceLoops;
}): void {
  const { config, env, db, sources, call, treasuries, leases, holder, working } = options;
  const { network } = config;
  const registries = openRegistries(config, env, sources.sourceOf);
  const openRegistry = createRegistryAccess((sourceOf) => openRegistries(config, env, sourceOf));
  const source = config.scan ?? { strategy: 'proxy' as const };
  working.run('token directory', sources.run);
  working.run('checks of tokens', async (signal) => {
    await runTokenChecks({
      ...env,
      db,
      network,
      openRegistry,
      call,
      treasuries,
      leases,
      holder,
      beforeRound: async () => await adoptCantonCoin({ ...env, db, network }, { scan: registries.scan, source }),
      signal,
    });
  });
}
