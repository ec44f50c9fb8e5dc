/** What was run so far, per commit, over all runs: a small file in git. Written after every schedule, so that a run may be broken off at any moment. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const PROJECT = join(import.meta.dirname, '../..');
export const COUNTS_FILE = join(PROJECT, 'proof/counts.json');

/** What was found, its beginning; and how to see it again: a command, and what happened then. */
export type FoundViolation = { readonly tier: Tier; readonly what: string; readonly how: string };

export const TIERS = ['seeds', 'kills', 'postgres', 'zombies', 'soak', 'figures'] as const;
export type Tier = (typeof TIERS)[number];

export type CommitCounts = {
  /** Short; with a plus sign where files differed from it. */
  readonly commit: string;
  readonly day: string;
  seeds: number;
  steps: number;
  /** Failpoint, or `random`, `all`, `signer`: SIGKILLs. */
  kills: Record<string, number>;
  postgres: Record<string, number>;
  /** By the point at which it stood still. */
  zombies: Record<string, number>;
  /** Faults of connections, participant and others. */
  others: Record<string, number>;
  /** Moments of rest at which everything was looked at. */
  checks: number;
  soakMinutes: number;
  violations: FoundViolation[];
  /** Where the harness itself failed; they prove nothing, and count for nothing. */
  harness: string[];
  /** Milliseconds, in the order they were measured. */
  figures: Record<string, number[]>;
};

export type Counts = {
  /** The first index of the simulation that was not run yet. */
  nextSeed: number;
  commits: CommitCounts[];
};

const SAMPLES_MAX = 400;
/** The file is for numbers; a whole trace comes of the command. */
const WHAT_MAX = 600;
const HOW_MAX = 1_000;

export function readCounts(): Counts {
  if (!existsSync(COUNTS_FILE)) return { nextSeed: 1, commits: [] };
  const counts = JSON.parse(readFileSync(COUNTS_FILE, 'utf8')) as Counts;
  for (const entry of counts.commits) entry.violations = entry.violations.map(shortened);
  return counts;
}

export function writeCounts(counts: Counts): void {
  mkdirSync(dirname(COUNTS_FILE), { recursive: true });
  // Whole or not at all, whenever we are killed.
  writeFileSync(`${COUNTS_FILE}.new`, `${JSON.stringify(counts, null, 2)}\n`);
  renameSync(`${COUNTS_FILE}.new`, COUNTS_FILE);
}

/** The entry of the commit that is checked out. */
export function presentCounts(counts: Counts): CommitCounts {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { cwd: PROJECT, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'test', 'migrations', 'scripts');
  const commit = `${git('rev-parse', '--short=10', 'HEAD')}${changed === '' ? '' : '+'}`;
  const known = counts.commits.find((each) => each.commit === commit);
  if (known !== undefined) return known;
  const entry: CommitCounts = {
    commit,
    day: new Date().toISOString().slice(0, 10),
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
  };
  counts.commits.push(entry);
  return entry;
}

export function addTo(table: Record<string, number>, key: string): void {
  table[key] = (table[key] ?? 0) + 1;
}

export function addSample(entry: CommitCounts, figure: string, milliseconds: number): void {
  const samples = entry.figures[figure] ?? [];
  entry.figures[figure] = [...samples, Math.round(milliseconds)].slice(-SAMPLES_MAX);
}

export function addViolation(entry: CommitCounts, violation: FoundViolation): void {
  entry.violations.push(shortened(violation));
}

/** @param where the tier or figure. */
export function addHarnessFailure(entry: CommitCounts, where: string, error: unknown): void {
  const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
  entry.harness.push(beginningOf(`${where}: ${said}`, HOW_MAX));
}

function shortened({ tier, what, how }: FoundViolation): FoundViolation {
  return { tier, what: beginningOf(what, WHAT_MAX), how: beginningOf(how, HOW_MAX) };
}

/** Paths are those of the project, wherever it lies. */
function beginningOf(text: string, max: number): string {
  const said = text.replaceAll(`file://${PROJECT}/`, '').replaceAll(`${PROJECT}/`, '');
  return said.length <= max ? said : `${said.slice(0, max - 1)}…`;
}

export function sumOf(table: Readonly<Record<string, number>>): number {
  return Object.values(table).reduce((sum, count) => sum + count, 0);
}
