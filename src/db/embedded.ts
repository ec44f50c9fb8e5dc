/**
 * A real PostgreSQL 18 from npm for development and tests, without Docker and without anything installed by hand.
 *
 * It listens on 127.0.0.1 only, with a random password, and never outlives us (embedded-supervisor.ts). A server left over from a killed
 * process is ended before a new one starts on its data; a second start beside a living one is refused.
 */
import { execFile } from 'node:child_process';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { type EmbeddedPlace, exists, findEmbeddedPlace, giveTo, serverEnvironment } from './embedded-files.ts';
import { type DirectoryLock, isLockReliable, lockDirectory } from './embedded-lock.ts';
import { endLeftover, isReady, readReadyPort } from './embedded-postmaster.ts';
import { type SupervisedServer, superviseServer } from './embedded-supervisor.ts';

const run = promisify(execFile);

export type EmbeddedPostgresOptions = {
  /** Where the server's folder is made; null: `.sluice` in the clone (or the temporary directory, see embedded-files.ts). */
  readonly baseDirectory: string | null;
  /** The folder of a persistent server below it, e.g. `postgres`; null: a throw-away server, removed when it stops. */
  readonly name: string | null;
  /** 0: any free one. */
  readonly port: number;
  /** Server settings beyond our own, e.g. `{ max_connections: '200' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

export type EmbeddedPostgres = {
  /** Superuser, database `postgres`. Holds the password: not for logs. */
  readonly connectionString: string;
  readonly port: number;
  /** The server's folder: data, password (mode 0600), log. */
  readonly directory: string;
  /** Settles when the server has ended, by {@link EmbeddedPostgres.stop} or by itself. */
  readonly exited: Promise<void>;
  /** Stops the server and removes a throw-away one's folder. Clients that are still connected are cut. Harmless when repeated. */
  stop(): Promise<void>;
};

const MAJOR_VERSION = '18';
const THROW_AWAY_PREFIX = 'throwaway-';
const START_DEADLINE_MS = 60_000; // Recovery after a crash reads the whole WAL; a plain start takes 50 ms.
const POLL_MS = 20;
const PORT_ATTEMPTS_MAX = 5; // A free port can be taken by somebody else before the server binds it.

/**
 * Starts the server, creating its data first when there is none (about 1 s).
 *
 * @throws PermanentError EMBEDDED_IN_USE (somebody else runs on this folder), EMBEDDED_PORT_IN_USE, EMBEDDED_START_FAILED (with the end of
 * the server's log), EMBEDDED_DATA_UNUSABLE, and those of {@link findEmbeddedPlace}. Nothing keeps running after a failure.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const place = await findEmbeddedPlace(options.baseDirectory, options.random);
  await sweepThrowAways(place, options);
  const directory = join(place.baseDirectory, options.name ?? `${THROW_AWAY_PREFIX}${options.random.uuid()}`);
  const lock = await lockDirectory(directory);
  if (lock === null) {
    throw new PermanentError(
      'EMBEDDED_IN_USE',
      `Another process uses the embedded PostgreSQL in ${directory}: stop it, name another folder (SLUICE_DATA_DIR), or set DATABASE_URL.`,
      { directory },
    );
  }
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await giveTo(place.user, directory);
    if (isLockReliable) await endLeftover(join(directory, 'data'), options);
    const password = await ensureData(place, directory, options);
    const started = await startOnPort(place, directory, options);
    return runningServer({ ...started, directory, password, lock, isThrowAway: options.name === null });
  } catch (error) {
    if (options.name === null) await rm(directory, { recursive: true, force: true });
    await lock.release();
    throw error;
  }
}

/**
 * The server that another process of ours runs on a persistent folder, for commands that look at its data meanwhile. Call it when
 * {@link startEmbeddedPostgres} was refused with EMBEDDED_IN_USE: only then is what it reads certainly alive.
 * @returns superuser, database `postgres`; null while that server is starting or stopping.
 */
export async function findRunningPostgres(
  options: Pick<EmbeddedPostgresOptions, 'baseDirectory' | 'random'> & { readonly name: string },
): Promise<string | null> {
  const { baseDirectory } = await findEmbeddedPlace(options.baseDirectory, options.random);
  const directory = join(baseDirectory, options.name);
  const port = await readReadyPort(join(directory, 'data'));
  return port === null ? null : connectionStringOf(await readPassword(directory), port);
}

type Started = { readonly server: SupervisedServer; readonly port: number };

function runningServer(
  parts: Started & { directory: string; password: string; lock: DirectoryLock; isThrowAway: boolean },
): EmbeddedPostgres {
  const { server, port, directory, password, lock, isThrowAway } = parts;
  const exited = server.exited.then(async () => {
    if (isThrowAway) await rm(directory, { recursive: true, force: true });
    await lock.release();
  });
  return {
    connectionString: connectionStringOf(password, port),
    port,
    directory,
    exited,
    stop: async () => {
      server.requestStop();
      await exited;
    },
  };
}

