/** Calls to a participant that hosts the treasuries, for commands that ask it something and end. */

import type { Logger } from '../env/logger.ts';
import type { EndpointPool } from '../ledger/endpoint-pool.ts';
import type { CommandContext } from './command-context.ts';
import { type EndpointsConfig, openEndpoints } from './ledger-endpoints.ts';
import { createServiceLoops } from './service-loops.ts';

export const ENDPOINT_KEYS = [
  'ledgerUrls',
  'ledgerParticipants',
  'ledgerToken',
  'ledgerTokenFile',
  'ledgerCallsInFlight',
  'ledgerCallsPerSecond',
  'ledgerSwitchSeconds',
  'oauthUrl',
  'oauthClientId',
  'oauthClientSecret',
  'oauthAudience',
  'oauthScope',
] as const;

/** @returns what `work` does. @throws what `work` throws. Connections are closed either way. */
export async function withParticipant<T>(
  config: EndpointsConfig,
  env: Pick<CommandContext, 'clock' | 'random'> & { readonly logger: Logger },
  work: (pool: EndpointPool) => Promise<T>,
): Promise<T> {
  const { pool, loops } = openEndpoints(config, env);
  const running = createServiceLoops(env);
  for (const { name, run } of loops) running.run(name, run);
  try {
    return await work(pool);
  } finally {
    await running.stop();
    pool.close();
  }
}
