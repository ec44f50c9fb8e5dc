/** Where the bearer token of a participant comes from: a fixed text, a file that somebody else keeps fresh (`file-token.ts`), or an identity provider (`oauth-token.ts`). */
import type { Secret } from '../config/secret.ts';

export type TokenSource = {
  /** A token that is valid now, as far as is known. @throws RetryableError TOKEN_UNAVAILABLE. */
  token(): Promise<Secret>;
  /** A participant refused `token`: where another can be had, the next call of `token` has it. */
  refused(token: Secret): void;
};

export function createFixedToken(token: Secret): TokenSource {
  return { token: async () => token, refused: () => undefined };
}
