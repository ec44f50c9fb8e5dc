/**
 * Who may ask. A request carries a credential: a key of the configuration, a key of the database, or a token of an identity provider. Where none of these is configured, named development principals exist and the server
 * listens on loopback only (create-server.ts). Keys are known here by their SHA-256 alone.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Authenticator, bearerOf, type Proof } from '../auth/credential.ts';
import { OWN_NAMES } from '../auth/key-name.ts';
import { PermanentError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import {
  conflictOf,
  DEVELOPER_SCOPES,
  isScope,
  type Principal,
  principalOf,
  SCOPES,
  type Scope,
} from '../schema/principal.ts';
import { ROLE_SCOPES } from '../schema/role.ts';

export type ApiKey = { readonly name: string; readonly scopes: readonly Scope[]; readonly sha256: Buffer };

/** `MISSING`: no credential at all. `UNKNOWN`: one that is nobody's. */
export type Authentication = Principal | 'MISSING' | 'UNKNOWN';

export type Principals = {
  /** True: no credentials are configured, and whoever reaches us on loopback is the developer. */
  readonly isDevelopment: boolean;
  /** @param authorization the header's value; undefined: not sent. */
  authenticate(authorization: string | undefined): Promise<Authentication>;
};

export type PrincipalsOptions = {
  /** Beside the configured keys: keys of the database, tokens. */
  readonly authenticators?: readonly Authenticator[];
  /** True: a credential is demanded even where no keys are configured. */
  readonly isDemanding?: boolean;
  /** Told of every proof, so that what outlives the request ends with it. */
  readonly note?: (proof: Proof) => void;
  /** In which the accounts of development customers are. */
  readonly network?: string;
};

/** The default without a header is `developer`, who may do everything. */
const DEVELOPMENT_PRINCIPALS: ReadonlyMap<string, Principal> = new Map(
  [
    principalOf('developer', DEVELOPER_SCOPES),
    principalOf('frontend', ['read']),
    principalOf('service', ROLE_SCOPES.service),
    // Two people, so that what needs two can be tried.
    principalOf('alice', ROLE_SCOPES.approver),
    principalOf('bob', ROLE_SCOPES.approver),
    principalOf('operator', ROLE_SCOPES.operator),
    principalOf('auditor', ROLE_SCOPES.auditor),
    principalOf('admin', ROLE_SCOPES.admin),
  ].map((known) => [`dev-${known.name}`, known]),
);

/** `dev-customer:` and the account: whoever develops a customer's page sees what that customer sees. */
const DEVELOPMENT_CUSTOMER = /^dev-customer:([\x21-\x7e]{1,256})$/;

function developmentPrincipal(credential: string, network: string): Principal | null {
  const owner = DEVELOPMENT_CUSTOMER.exec(credential)?.[1];
  if (owner === undefined) return DEVELOPMENT_PRINCIPALS.get(credential) ?? null;
  return principalOf('customer', ROLE_SCOPES.customer, { reach: { kind: 'ACCOUNT', network, owner } });
}

// What follows a slash tells several keys of one person apart: alice/laptop, alice/phone (src/env/person.ts).
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
  const conflict = conflictOf(scopes);
  if (conflict !== null) throw new PermanentError('API_KEY_INVALID', `API key ${name} ${conflict}.`);
  if (scopes.includes('own')) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `API key ${name}: a customer’s key names his account, which an entry cannot; make it by "sluice key create".`,
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

/** @param apiKeys those of the configuration. */
export function createPrincipals(apiKeys: readonly ApiKey[], options: PrincipalsOptions = {}): Principals {
  const { authenticators = [], isDemanding = false, note = () => undefined, network = '' } = options;
  const isDevelopment = apiKeys.length === 0 && !isDemanding;
  const known = apiKeys.map((key) => ({ sha256: key.sha256, principal: principalOf(key.name, key.scopes) }));

  function configured(credential: string): Principal | null {
    if (isDevelopment) return developmentPrincipal(credential, network);
    const sha256 = createHash('sha256').update(credential, 'utf8').digest();
    // All are compared, each in constant time: how long it takes tells nothing about which one is near.
    const matches = known.filter((candidate) => timingSafeEqual(candidate.sha256, sha256));
    return matches[0]?.principal ?? null;
  }

  return {
    isDevelopment,
    authenticate: async (authorization) => {
      if (authorization === undefined) {
        return isDevelopment ? (DEVELOPMENT_PRINCIPALS.get('dev-developer') ?? 'UNKNOWN') : 'MISSING';
      }
      const credential = bearerOf(authorization);
      if (credential === null) return 'UNKNOWN';
      const own = configured(credential);
      if (own !== null) return own;
      for (const authenticator of authenticators) {
        if (!authenticator.takes(credential)) continue;
        const proof = await authenticator.prove(credential);
        if (proof === null) continue;
        note(proof);
        return proof.principal;
      }
      return 'UNKNOWN';
    },
  };
}
