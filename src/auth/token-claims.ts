/** Whether the claims of a token, whose signature was verified, are for us, of now, and of an access token. */
import type { Micros } from '../env/clock.ts';
import type { Claims } from './token-shape.ts';

export type TokenRules = {
  readonly audience: string;
  readonly type: 'at+jwt' | 'JWT';
  readonly ageMaxSeconds: number;
};

/** 5 s: two clocks that are kept by NTP differ by less. */
export const LEEWAY_SECONDS = 5;

/** Claims that only an ID token has: who asks with one has logged in somewhere, and was not given leave to call us. @see OpenID Connect Core 1.0, sections 2 and 3.1.3.6. */
const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash', 's_hash'];

/** @see RFC 7515, section 4.1.9: `application/` may be left out; RFC 9068, section 2.1. */
export function isOfType(typ: string, wanted: TokenRules['type']): boolean {
  return typ.toLowerCase().replace(/^application\//, '') === wanted.toLowerCase();
}

/**
 * @param issuer exactly as configured.
 * @returns when it ends, in microseconds; null: it is refused.
 */
export function endOfToken(claims: Claims, issuer: string, rules: TokenRules, now: Micros): Micros | null {
  const { iss, aud, exp, iat, nbf } = claims;
  if (iss !== issuer || !isFor(aud, rules.audience)) return null;
  if (ID_TOKEN_CLAIMS.some((name) => Object.hasOwn(claims, name))) return null;
  // Keycloak says it in a claim, since its header says JWT for both.
  if (typeof claims['typ'] === 'string' && ['id', 'refresh', 'offline'].includes(claims['typ'].toLowerCase()))
    return null;
  if (!isTime(exp) || !isTime(iat) || !(nbf === undefined || isTime(nbf))) return null;
  const seconds = Number(now / 1_000_000n);
  const end = Math.min(exp, iat + rules.ageMaxSeconds);
  if (iat > seconds + LEEWAY_SECONDS || (nbf ?? 0) > seconds + LEEWAY_SECONDS || exp <= iat) return null;
  const endsAt = (BigInt(Math.floor(end)) + BigInt(LEEWAY_SECONDS)) * 1_000_000n;
  return endsAt <= now ? null : endsAt;
}

function isFor(aud: unknown, audience: string): boolean {
  return aud === audience || (Array.isArray(aud) && aud.length <= 100 && aud.includes(audience));
}

/** Seconds since 1970, within what a date can be. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < 1e11;
}
