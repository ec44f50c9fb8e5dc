/** The table that a run ends with, and the page that is made of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quantile } from '../../bench/statistics.ts';
import { type CommitCounts, type Counts, PROJECT, sumOf, type Tier } from './counts.ts';

const PAGE = join(PROJECT, 'docs/reliability-figures.md');

export type Goal = {
  readonly name: string;
  readonly goalMs: number;
  /** Of the samples, that has to be within. */
  readonly share: number;
  /** The first commit, of those in the counts, whose samples are of what is measured today; from the first one if left out. */
  readonly since?: string;
};

export const GOALS: Readonly<Record<string, Goal>> = {
  killed: { name: 'SIGKILL of the only process, to the next durable update', goalMs: 2_000, share: 0.99 },
  killedOfTwo: {
    name: 'SIGKILL of the one that works, to the next durable update by the other',
    goalMs: 2_000,
    share: 0.99,
  },
  takeover: { name: 'A process that stands still, to takeover by another', goalMs: 5_000, share: 1 },
  postgres: { name: 'SIGKILL of PostgreSQL, to serving writes', goalMs: 5_000, share: 0.99 },
  halfOpen: { name: 'Half-open stream, to the next durable update', goalMs: 30_000, share: 1 },
  // Before, the watch was another one, and the time in which a stream is only being opened was counted, too.
  silent: { name: 'Silent stream, until it is given up', goalMs: 75_000, share: 1, since: '0cc3ad9218' },
  freeze: { name: 'Books differ from the ledger, to the freeze', goalMs: 60_000, share: 1 },
};

type Row = readonly [what: string, target: number, count: number, violations: number];

/** What is counted where it struck; the heading of its part of the page. */
const STRUCK = [
  ['kills', 'SIGKILL'],
  ['postgres', 'SIGKILL of PostgreSQL'],
  ['zombies', 'SIGSTOP'],
  ['others', 'other fault'],
] as const;

function rowsOf({ commits }: Counts): readonly Row[] {
  const total = (count: (entry: CommitCounts) => number): number =>
    commits.reduce((sum, entry) => sum + count(entry), 0);
  const found = (...tiers: readonly Tier[]): number =>
    total(({ violations }) => violations.filter(({ tier }) => tiers.includes(tier)).length);
  const struck = (kind: (typeof STRUCK)[number][0]): number => total((entry) => sumOf(entry[kind]));
  // A soak strikes with everything, and a database is put back among the blows to it: what was found then counts against each kind that there was.
  return [
    ['simulation schedules', 100_000, total(({ seeds }) => seeds), found('seeds')],
    ['SIGKILLs', 1_000, struck('kills'), found('kills', 'soak')],
    ['PostgreSQL kills', 200, struck('postgres'), found('postgres', 'soak')],
    ['zombies', 100, struck('zombies'), found('zombies', 'soak')],
    ['connection, participant and other faults', 0, struck('others'), found('postgres', 'soak')],
    ['minutes of soak', 60, Math.round(total(({ soakMinutes }) => soakMinutes)), found('soak')],
    [
      'recoveries measured',
      0,
      total(({ figures }) => Object.values(figures).reduce((sum, samples) => sum + samples.length, 0)),
      found('figures'),
    ],
  ];
}

/** What zero violations in n schedules bound the chance of one per schedule to, with 95 % confidence. */
function boundOf(count: number, violations: number): string {
  if (count === 0) return '';
  const percent = (share: number): string => (share >= 100 ? '100' : share.toPrecision(2));
  return violations === 0 ? `< ${percent(300 / count)} %` : `${percent((100 * violations) / count)} % seen`;
}

/** Of all commits together, from `since` on where it is among them. */
function samplesOf({ commits }: Counts, figure: string, since?: string): readonly number[] {
  const first = commits.findIndex(({ commit }) => commit === since);
  return commits.slice(Math.max(first, 0)).flatMap(({ figures }) => figures[figure] ?? []);
}

