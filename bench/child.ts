/** A process beside the benchmark that says once that it is ready. */
import { fork } from 'node:child_process';
import { once } from 'node:events';

export type Child<Ready> = {
  readonly ready: Ready;
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly exited: Promise<unknown>;
  send(message: string): void;
  /** Messages after the first. */
  onMessage(listener: (message: unknown) => void): void;
  stop(): Promise<void>;
};

/** @param options handed over as JSON, the first argument. @throws when it ends before it is ready. */
export async function startChild<Ready>(script: string, options: unknown): Promise<Child<Ready>> {
  const child = fork(script, [JSON.stringify(options)]);
  const exited = once(child, 'exit');
  const ready = await Promise.race([
    once(child, 'message').then(([message]: Ready[]) => message),
    exited.then(() => undefined),
  ]);
  if (ready === undefined) throw new Error(`${script} ended before it was ready.`);
  if (child.pid === undefined) throw new Error(`${script} has no process.`);
  return {
    ready,
    pid: child.pid,
    exited,
    send: (message) => void child.send(message),
    onMessage: (listener) => void child.on('message', listener),
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
