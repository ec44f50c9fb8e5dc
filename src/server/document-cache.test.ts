/** What an attacker varies costs no more memory than what is said. */
import { expect, test } from 'vitest';
import { createDocumentCache } from './document-cache.ts';

test('the newest are kept, up to so many characters, and what is asked for again is new', () => {
  const cache = createDocumentCache<number>();
  const documents = Array.from({ length: 1_000 }, (_, index) => String(index).padEnd(8_000, ' '));
  for (const [index, document] of documents.entries()) {
    cache.set(document, index);
    cache.get(documents[0] ?? '');
  }

  const kept = documents.filter((document) => cache.get(document) !== undefined);
  expect(kept).toEqual([documents[0], ...documents.slice(-49)]);
});

test('a document that is set anew counts once, and one that is too long is not kept', () => {
  const cache = createDocumentCache<number>();
  for (let time = 0; time < 1_000; time++) cache.set('{ viewer { name } }', time);
  const others = Array.from({ length: 49 }, (_, index) => String(index).padEnd(8_000, ' '));
  for (const document of others) cache.set(document, 0);
  cache.set('x'.repeat(8_001), 0);

  expect(cache.get('{ viewer { name } }')).toBe(999);
  expect(cache.get('x'.repeat(8_001))).toBeUndefined();
});
