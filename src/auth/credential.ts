/** What a request brings in its header `authorization`, or a WebSocket in its first message, and what came of it. */
import type { Principal } from '../schema/principal.ts';

/** Characters: a token of an identity provider with many roles has some 3,000, and node takes 16 KB of headers. */
export const CREDENTIAL_LENGTH_MAX = 8_192;

const BEARER = /^Bearer ([\x21-\x7e]+)$/i;

/** @returns what follows `Bearer `; null: nothing of that form, or too long. */
export function bearerOf(authorization: string): string | null {
  if (authorization.length > CREDENTIAL_LENGTH_MAX + 'Bearer '.length) return null;
  return BEARER.exec(authorization)?.[1] ?? null;
}

/** A principal, and how to tell whether what proved it still does. */
export type Proof = {
  readonly principal: Principal;
  /** False: it was revoked, or its key was taken back, since. Its time (`expiresAt`) is not looked at. Asked often: it does nothing but remember. */
  isStanding(): boolean;
};

/** One way to prove who asks. */
export type Authenticator = {
  /** Whether a credential is of its kind at all. */
  takes(credential: string): boolean;
  /** @returns null: it is nobody's. Never throws for what is in the credential. */
  prove(credential: string): Promise<Proof | null>;
};
