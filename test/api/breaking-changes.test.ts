/** A change of the schema that breaks clients is told in the changelog, by the name of what changed. */
import { expect, test } from 'vitest';
import { readUntoldBreakingChanges, untoldBreakingChanges } from '../../scripts/breaking-changes.ts';

const RELEASED =
  'type Query { transfers(first: Int): [Transfer!]! gone: Int } type Transfer { memo: String state: State! } enum State { OPEN CLOSED }';

const changelog = (lines: string): string =>
  `# Changelog\n\n## Unreleased\n\n${lines}\n\n### Added\n\n- \`Query.gone\` is not told here.\n\n## 0.1\n\n### Breaking\n\n- \`Query.gone\`: told of an older release.\n`;

test.each([
  ['a field that is gone', RELEASED.replace(' gone: Int', ''), 'Query.gone'],
  ['another type', RELEASED.replace('memo: String', 'memo: Int'), 'Transfer.memo'],
  ['an argument that is demanded', RELEASED.replace('first: Int', 'first: Int, to: Int!'), 'Query.transfers'],
  ['an enum value that is gone', RELEASED.replace(' CLOSED', ''), 'State'],
])('%s has to be told', (_what, present, name) => {
  const untold = untoldBreakingChanges({ released: RELEASED, present, changelog: changelog('') });

  expect(untold).toHaveLength(1);
  expect(untold[0]).toContain(name.split('.').at(-1));
  expect(
    untoldBreakingChanges({
      released: RELEASED,
      present,
      changelog: changelog(`### Breaking\n\n- \`${name}\` changed.`),
    }),
  ).toEqual([]);
  expect(
    untoldBreakingChanges({
      released: RELEASED,
      present,
      changelog: changelog('### Breaking\n\n- `Other.thing` changed.'),
    }),
  ).toHaveLength(1);
});

test('what is added breaks nobody', () => {
  const present = RELEASED.replace('memo: String', 'memo: String amount: String');

  expect(untoldBreakingChanges({ released: RELEASED, present, changelog: changelog('') })).toEqual([]);
});

test('nothing of this version breaks clients without being told', async () => {
  expect(await readUntoldBreakingChanges(process.cwd())).toEqual([]);
});
