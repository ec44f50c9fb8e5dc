/**
 * Who may ask. With API keys configured a request carries one; without, named development principals exist and the server listens on
 * loopback only (http-server.ts). Keys are known here by their SHA-256 alone.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { PermanentError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import { isScope, type Principal, SCOPES, type Scope } from '../schema/principal.ts';

export type ApiKey = { readonly name: string; readonly scopes: readonly Scope[]; readonly sha256: Buffer };

/** `MISSING`: no credential at all. `UNKNOWN`: one that is nobody's. */
export type Authentication = Principal | 'MISSING' | 'UNKNOWN';

export type Principals = {
  /** True: no keys are configured, and whoever reaches us on loopback is the developer. */
  readonly isDevelopment: boolean;
  /** @param authorization the header's value; undefined: not sent. */
  authenticate(authorization: string | undefined): Authentication;
};

const principal = (name: string, scopes: readonly Scope[]): Principal => ({ name, scopes: new Set(scopes) });

/** The default without a header is `developer`, who may do everything. */
const DEVELOPMENT_PRINCIPALS: ReadonlyMap<string, Principal> = new Map(
  [
    principal('developer', SCOPES),
    principal('frontend', ['read']),
    principal('service', ['read', 'subscribe', 'withdrawals']),
    // Two people, so that what needs two can be tried.
    principal('alice', ['read', 'subscribe', 'approve']),
    principal('bob', ['read', 'subscribe', 'approve']),
    principal('operator', ['read', 'subscribe', 'deposits', 'desk', 'operate']),
  ].map((known) => [`dev-${known.name}`, known]),
);

const BEARER = /^Bearer ([\x21-\x7e]{1,512})$/i;
/** What stands in the place of a name where Sluice itself did something: nobody may pass for it. Its other names have a colon, which no key's has. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  'memo',
  'screening',
  'configuration',
  'ingestion',
  'verification',
  'policy',
]);

// What follows a slash tells several keys of one person apart: alice/laptop, alice/phone (src/policy/person.ts).
const KEY_ENTRY = /^([A-Za-z0-9._-]{1,64}(?:\/[A-Za-z0-9._-]{1,64})?):([a-z+]+):([0-9a-f]{64})$/;

/**
 * Reads one configured key: `name:scopes:sha256`, scopes joined by `+`, the key's SHA-256 in lower-case hex; e.g.
 * `exchange:read+subscribe:9f86d0…`. Make one with `printf %s "$KEY" | sha256sum`.
 * @throws PermanentError API_KEY_INVALID; its message holds nothing of the entry but the name.
 */
export function parseApiKey(entry: string): ApiKey {
  const [, name = '', scopesText = '', sha256 = ''] = KEY_ENTRY.exec(entry) ?? [];
  const scopes = scopesText.split('+').filter(isScope);
  if (name === '' || scopes.join('+') !== scopesText) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `API key ${name === '' ? '' : `${name} `}must read name:scopes:sha256, scopes of ${SCOPES.join(', ')} joined by +.`,
    );
  }
  if (scopes.includes('withdrawals') && scopes.includes('approve')) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `API key ${name} may have the scope withdrawals or approve, not both: who has customers paid is not who approves it.`,
    );
  }
  if (OWN_NAMES.has(personOf(name))) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `API key ${name} needs another name: ${[...OWN_NAMES].join(', ')} stand for what Sluice did itself.`,
    );
  }
  return { name, scopes, sha256: Buffer.from(sha256, 'hex') };
}

export function createPrincipals(apiKeys: readonly ApiKey[]): Principals {
  if (apiKeys.length === 0) {
    return {
      isDevelopment: true,
      authenticate: (authorization) => {
        const name = authorization === undefined ? 'dev-developer' : BEARER.exec(authorization)?.[1];
        return DEVELOPMENT_PRINCIPALS.get(name ?? '') ?? 'UNKNOWN';
      },
    };
  }
  const known = apiKeys.map((key) => ({ sha256: key.sha256, principal: principal(key.name, key.scopes) }));
  return {
    isDevelopment: false,
    authenticate: (authorization) => {
      if (authorization === undefined) return 'MISSING';
      const key = BEARER.exec(authorization)?.[1];
      if (key === undefined) return 'UNKNOWN';
      const sha256 = createHash('sha256').update(key, 'utf8').digest();
      // All are compared, each in constant time: how long it takes tells nothing about which one is near.
      const matches = known.filter((candidate) => timingSafeEqual(candidate.sha256, sha256));
      return matches[0]?.principal ?? 'UNKNOWN';
    },
  };
}
