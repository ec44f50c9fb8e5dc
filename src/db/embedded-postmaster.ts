/** What `postmaster.pid` in a data directory tells about the server that runs, or ran, on it. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';

const POLL_MS = 50;
const SUPERVISOR_GRACE_MS = 4_000; // A supervisor whose process died ends its server within 3 s (embedded-supervisor.ts).
const SIGNAL_GRACE_MS = 5_000;

type Postmaster = { readonly pid: number; readonly port: number; readonly status: string };

/** @returns true once the server accepts connections. */
export async function isReady(dataDirectory: string): Promise<boolean> {
  return (await readReadyPort(dataDirectory)) !== null;
}

/**
 * @returns where the server accepts connections; null: not yet, or there is none.
 * @see PostgreSQL, src/include/utils/pidfile.h: line 1 is the pid, line 4 the port, line 8 the status, padded with blanks.
 */
export async function readReadyPort(dataDirectory: string): Promise<number | null> {
  const postmaster = await readPostmaster(dataDirectory);
  return postmaster?.status === 'ready' ? postmaster.port : null;
}

/**
 * Ends a server that was left over on `dataDirectory` by a process that is gone; the caller holds the directory's lock. Its supervisor
 * normally does so at once, so this mostly waits; a server whose supervisor was killed as well is sent the signals from here.
 */
export async function endLeftover(
  dataDirectory: string,
  env: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  const postmaster = await readPostmaster(dataDirectory);
  if (postmaster === null) return;
  const { pid } = postmaster;

  if (await waitUntilGone(pid, dataDirectory, SUPERVISOR_GRACE_MS, env.clock)) {
    // The number of a dead server may belong to another process by now, which PostgreSQL would take for a running server.
    await rm(join(dataDirectory, 'postmaster.pid'), { force: true });
    return;
  }
  env.logger.warn('Stopping an abandoned embedded PostgreSQL.', { pid, dataDirectory });
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    process.kill(pid, signal);
    if (await waitUntilGone(pid, dataDirectory, SIGNAL_GRACE_MS, env.clock)) return;
  }
}

async function readPostmaster(dataDirectory: string): Promise<Postmaster | null> {
  try {
    const lines = (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
    const pid = Number(lines[0]);
    return Number.isInteger(pid) && pid > 0 ? { pid, port: Number(lines[3]), status: (lines[7] ?? '').trim() } : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

async function waitUntilGone(pid: number, dataDirectory: string, deadlineMs: number, clock: Clock): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < deadlineMs; waitedMs += POLL_MS) {
    if (!(await isServerOf(pid, dataDirectory))) return true;
    await clock.sleep(POLL_MS);
  }
  return false;
}

/** True when process `pid` is a PostgreSQL on this very directory. Without `/proc` nobody can tell, and PostgreSQL itself decides. */
async function isServerOf(pid: number, dataDirectory: string): Promise<boolean> {
  try {
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    return args.includes(dataDirectory);
  } catch (error) {
    // ESRCH: it ended while we were reading.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return false;
    throw error;
  }
}
