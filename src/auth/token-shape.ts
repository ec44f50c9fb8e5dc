/**
 * What a token says before anything of it is believed, and which tokens are not even looked at: everything by which a token could choose how it is verified (its algorithm beyond four, its own key, a place to fetch one
 * from, an extension, an unencoded body) is refused here by name or by not being on the list.
 * @see RFC 8725 (JWT best current practices), sections 3.1–3.12; RFC 9068, section 4.
 */
import { parseStrictJson } from './strict-json.ts';

/** Pinned: asymmetric ones only, so that nobody who can verify can also sign. */
export const TOKEN_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

/** Thumbprints of a certificate may stand there, and are not used. */
const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256']);
const KEY_ID = /^[\x21-\x7e]{1,255}$/;
const PARTS = /^([A-Za-z0-9_-]{2,2000})\.([A-Za-z0-9_-]{2,8000})\.([A-Za-z0-9_-]{40,1400})$/;

export type Claims = Readonly<Record<string, unknown>>;

export type UnprovenToken = {
  readonly alg: (typeof TOKEN_ALGORITHMS)[number];
  readonly kid: string;
  readonly typ: string;
  /** Not to be believed before the signature is verified; only which issuer's keys to take may be read from it. */
  readonly claims: Claims;
};

/** @returns null: it is refused. */
export function readToken(token: string): UnprovenToken | null {
  const [, first, second] = PARTS.exec(token) ?? [];
  if (first === undefined || second === undefined) return null;
  const header = objectOf(first);
  const claims = objectOf(second);
  if (header === null || claims === null) return null;
  if (Object.keys(header).some((name) => !HEADER_NAMES.has(name))) return null;
  const alg = TOKEN_ALGORITHMS.find((known) => known === header['alg']);
  const { kid, typ } = header;
  if (alg === undefined || typeof kid !== 'string' || !KEY_ID.test(kid) || typeof typ !== 'string') return null;
  return { alg, kid, typ, claims };
}

/** Whether it looks like a token of three parts at all. */
export function isToken(credential: string): boolean {
  return credential.split('.').length === 3;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function objectOf(part: string): Claims | null {
  const bytes = Buffer.from(part, 'base64url');
  // Two spellings of the same bytes would be two tokens to whoever keeps a list of them.
  if (bytes.toString('base64url') !== part) return null;
  try {
    const value = parseStrictJson(utf8.decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

/** @param path names joined by dots; a claim of just that name goes first. @returns undefined where there is none. */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = new Map(Object.entries(value)).get(name);
  }
  return value;
}
