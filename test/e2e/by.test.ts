/** What stands in the audit as the name of a person has the length of one. */
import { expect, test } from 'vitest';
import { startSluice } from './sluice-process.ts';

test('a name of more bytes than a name has is refused before anything is done, and said so', async () => {
  const halt = startSluice(['halt', '--why', 'looks wrong', '--by', 'é'.repeat(128)]);

  expect((await halt.exited).code).not.toBe(0);
  expect(halt.stderr()).toContain(`option '--by <name>' argument`);
  expect(halt.stderr()).toContain('It has 256 bytes, and a name has 255 at most.');
});