export function figureLines(counts: Counts): readonly string[] {
  return Object.entries(GOALS).map(([figure, { name, goalMs, share, since }]) => {
    const samples = samplesOf(counts, figure, since);
    const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(2)} s`;
    const of = (part: number): string => (samples.length === 0 ? '–' : seconds(quantile(samples, part)));
    // To a tenth of a second: more than that the measuring itself takes.
    const isHeld = samples.length > 0 && Math.round(quantile(samples, share) / 100) * 100 <= goalMs;
    const verdict = samples.length === 0 ? 'not measured' : isHeld ? 'held' : 'MISSED';
    return `| ${name} | ${samples.length} | ${of(0.5)} | ${of(0.99)} | ${of(1)} | ${share === 1 ? 'max' : 'p99'} ≤ ${seconds(goalMs)} | ${verdict} |`;
  });
}

export function countLines(counts: Counts): readonly string[] {
  return rowsOf(counts).map(
    ([what, target, count, violations]) =>
      `| ${what} | ${count} | ${target === 0 ? '' : target} | ${violations} | ${boundOf(count, violations)} |`,
  );
}

const COUNT_HEAD = [
  '| what | run | target | violations | chance of one per schedule, 95 % |',
  '|---|---:|---:|---:|---|',
];
const FIGURE_HEAD = ['| what | samples | p50 | p99 | max | goal | |', '|---|---:|---:|---:|---:|---|---|'];

export function printReport(counts: Counts): void {
  const lines = [...COUNT_HEAD, ...countLines(counts), '', ...FIGURE_HEAD, ...figureLines(counts)];
  console.log(`\n${lines.join('\n')}\n`);
}

/** Of every kind of fault, the points and other places at which it struck. */
export function struckLines({ commits }: Counts): readonly string[] {
  return STRUCK.flatMap(([kind, name]) => {
    const times = new Map<string, number>();
    for (const entry of commits)
      for (const [where, count] of Object.entries(entry[kind])) times.set(where, (times.get(where) ?? 0) + count);
    return [...times]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([where, count]) => `| ${name} | \`${where}\` | ${count} |`);
  });
}

/** Writes docs/reliability-figures.md. @param soakLines about the last soak, as Markdown. */
export function writePage(counts: Counts, soakLines: readonly string[]): void {
  const violations = counts.commits.flatMap(({ commit, violations: found }) =>
    found.map(({ tier, what, how }) => `- ${commit}, ${tier}: ${what.split('\n')[0]} (${how.split('\n')[0]})`),
  );
  const lines = [
    '# Reliability in figures',
    '',
    'Made by `npm run prove` from `proof/counts.json`; do not edit. What the rows mean: `docs/reliability.md`.',
    '',
    '## Schedules',
    '',
    'Cumulative over all runs and commits. Zero violations in n schedules bound the chance of one per schedule below 3/n. One that a soak found counts in the row of every kind of fault that struck there.',
    '',
    ...COUNT_HEAD,
    ...countLines(counts),
    '',
    '## Recovery',
    '',
    ...FIGURE_HEAD,
    ...figureLines(counts),
    '',
    '## Soak',
    '',
    ...soakLines,
    '',
    '## Where faults struck',
    '',
    '| what | where | times |',
    '|---|---|---:|',
    ...struckLines(counts),
    '',
    '## Violations',
    '',
    ...(violations.length === 0 ? ['None.'] : violations),
    '',
    '## Commits',
    '',
    '| commit | day | seeds | SIGKILLs | PostgreSQL kills | zombies | checks at rest | violations | failures of the harness |',
    '|---|---|---:|---:|---:|---:|---:|---:|---:|',
    ...counts.commits.map(
      (entry) =>
        `| ${entry.commit} | ${entry.day} | ${entry.seeds} | ${sumOf(entry.kills)} | ${sumOf(entry.postgres)} | ${sumOf(entry.zombies)} | ${entry.checks} | ${entry.violations.length} | ${entry.harness.length} |`,
    ),
    '',
  ];
  writeFileSync(PAGE, lines.join('\n'));
}
