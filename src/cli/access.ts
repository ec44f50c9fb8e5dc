/** Who may use the API beside the keys of the configuration: keys of the database, and tokens of identity providers. */
import { createApiKeys } from '../auth/api-keys.ts';
import type { Authenticator } from '../auth/credential.ts';
import { createFetchKeys } from '../auth/fetch-keys.ts';
import { createIssuerKeys } from '../auth/issuer-keys.ts';
import { createTokens } from '../auth/tokens.ts';
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import type { Notifications } from '../db/notifications.ts';
import type { Clock } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { createSend } from '../scan/http-send.ts';

export const ACCESS_CONFIG = [
  'apiKeys',
  'databaseKeys',
  'network',
  'oidcIssuers',
  'oidcCustomerIssuers',
  'oidcAudience',
  'oidcKeysUrl',
  'oidcTokenType',
  'oidcNameClaim',
  'oidcRolesClaim',
  'oidcRoles',
  'oidcAccountClaim',
  'oidcTokenAgeSeconds',
  'oidcKeysAgeSeconds',
  'oidcKeysStaleSeconds',
  'oidcPrivate',
] as const satisfies readonly (keyof Config)[];

export type AccessConfig = Pick<Config, (typeof ACCESS_CONFIG)[number]>;

export type Access = {
  readonly authenticators: readonly Authenticator[];
  /** A credential is demanded although the configuration has no keys. */
  readonly isDemanding: boolean;
  /** Since the keys of identity providers were fetched, of the oldest, or since the start where they never were; null: there are no providers. */
  readonly keysAgeSeconds: () => number | null;
  /** Reads the keys of the database once, so that the first request finds them; a database that is away is waited for by the loop. */
  readonly begin: () => Promise<void>;
  /** What keeps them up to date, until the signal aborts. */
  readonly loops: readonly { readonly name: string; readonly run: () => Promise<void> }[];
};

/** Whether anybody is let in who proves nothing. */
export function isOpen({
  apiKeys,
  databaseKeys,
  oidcIssuers,
}: Pick<Config, 'apiKeys' | 'databaseKeys' | 'oidcIssuers'>): boolean {
  return apiKeys.length === 0 && oidcIssuers.length === 0 && !databaseKeys;
}

/** @throws PermanentError ROLE_UNKNOWN. */
export function openAccess(
  config: AccessConfig,
  env: {
    readonly db: Database;
    readonly notifications: Notifications | null;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Access {
  const keys = createApiKeys(env);
  const send = createSend({ isPrivateAllowed: config.oidcPrivate === 'allow' });
  const issuers = config.oidcIssuers.map(({ name, url }) => ({
    name,
    url,
    isOfCustomers: config.oidcCustomerIssuers.includes(name),
    keys: createIssuerKeys({
      ...env,
      issuer: url,
      fetchKeys: createFetchKeys({ issuer: url, keysUrl: config.oidcKeysUrl, send }),
      ageSeconds: config.oidcKeysAgeSeconds,
      staleSeconds: config.oidcKeysStaleSeconds,
    }),
  }));
  const openedAt = env.clock.nowMicros();
  const secondsOpen = (): number => Number((env.clock.nowMicros() - openedAt) / 1_000_000n);
  const tokens = createTokens({
    ...env,
    issuers,
    rules: {
      // The configuration demands it where there is an issuer; without one nothing is verified.
      audience: config.oidcAudience ?? '',
      type: config.oidcTokenType === 'JWT' ? 'JWT' : 'at+jwt',
      ageMaxSeconds: config.oidcTokenAgeSeconds,
    },
    meanings: {
      nameClaim: config.oidcNameClaim,
      rolesClaim: config.oidcRolesClaim,
      roles: config.oidcRoles,
      accountClaim: config.oidcAccountClaim,
      network: config.network,
    },
  });
  return {
    authenticators: issuers.length === 0 ? [keys] : [keys, tokens],
    isDemanding: !isOpen(config),
    keysAgeSeconds: () => {
      // One that was never reached is not known to be younger.
      const ages = issuers.map(({ keys: known }) => known.ageSeconds() ?? secondsOpen());
      return ages.length === 0 ? null : Math.max(...ages);
    },
    begin: async () => {
      try {
        await keys.refresh();
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        env.logger.warn('The keys of the database are not known yet.', { code: error.code });
      }
    },
    loops: [
      { name: 'keys of the API', run: keys.run },
      ...issuers.map((issuer) => ({ name: `keys of ${issuer.url}`, run: issuer.keys.run })),
    ],
  };
}
