/**
 * Users of the Ledger API, their rights, and their tokens. Until somebody demands tokens, every call is everybody's, as on a sandbox.
 */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import { readToken, signToken, type TokenClaims } from './bearer-tokens.ts';

export type Rights = {
  /** Full party ids; who may act as a party may also read as it. */
  readonly actAs?: readonly string[];
  /** May execute what the party has signed, nothing else. */
  readonly executeAs?: readonly string[];
  readonly readAs?: readonly string[];
  readonly readAsAnyParty?: boolean;
  readonly isAdmin?: boolean;
};

export type User = { readonly id: string; readonly rights: Rights };

export type TokenRequest = {
  readonly user: string;
  /** As set with `setTokenLifetime` when left out; may be negative. */
  readonly lifetimeMs?: number;
  readonly audience?: string;
};

export type AccessControls = {
  /** From now on calls need a token (or do not). Streams that are open without one go on. */
  demandTokens(demanded: boolean): void;
  /** Makes the user or replaces its rights. Streams of the user fail with STALE_STREAM_AUTHORIZATION. */
  setUser(user: User): void;
  removeUser(id: string): void;
  setTokenLifetime(lifetimeMs: number): void;
  /** @returns a token, also for users that do not exist: a provider of identities does not know them. */
  issueToken(request: TokenRequest): { readonly token: string; readonly expiresInMs: number };
  /** Whether somebody with this token is let in: anybody, while no tokens are demanded. */
  isAccepted(token: string | undefined): boolean;
};

export type Users = AccessControls & {
  isDemanded(): boolean;
  /** @returns undefined when the token is none of ours, for another audience, or past its end. */
  claimsOf(token: string | undefined): TokenClaims | undefined;
  isExpired(claims: TokenClaims): boolean;
  rightsOf(user: string): Rights | undefined;
  /** Calls `listener` when the user's rights change. @returns ends that. */
  watch(user: string, listener: () => void): () => void;
};

export const AUDIENCE = 'https://simnet.participant';
const LIFETIME_MS = 15 * 60_000; // The shorter end of what operators of Canton nodes are advised.
const SECRET_BYTES = 32;

/** @param random draws the secret, so that tokens of one network are worth nothing on another. */
export function createUsers({ clock, random }: { readonly clock: Clock; readonly random: Random }): Users {
  const secret = random.bytes(SECRET_BYTES);
  const users = new Map<string, Rights>();
  const watchers = new Map<string, Set<() => void>>();
  let demanded = false;
  let tokenLifetimeMs = LIFETIME_MS;
  const isExpired = ({ exp }: TokenClaims): boolean =>
    exp !== undefined && clock.nowMicros() >= BigInt(Math.round(exp * 1_000)) * 1_000n;
  const changed = (id: string): void => {
    for (const listener of [...(watchers.get(id) ?? [])]) listener();
  };

  const claimsOf = (token: string | undefined): TokenClaims | undefined => {
    const claims = token === undefined ? undefined : readToken(token, secret);
    return claims === undefined || claims.aud !== AUDIENCE || isExpired(claims) ? undefined : claims;
  };

  return {
    demandTokens: (are) => {
      demanded = are;
    },
    isDemanded: () => demanded,
    setUser: ({ id, rights }) => {
      users.set(id, rights);
      changed(id);
    },
    removeUser: (id) => {
      users.delete(id);
      changed(id);
    },
    setTokenLifetime: (lifetimeMs) => {
      tokenLifetimeMs = lifetimeMs;
    },
    issueToken: ({ user, lifetimeMs = tokenLifetimeMs, audience = AUDIENCE }) => {
      const exp = Number(clock.nowMicros() / 1_000n + BigInt(Math.trunc(lifetimeMs))) / 1_000;
      return { token: signToken({ sub: user, aud: audience, exp }, secret), expiresInMs: lifetimeMs };
    },
    claimsOf,
    isAccepted: (token) => !demanded || claimsOf(token) !== undefined,
    isExpired,
    rightsOf: (user) => users.get(user),
    watch: (user, listener) => {
      const listeners = watchers.get(user) ?? new Set();
      watchers.set(user, listeners.add(listener));
      return () => listeners.delete(listener);
    },
  };
}
