/** Access tokens of identity providers: from a token to the principal that it proves. */
import { compactVerify } from 'jose';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { EVERYTHING, type Reach } from '../read/reach.ts';
import { conflictOf, type Principal, principalOf, type Scope } from '../schema/principal.ts';
import { isRole, ROLE_SCOPES, ROLES, type Role } from '../schema/role.ts';
import type { Authenticator } from './credential.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import { isUserName } from './key-name.ts';
import { endOfToken, isOfType, type TokenRules } from './token-claims.ts';
import { type Claims, claimAt, isToken, readToken, TOKEN_ALGORITHMS } from './token-shape.ts';

export type TokenIssuer = {
  /** Stands before the names of its users; '' for a single issuer. */
  readonly name: string;
  /** Exactly as its tokens say. */
  readonly url: string;
  /** True: its users are customers and nothing more, whatever roles their tokens name. */
  readonly isOfCustomers: boolean;
  readonly keys: IssuerKeys;
};

export type TokenMeanings = {
  readonly nameClaim: string;
  readonly rolesClaim: string;
  /** Which text means which role; empty: the names of our roles mean themselves. */
  readonly roles: readonly { readonly value: string; readonly role: string }[];
  readonly accountClaim: string;
  /** In which the accounts of customers are. */
  readonly network: string;
};

const ROLES_MAX = 1_000; // Of one token; big companies put all groups of a person there.

/** @throws PermanentError ROLE_UNKNOWN: a text is to mean a role that does not exist. */
export function createTokens(options: {
  readonly issuers: readonly TokenIssuer[];
  readonly rules: TokenRules;
  readonly meanings: TokenMeanings;
  readonly clock: Clock;
  readonly logger: Logger;
}): Authenticator {
  const { issuers, rules, meanings, clock, logger } = options;
  const roleOf = readRoles(meanings.roles);
  /** Nothing of the token: neither its claims nor who it is. */
  const refuse = (why: string): null => {
    logger.debug('A token was refused.', { why });
    return null;
  };

  return {
    takes: isToken,
    prove: async (credential) => {
      const token = readToken(credential);
      if (token === null) return refuse('shape');
      if (!isOfType(token.typ, rules.type)) return refuse('type');
      const issuer = issuers.find(({ url }) => url === token.claims['iss']);
      if (issuer === undefined) return refuse('issuer');
      // What does not need a key first, so that whoever makes up tokens has no key looked for.
      const expiresAt = endOfToken(token.claims, issuer.url, rules, clock.nowMicros());
      if (expiresAt === null) return refuse('claims');
      const found = await issuer.keys.find(token);
      if (found === null) return refuse('key');
      try {
        await compactVerify(credential, found.key, { algorithms: [...TOKEN_ALGORITHMS] });
      } catch {
        return refuse('signature');
      }
      const principal = principalOfClaims(token.claims, issuer, meanings, roleOf);
      if (typeof principal === 'string') return refuse(principal);
      return { principal: { ...principal, expiresAt }, isStanding: found.isStanding };
    },
  };
}

type RoleOf = (text: string) => Role | null;

function readRoles(meanings: TokenMeanings['roles']): RoleOf {
  if (meanings.length === 0) return (text) => (isRole(text) ? text : null);
  const byText = new Map<string, Role>();
  for (const { value, role } of meanings) {
    if (!isRole(role)) {
      throw new PermanentError('ROLE_UNKNOWN', `SLUICE_OIDC_ROLES: ${role} is no role; there are ${ROLES.join(', ')}.`);
    }
    byText.set(value, role);
  }
  return (text) => byText.get(text) ?? null;
}

/** @returns why there is none. */
function principalOfClaims(
  claims: Claims,
  issuer: Pick<TokenIssuer, 'name' | 'isOfCustomers'>,
  meanings: TokenMeanings,
  roleOf: RoleOf,
): Principal | string {
  const subject = claimAt(claims, meanings.nameClaim);
  if (typeof subject !== 'string') return 'name';
  const name = issuer.name === '' ? subject : `${issuer.name}.${subject}`;
  if (!isUserName(name)) return 'name';
  const named = rolesIn(claimAt(claims, meanings.rolesClaim), roleOf);
  const roles = issuer.isOfCustomers ? [...named].filter((role) => role === 'customer') : [...named];
  const scopes = new Set<Scope>(roles.flatMap((role) => ROLE_SCOPES[role]));
  if (scopes.size === 0) return 'no role';
  // More than one side of what must be two people's: better nobody than somebody who may too much.
  if (conflictOf(scopes) !== null) return 'roles in conflict';
  const reach = scopes.has('own') ? reachOfCustomer(claims, meanings) : EVERYTHING;
  return reach === null ? 'account' : principalOf(name, scopes, { reach });
}

function rolesIn(claim: unknown, roleOf: RoleOf): ReadonlySet<Role> {
  const texts: readonly unknown[] = Array.isArray(claim) ? claim.slice(0, ROLES_MAX) : [claim];
  return new Set(
    texts.flatMap((text) => {
      const role = typeof text === 'string' ? roleOf(text) : null;
      return role === null ? [] : [role];
    }),
  );
}

function reachOfCustomer(claims: Claims, { accountClaim, network }: TokenMeanings): Reach | null {
  const owner = claimAt(claims, accountClaim);
  const isName = typeof owner === 'string' && owner !== '' && Buffer.byteLength(owner) <= 256 && owner.isWellFormed();
  return isName && !owner.includes('\0') ? { kind: 'ACCOUNT', network, owner } : null;
}
