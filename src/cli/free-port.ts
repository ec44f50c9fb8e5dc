/** Finding a port that nobody listens on. Between the answer and its use somebody may take it; whoever listens still has to say so. */
import { createServer } from 'node:net';
import { PermanentError } from '../env/errors.ts';

const ATTEMPTS_MAX = 50;

/** @returns `first`, or the next one above that is free; 0 stays 0, which the system decides. @throws PermanentError PORT_IN_USE. */
export async function findFreePort(host: string, first: number): Promise<number> {
  if (first === 0) return 0;
  for (let port = first; port < first + ATTEMPTS_MAX && port <= 65_535; port++) {
    if (await isFree(host, port)) return port;
  }
  throw new PermanentError('PORT_IN_USE', `Ports ${first} to ${first + ATTEMPTS_MAX - 1} of ${host} are taken.`, {
    first,
  });
}

/** @throws PermanentError PORT_IN_USE. 0 is always free. */
export async function requireFreePort(host: string, port: number): Promise<void> {
  if (port !== 0 && !(await isFree(host, port))) {
    throw new PermanentError('PORT_IN_USE', `Port ${port} of ${host} is taken by another program.`, { host, port });
  }
}

async function isFree(host: string, port: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => {
      const isTaken = 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES');
      if (isTaken) resolve(false);
      else reject(error);
    });
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}
