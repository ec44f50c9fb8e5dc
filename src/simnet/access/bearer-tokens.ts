/**
 * Bearer tokens as an identity provider of a participant's operator hands them out: JSON Web Tokens with a user id, an audience and an end.
 * Signed with a shared secret (HS256), which Canton accepts for tests; nothing outside the simulated network verifies them.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export type TokenClaims = {
  /** User id of the Ledger API. */
  readonly sub: string;
  readonly aud: string;
  /** Seconds since 1970; undefined: never ends. */
  readonly exp: number | undefined;
};

const HEADER = base64url(JSON.stringify({ alg: 'HS256', typ: 'JWT' }));

export function signToken(claims: TokenClaims, secret: Uint8Array): string {
  const signed = `${HEADER}.${base64url(JSON.stringify(claims))}`;
  return `${signed}.${signatureOf(signed, secret)}`;
}

/** @returns undefined for what is no token of this secret. Says nothing about its end. */
export function readToken(token: string, secret: Uint8Array): TokenClaims | undefined {
  const [header = '', payload = '', signature = '', ...rest] = token.split('.');
  if (header !== HEADER || rest.length > 0) return undefined;
  const expected = Buffer.from(signatureOf(`${header}.${payload}`, secret));
  const given = Buffer.from(signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined;
  // Signed by us, so it has the shape that we gave it.
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as TokenClaims;
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function signatureOf(signed: string, secret: Uint8Array): string {
  return createHmac('sha256', secret).update(signed).digest('base64url');
}
