/** What the release tier says of what it ran: a bound that follows from the count, a goal that is missed by one slow sample, a slope that is one. */
import { expect, test } from 'vitest';
import { addViolation, type CommitCounts, type Counts } from '../../scripts/prove/counts.ts';
import { countLines, figureLines, struckLines } from '../../scripts/prove/report.ts';
import { slopes } from '../../scripts/prove/soak.ts';

const entry = (change: Partial<CommitCounts>): CommitCounts => ({
  commit: 'c',
  day: '2026-01-01',
  seeds: 0,
  steps: 0,
  kills: {},
  postgres: {},
  zombies: {},
  others: {},
  checks: 0,
  soakMinutes: 0,
  violations: [],
  harness: [],
  figures: {},
  ...change,
});

test('counts of all commits are added up, and bound the chance of a violation by 3/n', () => {
  const counts: Counts = {
    nextSeed: 1,
    commits: [entry({ seeds: 40_000, kills: { all: 1 } }), entry({ seeds: 60_000, kills: { all: 2, random: 3 } })],
  };

  const lines = countLines(counts);

  expect(lines[0]).toBe('| simulation schedules | 100000 | 100000 | 0 | < 0.0030 % |');
  expect(lines[1]).toBe('| SIGKILLs | 6 | 1000 | 0 | < 50 % |');
});

test('a violation is counted where it was found, and there is no bound any more', () => {
  const violations = [{ tier: 'kills', what: 'double payout', how: 'seed 1' }] as const;
  const counts: Counts = { nextSeed: 1, commits: [entry({ kills: { random: 200 }, violations: [...violations] })] };

  expect(countLines(counts)[1]).toBe('| SIGKILLs | 200 | 1000 | 1 | 0.50 % seen |');
});

test('kills of the database and zombies have rows of their own, and what a soak found counts against each', () => {
  const violations = [{ tier: 'soak', what: 'double payout', how: 'seed 1' }] as const;
  const commits = [
    entry({ kills: { random: 3 }, postgres: { backend: 2, postmaster: 1 }, zombies: { 'offers.afterPrepare': 4 } }),
    entry({ postgres: { backend: 5 }, others: { rewound: 1 }, violations: [...violations] }),
  ];

  expect(countLines({ nextSeed: 1, commits }).slice(1, 5)).toEqual([
    '| SIGKILLs | 3 | 1000 | 1 | 33 % seen |',
    '| PostgreSQL kills | 8 | 200 | 1 | 13 % seen |',
    '| zombies | 4 | 100 | 1 | 25 % seen |',
    '| connection, participant and other faults | 1 |  | 1 | 100 % seen |',
  ]);
  expect(struckLines({ nextSeed: 1, commits })).toEqual([
    '| SIGKILL | `random` | 3 |',
    '| SIGKILL of PostgreSQL | `backend` | 7 |',
    '| SIGKILL of PostgreSQL | `postmaster` | 1 |',
    '| SIGSTOP | `offers.afterPrepare` | 4 |',
    '| other fault | `rewound` | 1 |',
  ]);
});

test('what was found when recovery was measured has a row', () => {
  const violations = [{ tier: 'figures', what: 'books differ', how: 'killed, seed 1' }] as const;
  const commits = [entry({ figures: { killed: [1, 2], postgres: [3] }, violations: [...violations] })];

  expect(countLines({ nextSeed: 1, commits }).at(-1)).toBe('| recoveries measured | 3 |  | 1 | 33 % seen |');
});

test('of a violation the beginning is kept, and how to see it again', () => {
  const kept = entry({});
  addViolation(kept, { tier: 'seeds', what: `double payout\n${'a trace '.repeat(1_000)}`, how: 'node it --seed 7' });

  const [{ what = '', how = '' } = {}] = kept.violations;
  expect(what).toHaveLength(600);
  expect(what).toMatch(/^double payout\n.*…$/s);
  expect(how).toBe('node it --seed 7');
});

test('of a path only what is the project’s is kept', () => {
  const kept = entry({});
  const source = new URL('../../src/db/errors.ts', import.meta.url);
  addViolation(kept, { tier: 'seeds', what: `at build (${source.href}:1)`, how: `at ${source.pathname}:2` });

  expect(kept.violations).toMatchObject([{ what: 'at build (src/db/errors.ts:1)', how: 'at src/db/errors.ts:2' }]);
});

test('a goal counts as held only where it was measured, and the largest sample decides where none may be above it', () => {
  const halfOpen = (samples: readonly number[]): string | undefined =>
    figureLines({ nextSeed: 1, commits: [entry({ figures: { halfOpen: [...samples] } })] }).find((line) =>
      line.includes('Half-open'),
    );

  expect(halfOpen([])).toMatch(/not measured \|$/);
  expect(halfOpen([1_000, 29_000])).toMatch(/held \|$/);
  expect(halfOpen([...Array.from({ length: 200 }, () => 1_000), 31_000])).toMatch(/MISSED \|$/);
});

test('samples from before a figure meant what it means today are left out', () => {
  const commits = [
    entry({ figures: { silent: [90_000] } }),
    entry({ commit: '0cc3ad9218', figures: { silent: [75_010] } }),
  ];
  const line = figureLines({ nextSeed: 1, commits }).find((each) => each.includes('Silent stream'));

  expect(line).toMatch(/^\| Silent stream, until it is given up \| 1 \| 75\.01 s .* held \|$/);
});

test('what grows over the second half of a soak is a slope, and noise is none', () => {
  const soak = (memory: (index: number) => number) =>
    Array.from({ length: 400 }, (_, index) => ({
      at: index * 5,
      memory: memory(index),
      handles: 40,
      lag: 0,
      faults: 0,
    }));

  expect(slopes(soak((index) => 200 + (index % 17)))).toEqual([]);
  // A warm-up is none either.
  expect(slopes(soak((index) => Math.min(250, 100 + index * 5)))).toEqual([]);
  expect(slopes(soak((index) => 200 + index))).toEqual([expect.stringMatching(/^memory grows: /)]);
});
