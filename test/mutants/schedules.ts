/**
 * Mistakes that only a schedule shows. The schedules that are known to find one run first, the shortest before; where the product has changed so much that none of them does, others are drawn.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutant } from '../simulation/mutants.ts';
import { withMigratedDatabases } from '../simulation/scratch-database.ts';

export type KnownSchedule = { readonly seed: number; readonly steps: number; readonly invariant: string };
export type KnownSchedules = Readonly<Record<string, readonly KnownSchedule[]>>;

export type SearchOrder = {
  readonly name: string;
  readonly seeds: readonly number[];
  /** After so many schedules that find it, it is looked for no further. */
  readonly findingsMax: number;
};

export type Search = {
  readonly name: string;
  /** The shortest first; empty: it lived. */
  readonly found: readonly KnownSchedule[];
  readonly tried: number;
  /** Schedules that the product as it is does not survive either: they prove nothing. */
  readonly unsound: readonly number[];
};

/** Seeds within which each must be found. */
const SEEDS_MAX = 150;
/** How many schedules of each are known: a change of the product seldom costs all of them their effect. */
const KEPT = 3;
const KNOWN = new URL('known-schedules.json', import.meta.url);
const PROGRAM = fileURLToPath(new URL('search-worker.ts', import.meta.url));
/** What the libraries are compiled to. */
const COMPILED = join(tmpdir(), 'sluice-mutants-compiled');

export async function readKnownSchedules(): Promise<KnownSchedules> {
  return JSON.parse(await readFile(KNOWN, 'utf8')) as KnownSchedules;
}

/** Keeps what is known of others; of each that was found the shortest few. */
export async function writeKnownSchedules(searches: readonly Search[], mutants: readonly Mutant[]): Promise<void> {
  const before = await readKnownSchedules();
  const now = new Map(searches.flatMap(({ name, found }) => (found.length === 0 ? [] : [[name, found] as const])));
  const kept = mutants.map(({ name }) => [name, (now.get(name) ?? before[name] ?? []).slice(0, KEPT)] as const);
  await writeFile(KNOWN, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
}

/**
 * @param how.known tried first; none: only drawn ones are.
 * @param how.workers processes side by side.
 * @returns in the order of `mutants`. What found a mistake has been tried with the product as it is, which survived it.
 * @throws when a process ends early, with what it said.
 */
export async function searchSchedules(
  mutants: readonly Mutant[],
  how: { readonly findingsMax: number; readonly known: KnownSchedules; readonly workers: number },
): Promise<readonly Search[]> {
  if (mutants.length === 0) return [];
  const drawn = Array.from({ length: SEEDS_MAX }, (_, index) => index + 1);
  const searches = new Map<string, Search>();
  await withMigratedDatabases(2 * how.workers, async (databases) => {
    const queue = mutants[Symbol.iterator]();
    const work = async (own: readonly string[]): Promise<void> => {
      const worker = await startWorker(own);
      try {
        for (let next = queue.next(); next.done !== true; next = queue.next()) {
          const { name } = next.value;
          const seeds = [...new Set([...(how.known[name] ?? []).map(({ seed }) => seed), ...drawn])];
          searches.set(name, await worker.search({ name, seeds, findingsMax: how.findingsMax }));
        }
      } finally {
        await worker.close();
      }
    };
    await Promise.all(Array.from({ length: how.workers }, (_, at) => work(databases.slice(2 * at, 2 * at + 2))));
  });
  return mutants.flatMap(({ name }) => searches.get(name) ?? []);
}

type Worker = { search(order: SearchOrder): Promise<Search>; close(): Promise<void> };

async function startWorker(databases: readonly string[]): Promise<Worker> {
  const child = fork(PROGRAM, {
    execArgv: [],
    env: { ...process.env, DATABASES: databases.join(' '), NODE_COMPILE_CACHE: COMPILED },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const closed = once(child, 'close');
  const next = async (): Promise<unknown> => await nextMessage(child, closed, () => complaints);
  await next();
  return {
    search: async (order) => {
      child.send(order);
      return (await next()) as Search;
    },
    close: async () => {
      if (child.connected) child.send('close');
      await closed;
    },
  };
}

async function nextMessage(child: ChildProcess, closed: Promise<unknown>, said: () => string): Promise<unknown> {
  const listening = new AbortController();
  try {
    const message = once(child, 'message', { signal: listening.signal }).then(([first]: unknown[]) => first);
    const end = closed.then(() => {
      throw new Error(`A process that looked for mistakes ended: ${said()}`);
    });
    return await Promise.race([message, end]);
  } finally {
    listening.abort();
  }
}
