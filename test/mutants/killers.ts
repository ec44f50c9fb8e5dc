/** Runs each mistake's killing test against a copy of the product that has it, and once more against the product that has none: all in one process beside this one (run-killers.ts). */
import { fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { DirectMistake } from './direct-mistake.ts';
import { type Kill, type KillerAnswer, type KillerOrder, SOUND } from './kill.ts';

const PROGRAM = fileURLToPath(new URL('run-killers.ts', import.meta.url));
/** What the libraries are compiled to. */
const COMPILED = join(tmpdir(), 'sluice-mutants-compiled');

export type Place = Omit<KillerOrder, 'kills'>;

export type Verdict = {
  readonly name: string;
  /** The tests that failed, and with what; empty: it lived. */
  readonly failed: KillerAnswer['failed'];
  /** Why nothing can be concluded: its test does not run, or fails without the mistake. */
  readonly complaint: string | null;
};

/** @returns one verdict per mistake, in their order. */
export async function runKillers(mistakes: readonly DirectMistake[], place: Place): Promise<readonly Verdict[]> {
  if (mistakes.length === 0) return [];
  const walls = await breakWalls(mistakes, place);
  try {
    const kills = mistakes.map(
      ({ name, killer }): Kill => ({ mistake: name, ...killer, templateDatabase: walls.get(name) ?? null }),
    );
    const answers = await ask({ ...place, kills });
    return mistakes.map((mistake) => verdictOf(mistake, answers));
  } finally {
    await execute(
      place,
      [...walls.values()].map((database) => `DROP DATABASE ${database} WITH (FORCE)`),
    );
  }
}

function verdictOf({ name, killer }: DirectMistake, answers: readonly KillerAnswer[]): Verdict {
  const own = answers.find(({ run }) => run === name);
  const sound = answers.find(({ run }) => run === SOUND + killer.file);
  return { name, failed: own?.failed ?? [], complaint: complaintAbout(killer, own, sound) };
}

function complaintAbout(
  { file, test }: DirectMistake['killer'],
  own: KillerAnswer | undefined,
  sound: KillerAnswer | undefined,
): string | null {
  if (own === undefined || sound === undefined) return `${file} did not run`;
  if (sound.broken !== null) return `${file} cannot be run without it: ${sound.broken}`;
  const wrong = sound.failed.find((one) => one.test.includes(test));
  if (wrong !== undefined) return `fails without it: ${wrong.test}: ${wrong.error}`;
  if (!sound.passed.some((name) => name.includes(test))) return `${file} has no test '${test}'`;
  if (own.failed.length === 0 && own.broken !== null) return `${file} cannot be run with it: ${own.broken}`;
  return null;
}

/** @returns by the mistake's name, a template whose walls have the mistake. */
async function breakWalls(mistakes: readonly DirectMistake[], place: Place): Promise<ReadonlyMap<string, string>> {
  const walls = new Map<string, string>();
  for (const { name, database } of mistakes) {
    if (database === undefined) continue;
    const copy = `${place.templateDatabase}_${walls.size}`;
    await execute(place, [`CREATE DATABASE ${copy} TEMPLATE ${place.templateDatabase}`]);
    walls.set(name, copy);
    await execute({ ...place, database: copy }, [database]);
  }
  return walls;
}

async function execute(
  { databaseServerUrl, database }: Pick<Place, 'databaseServerUrl'> & { readonly database?: string },
  statements: readonly string[],
): Promise<void> {
  if (statements.length === 0) return;
  const url = new URL(databaseServerUrl);
  if (database !== undefined) url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** @throws Error with what the process said where it ended early. */
async function ask(order: KillerOrder): Promise<readonly KillerAnswer[]> {
  // Nothing of the runner that started us: another one begins.
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
  const child = fork(PROGRAM, {
    execArgv: [],
    env: { ...environment, NODE_COMPILE_CACHE: COMPILED },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const answers: KillerAnswer[] = [];
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
    child.on('message', (message) => {
      if (message === 'ready') child.send(order);
      else answers.push(message as KillerAnswer);
    });
  });
  if (code !== 0) throw new Error(`The killing tests ended with ${code}: ${said}`);
  return answers;
}
