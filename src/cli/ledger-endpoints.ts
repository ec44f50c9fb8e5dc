/** The participant endpoints of the configuration, opened: with their token, their limits, and the loops that keep both alive. */
import type { Config } from '../config/config.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { createCallLimit } from '../ledger/call-limit.ts';
import { createEndpointPool, type EndpointPool } from '../ledger/endpoint-pool.ts';
import { createFileToken } from '../ledger/file-token.ts';
import { createOAuthToken } from '../ledger/oauth-token.ts';
import { createFixedToken, type TokenSource } from '../ledger/token-source.ts';

export type EndpointsConfig = Pick<
  Config,
  | 'ledgerUrls'
  | 'ledgerParticipants'
  | 'ledgerToken'
  | 'ledgerTokenFile'
  | 'ledgerCallsInFlight'
  | 'ledgerCallsPerSecond'
  | 'ledgerSwitchSeconds'
  | 'oauthUrl'
  | 'oauthClientId'
  | 'oauthClientSecret'
  | 'oauthAudience'
  | 'oauthScope'
>;

type Env = { readonly clock: Clock; readonly random: Random; readonly logger: Logger };

export type OpenedEndpoints = {
  readonly pool: EndpointPool;
  /** To be run while the pool is used. */
  readonly loops: readonly { readonly name: string; readonly run: (signal: AbortSignal) => Promise<void> }[];
};

export function openEndpoints(config: EndpointsConfig, env: Env): OpenedEndpoints {
  const { tokens, loops } = openTokens(config, env);
  const pool = createEndpointPool({
    ...env,
    urls: config.ledgerUrls,
    participantNames: config.ledgerParticipants,
    switchAfterMs: config.ledgerSwitchSeconds * 1_000,
    limitOf: () =>
      createCallLimit({
        clock: env.clock,
        inFlightMax: config.ledgerCallsInFlight,
        perSecondMax: config.ledgerCallsPerSecond,
      }),
    ...(tokens && { tokens }),
  });
  return { pool, loops: [...loops, { name: 'endpoint checks', run: pool.run }] };
}

/** Where the bearer token of the configuration comes from; null: none is sent. */
export function openTokens(
  config: EndpointsConfig,
  env: Env,
): { readonly tokens: TokenSource | null; readonly loops: OpenedEndpoints['loops'] } {
  const { oauthUrl: url, oauthClientId: clientId, oauthClientSecret: clientSecret } = config;
  if (url !== null && clientId !== null && clientSecret !== null) {
    const { oauthAudience: audience, oauthScope: scope } = config;
    const tokens = createOAuthToken({ ...env, url, clientId, clientSecret, audience, scope, fetch });
    return { tokens, loops: [{ name: 'token renewal', run: tokens.run }] };
  }
  if (config.ledgerTokenFile !== null) {
    return { tokens: createFileToken({ ...env, path: config.ledgerTokenFile }), loops: [] };
  }
  return { tokens: config.ledgerToken && createFixedToken(config.ledgerToken), loops: [] };
}
