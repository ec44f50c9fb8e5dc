/**
 * Documents that were parsed and validated before, newest kept: what a client repeats costs nothing, and what an attacker varies costs no more
 * memory than this. A parsed word takes some 400 bytes.
 */
const DOCUMENTS_MAX = 500;
/** Longer documents are parsed each time: introspection, which has 2,000, is rare. */
const LENGTH_MAX = 8_000;

export type DocumentCache<T> = {
  get(document: string): T | undefined;
  set(document: string, value: T): void;
};

export function createDocumentCache<T>(): DocumentCache<T> {
  const known = new Map<string, T>();
  return {
    get: (document) => {
      const value = known.get(document);
      if (value === undefined) return undefined;
      known.delete(document);
      known.set(document, value);
      return value;
    },
    set: (document, value) => {
      if (document.length > LENGTH_MAX) return;
      known.delete(document);
      known.set(document, value);
      if (known.size <= DOCUMENTS_MAX) return;
      for (const oldest of known.keys()) {
        known.delete(oldest);
        break;
      }
    },
  };
}
