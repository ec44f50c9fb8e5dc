/** An API that takes tokens of an issuer and keys of the database, as a process opens it. */
import { ACCESS_CONFIG, openAccess } from '../../src/cli/access.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import type { Clock } from '../../src/env/clock.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { startApi, type TestApi } from './api.ts';
import type { TestDatabase } from './database.ts';
import type { IssuerKey, TestIssuer } from './issuer.ts';
import { signToken } from './issuer.ts';

export const AUDIENCE = 'sluice-api';

/** Seconds since 1970. */
export const now = (clock: Clock = systemClock): number => Number(clock.nowMicros() / 1_000_000n);

/** A token as a well-behaved issuer makes it; `claims` are put over its own. */
export function tokenOf(
  issuer: TestIssuer,
  key: IssuerKey,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): string {
  const iat = now();
  return signToken(
    key,
    { alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header },
    { iss: issuer.url, aud: AUDIENCE, sub: 'ann', iat, exp: iat + 300, roles: ['operator'], ...claims },
  );
}

export type AccessOptions = Parameters<typeof startApi>[1] & {
  readonly issuer?: TestIssuer;
  readonly settings?: Record<string, string>;
  readonly keys?: readonly string[];
};

export async function startAccessApi(database: TestDatabase, options: AccessOptions = {}): Promise<TestApi> {
  const { issuer, settings = {}, keys = [], ...rest } = options;
  const config = loadConfig(
    {
      SLUICE_NETWORK: 'testnet',
      SLUICE_DATABASE_KEYS: 'on',
      ...(issuer === undefined
        ? {}
        : {
            SLUICE_OIDC_ISSUERS: issuer.url,
            SLUICE_OIDC_AUDIENCE: AUDIENCE,
            SLUICE_OIDC_PRIVATE: 'allow',
          }),
      ...settings,
    },
    ACCESS_CONFIG,
  );
  const ending = new AbortController();
  const clock = rest.clock ?? systemClock;
  const common = { clock, random: systemRandom, logger: database.logger };
  const notifications = createNotifications({
    ...common,
    clock: systemClock,
    connectionString: database.connectionString,
    applicationName: 'sluice-test-access',
  });
  const access = openAccess(config, { ...common, db: database.db, notifications, signal: ending.signal });
  await access.begin();
  const running = access.loops.map(async ({ run }) => await run());
  const api = await startApi(database, { ...rest, apiKeys: keys.map(parseApiKey), access });
  return {
    ...api,
    stop: async () => {
      await api.stop();
      ending.abort();
      await Promise.all(running);
      await notifications.close();
    },
  };
}