/** Creates the data under another name and renames it when complete, so that a start killed half-way is simply repeated. */
async function ensureData(place: EmbeddedPlace, directory: string, options: EmbeddedPostgresOptions): Promise<string> {
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  if (await exists(data)) {
    const version = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim();
    if (version !== MAJOR_VERSION || !(await exists(passwordFile))) {
      throw new PermanentError(
        'EMBEDDED_DATA_UNUSABLE',
        `${directory} was made by PostgreSQL ${version} or has lost its password file; this is PostgreSQL ${MAJOR_VERSION}. Move it away to start empty.`,
        { directory, version },
      );
    }
    return await readPassword(directory);
  }

  const password = Buffer.from(options.random.bytes(24)).toString('hex');
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  await giveTo(place.user, passwordFile);
  const unfinished = `${data}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await giveTo(place.user, unfinished);
  await runInitdb(place, unfinished, passwordFile, options.name === null);
  await rename(unfinished, data);
  return password;
}

async function readPassword(directory: string): Promise<string> {
  return (await readFile(join(directory, 'password'), 'utf8')).trim();
}

function connectionStringOf(password: string, port: number): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
}

async function runInitdb(
  place: EmbeddedPlace,
  data: string,
  passwordFile: string,
  isThrowAway: boolean,
): Promise<void> {
  const args = ['-D', data, '-U', 'postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  // The C collation: sorting is by code point, the same on every machine, whatever its locales.
  args.push('--encoding=UTF8', '--no-locale', '--no-instructions');
  if (isThrowAway) args.push('--no-sync');
  try {
    await run(join(place.nativeDirectory, 'bin/initdb'), args, {
      cwd: '/',
      env: serverEnvironment(),
      ...(place.user === null ? {} : { uid: place.user.uid, gid: place.user.gid }),
    });
  } catch (error) {
    throw new PermanentError('EMBEDDED_START_FAILED', 'initdb failed.', { data }, { cause: error });
  }
}

async function startOnPort(
  place: EmbeddedPlace,
  directory: string,
  options: EmbeddedPostgresOptions,
): Promise<Started> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port === 0 ? await findFreePort() : options.port;
    const server = await startServer(place, directory, port, options);
    if (await waitUntilReady(server, directory, options.clock)) return { server, port };

    const log = await readLogEnd(directory);
    const isPortTaken = log.includes('Address already in use');
    if (isPortTaken && options.port === 0 && attempt < PORT_ATTEMPTS_MAX) continue;
    throw isPortTaken
      ? new PermanentError('EMBEDDED_PORT_IN_USE', `Port ${port} of 127.0.0.1 is taken.`, { port })
      : new PermanentError('EMBEDDED_START_FAILED', `PostgreSQL did not start. The end of its log:\n${log}`, {
          directory,
        });
  }
}

async function startServer(
  place: EmbeddedPlace,
  directory: string,
  port: number,
  options: EmbeddedPostgresOptions,
): Promise<SupervisedServer> {
  const settings: Readonly<Record<string, string>> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    ...options.settings,
  };
  const args = ['-D', join(directory, 'data'), '-p', String(port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);

  // Each start begins a new log, so that it cannot grow for ever; the server's clients report their own errors.
  const log = await open(join(directory, 'log'), 'w', 0o600);
  try {
    return await superviseServer({
      command: join(place.nativeDirectory, 'bin/postgres'),
      args,
      user: place.user,
      logDescriptor: log.fd,
      removeWhenOrphaned: options.name === null ? directory : null,
    });
  } finally {
    await log.close();
  }
}

/** @returns false when the server ended instead. Past the deadline it is stopped, and that is false too. */
async function waitUntilReady(server: SupervisedServer, directory: string, clock: Clock): Promise<boolean> {
  const ended = new AbortController();
  const exited = server.exited.then(() => ended.abort());
  for (let waitedMs = 0; waitedMs < START_DEADLINE_MS && !ended.signal.aborted; waitedMs += POLL_MS) {
    if (await isReady(join(directory, 'data'))) return true;
    await clock.sleep(POLL_MS, ended.signal);
  }
  server.requestStop();
  await exited;
  return false;
}

async function readLogEnd(directory: string): Promise<string> {
  const lines = (await readFile(join(directory, 'log'), 'utf8')).trimEnd().split('\n');
  return lines.slice(-20).join('\n');
}

async function findFreePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new PermanentError('EMBEDDED_START_FAILED', 'The operating system named no port.'));
      });
    });
  });
}

/** Removes what throw-away servers left behind whose process and supervisor were both killed. */
async function sweepThrowAways(place: EmbeddedPlace, options: EmbeddedPostgresOptions): Promise<void> {
  if (!isLockReliable) return;
  for (const entry of await readdir(place.baseDirectory)) {
    if (!entry.startsWith(THROW_AWAY_PREFIX)) continue;
    const directory = join(place.baseDirectory, entry);
    const lock = await lockDirectory(directory);
    if (lock === null) continue;
    try {
      await endLeftover(join(directory, 'data'), options);
      await rm(directory, { recursive: true, force: true });
    } catch (error) {
      options.logger.warn('Could not remove an abandoned database folder.', { directory, error });
    } finally {
      await lock.release();
    }
  }
}
