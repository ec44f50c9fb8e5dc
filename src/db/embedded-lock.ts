/**
 * One process per embedded server. The lock is a socket in Linux's abstract namespace: the kernel gives it up with the process, so there
 * is nothing stale to clean up after a SIGKILL. Elsewhere PostgreSQL's own `postmaster.pid` has to do.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';

/** Whether holding the lock proves that nobody else works on the directory. */
export const isLockReliable = process.platform === 'linux';

export type DirectoryLock = { release(): Promise<void> };

/** @returns null when another process (or another server of this one) holds `directory`. */
export async function lockDirectory(directory: string): Promise<DirectoryLock | null> {
  if (!isLockReliable) return { release: async () => undefined };

  const name = createHash('sha256').update(directory).digest('hex').slice(0, 40);
  const server = createServer((socket) => socket.destroy());
  const isHeld = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(`\0sluice-${name}`, () => resolve(true));
  });
  if (!isHeld) return null;
  server.unref();
  return {
    release: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
