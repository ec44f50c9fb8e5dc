/** Where idempotency keys are kept between the moment they are made and for ever after. */

export type KeyStore = {
  /**
   * Keeps `key` under the reference, unless another one is kept there; durable before it resolves. Two callers at once get the same answer.
   * @returns the key that is kept now.
   */
  keep(reference: string, key: string): Promise<string>;
};

/** Forgets everything with the process: for tests and trials. */
export function createMemoryKeyStore(): KeyStore {
  const keys = new Map<string, string>();
  return {
    keep: async (reference, key) => {
      const kept = keys.get(reference) ?? key;
      keys.set(reference, kept);
      return kept;
    },
  };
}
