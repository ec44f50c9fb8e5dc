/**
 * Documents that were parsed and validated before, newest kept: what a client repeats costs nothing, and what an attacker varies costs no more
 * memory than this. A parsed word takes some 400 bytes, and may be one character and a space: 200 bytes a character at the worst, 80 MB in all.
 */
const CHARACTERS_MAX = 400_000;
/** Longer documents are parsed each time: introspection, which has 2,000, is rare. */
const LENGTH_MAX = 8_000;

export type DocumentCache<T> = {
  get(document: string): T | undefined;
  set(document: string, value: T): void;
};

export function createDocumentCache<T>(): DocumentCache<T> {
  const known = new Map<string, T>();
  let characters = 0;

  function forget(document: string): void {
    if (known.delete(document)) characters -= document.length;
  }

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
      forget(document);
      known.set(document, value);
      characters += document.length;
      for (const oldest of known.keys()) {
        if (characters <= CHARACTERS_MAX) return;
        forget(oldest);
      }
    },
  };
}
