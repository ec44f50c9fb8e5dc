/** Who the client is. A token is asked for when it is needed first and whenever the server no longer takes the one there is; many who need one at the same time ask once. */

/**
 * @param rejected the token that was not taken (expired, revoked); null: the first one is asked for.
 * @returns a token without `Bearer `; null: none, for a server that asks for none. Always of the same principal: idempotency keys are the principal's own, and under another one the same key is another withdrawal.
 */
export type TokenSource = (rejected: string | null) => string | null | Promise<string | null>;

export type Credentials = {
  /** @throws what the source throws. */
  current(): Promise<string | null>;
  /** The server did not take it. Harmless when another one is here already. */
  reject(token: string | null): void;
};

export function createCredentials(source: TokenSource): Credentials {
  let asked: Promise<string | null> | null = null;
  let known: string | null = null;
  let rejected: string | null = null;

  async function ask(): Promise<string | null> {
    try {
      known = await source(rejected);
      return known;
    } catch (error) {
      asked = null;
      throw error;
    }
  }

  return {
    current: () => {
      asked ??= ask();
      return asked;
    },
    reject: (token) => {
      if (asked === null || token !== known) return;
      rejected = token;
      asked = null;
    },
  };
}
