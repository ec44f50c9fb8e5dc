/** What a process with `armed-failpoints.ts` is told, over its channel. */
import type { ChildProcess } from 'node:child_process';
import type { FailpointName } from '../../src/env/failpoint.ts';

export type Order = {
  readonly points: readonly FailpointName[];
  readonly hit: number;
  readonly signal: NodeJS.Signals;
};

const WAKE_MS = 20;

/**
 * Takes an order back. Resolves when the process has said so or is gone: before that it may still strike itself. Woken up, it may come to its point before it reads that it is not to stop there any more, and then it would
 * stand still for ever; so it is woken until it has answered.
 */
export async function takeBack(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    const waking = setInterval(() => child.kill('SIGCONT'), WAKE_MS);
    const done = (): void => {
      clearInterval(waking);
      child.off('message', done).off('close', done); // A process lives through many orders.
      resolve();
    };
    child.once('message', done).once('close', done);
    child.send(null as never, () => undefined);
  });
}
