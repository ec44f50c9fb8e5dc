/** docs/failure-modes.md against the tests themselves: each row is there, whole, and names tests that are called after it and can fail. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  ATTACKS,
  FAILURES,
  idsOf,
  namedTestsOf,
  PROJECT,
  readNamedTests,
  rowsNamedIn,
} from '../../scripts/failure-rows.ts';

const page = await readFile(join(PROJECT, 'docs/failure-modes.md'), 'utf8');
const rows = [...page.matchAll(/^\| ([A-Z]\d+) \|(.*)\|$/gm)].map(([, id = '', rest = '']) => ({
  id,
  cells: rest.split('|').map((cell) => cell.trim()),
}));
const tests = readNamedTests();

test('every row of the catalog and every attack is there, once, in order, with all that belongs to it', () => {
  expect(rows.map(({ id }) => id)).toEqual([...idsOf(FAILURES), ...idsOf(ATTACKS)]);
  for (const { id, cells } of rows) {
    expect([id, cells.length]).toEqual([id, id.startsWith('Z') ? 3 : 6]);
    expect([id, cells.filter((cell) => cell === '')]).toEqual([id, []]);
  }
});

test('the tests that a row names are there, and are called after it', () => {
  const wrong = rows.flatMap(({ id, cells }) => {
    const files = [...(cells.at(-1) ?? '').matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, file = '']) => file);
    const missing = files.filter((file) => !tests.some((each) => each.file === file && each.rows.includes(id)));
    return files.length === 0 ? [`${id} names none`] : missing.map((file) => `${id}: ${file}`);
  });
  expect(wrong).toEqual([]);
});

test('no test of a row is one that cannot fail', () => {
  expect(tests.filter(({ isAsserting }) => !isAsserting).map(({ file, title }) => `${file}: ${title}`)).toEqual([]);
  expect(tests.length).toBeGreaterThan(400);
});

test('one that cannot fail would be found, and one that fails through a function of its file is none', async () => {
  const folder = await mkdtemp(join(PROJECT, 'test/toolchain/sample-'));
  try {
    const file = join(folder, 'sample.test.ts');
    await writeFile(
      file,
      `import { expect, test, describe } from 'vitest';
       const isRight = () => expect(1).toBe(1);
       async function looked() { isRight(); }
       test('A1: says nothing', () => { console.log('fine'); });
       test('A2, B3: asks a friend', async () => { await looked(); });
       describe('C1: a group', () => { test('of one', () => { expect(2).toBe(2); }); });
       test('no row', () => undefined);`,
    );
    expect(namedTestsOf(file).map(({ rows: named, isAsserting }) => [named.join(' '), isAsserting])).toEqual([
      ['A1', false],
      ['A2 B3', true],
      ['C1', true],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(rowsNamedIn('E5, E6: of ISO-A4, A4 and A5/A6: x')).toEqual(['E5', 'E6', 'A4', 'A5', 'A6']);
});
