/**
 * The migrations on disk. `migrations/lock.json` holds the hash of each: what once ran somewhere never changes, and a file that was
 * edited, lost or slipped in is refused before anything runs.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { PermanentError } from '../env/errors.ts';

export type MigrationFile = {
  /** The file's name without `.sql`, e.g. `0001_first_light`; sorts by its number. */
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file's bytes, in hex. */
  readonly sha256: string;
};

export const MIGRATIONS_DIRECTORY = resolve(import.meta.dirname, '../../migrations');
export const LOCK_FILE = 'lock.json';

const NAME = /^(\d{4})_[a-z0-9_]+$/;
const lockSchema = z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/));

/** File name → SHA-256. */
export type MigrationLock = Readonly<Record<string, string>>;

/**
 * @returns all migrations in order, exactly those of the lock.
 * @throws PermanentError MIGRATION_FILES_INVALID, naming every file that is edited, missing, unlocked or misnamed.
 */
export async function readLockedMigrations(
  directory: string = MIGRATIONS_DIRECTORY,
): Promise<readonly MigrationFile[]> {
  const files = await readMigrationFiles(directory);
  const faults = faultsAgainstLock(files, await readMigrationLock(directory));
  if (faults.length > 0) throw invalidFiles(directory, faults);
  return files;
}

/** @returns all migrations in order, whatever the lock says. Numbers run from 0001 without gaps. */
export async function readMigrationFiles(directory: string): Promise<readonly MigrationFile[]> {
  const entries = (await readdir(directory)).filter((entry) => entry.endsWith('.sql')).sort();
  const faults = entries.flatMap((entry, index) => {
    const number = NAME.exec(entry.slice(0, -'.sql'.length))?.[1];
    return Number(number) === index + 1
      ? []
      : [`${entry}: expected ${String(index + 1).padStart(4, '0')}_<lower_case_name>.sql`];
  });
  if (faults.length > 0) throw invalidFiles(directory, faults);

  return await Promise.all(
    entries.map(async (entry) => {
      const bytes = await readFile(join(directory, entry));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { name: entry.slice(0, -'.sql'.length), sql: bytes.toString('utf8'), sha256 };
    }),
  );
}

/** @returns an empty lock when there is none. */
export async function readMigrationLock(directory: string): Promise<MigrationLock> {
  try {
    return lockSchema.parse(JSON.parse(await readFile(join(directory, LOCK_FILE), 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new PermanentError(
      'MIGRATION_FILES_INVALID',
      `${LOCK_FILE} cannot be read.`,
      { directory },
      { cause: error },
    );
  }
}

/** @returns one sentence per difference; none when files and lock agree. */
export function faultsAgainstLock(files: readonly MigrationFile[], lock: MigrationLock): readonly string[] {
  const faults: string[] = [];
  const names = new Set(files.map((file) => `${file.name}.sql`));
  for (const file of files) {
    const locked = lock[`${file.name}.sql`];
    if (locked === undefined) faults.push(`${file.name}.sql is not in ${LOCK_FILE}: run npm run generate`);
    else if (locked !== file.sha256)
      faults.push(`${file.name}.sql was edited after it was locked: write a new migration`);
  }
  for (const name of Object.keys(lock)) {
    if (!names.has(name)) faults.push(`${name} is in ${LOCK_FILE}, but the file is missing`);
  }
  return faults;
}

function invalidFiles(directory: string, faults: readonly string[]): PermanentError {
  return new PermanentError(
    'MIGRATION_FILES_INVALID',
    `The migrations are not as they were locked. ${faults.join('. ')}.`,
    {
      directory,
      faults,
    },
  );
}
