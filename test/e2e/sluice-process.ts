/** Sluice as a person starts it: `node src/main.ts …` in a process of its own, with nothing but the given environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { resolve } from 'node:path';
import { systemClock } from '../../src/env/system.ts';
import { COMPILE_CACHE } from '../support/compile-cache.ts';

export const PROJECT = resolve(import.meta.dirname, '../..');

export type SluiceProcess = {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything written so far. */
  stdout(): string;
  stderr(): string;
  /**
   * Waits until standard output matches.
   *
   * @throws when the process ends first or the deadline (default 40 s) passes; with all it wrote.
   */
  waitFor(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  /** Settles when it has ended. */
  readonly exited: Promise<Exit>;
  /** Sends the signal and waits for the end; after 15 s the process is killed and this throws. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** @param environment the variables beside PATH, HOME and the compile cache; nothing of the test's own environment reaches the process. */
export function startSluice(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): SluiceProcess {
  return startProcess(process.execPath, ['src/main.ts', ...args], environment);
}

export function startProcess(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): SluiceProcess {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(command, args, {
    cwd: PROJECT,
    env: { PATH, HOME, ...COMPILE_CACHE, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own, as a shell gives it, so that a test can interrupt the whole group.
    detached: true,
  });
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  let ended: Exit | null = null;
  const exited = new Promise<Exit>((settle, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      ended = { code, signal };
      settle(ended);
    });
  });
  const said = (): string => `--- stdout\n${out}\n--- stderr\n${err}`;

  return {
    child,
    pid: child.pid ?? 0,
    stdout: () => out,
    stderr: () => err,
    exited,
    waitFor: async (pattern, deadlineMs = 40_000) => {
      const deadline = systemClock.nowMicros() + BigInt(deadlineMs) * 1_000n;
      for (;;) {
        const match = pattern.exec(out);
        if (match !== null) return match;
        if (ended !== null)
          throw new Error(`It ended (${JSON.stringify(ended)}) and had not printed ${pattern}.\n${said()}`);
        if (systemClock.nowMicros() > deadline) throw new Error(`${pattern} was not printed in time.\n${said()}`);
        await systemClock.sleep(20);
      }
    },
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const killed = new AbortController();
      const deadline = systemClock.sleep(15_000, killed.signal).then(() => {
        if (killed.signal.aborted) return;
        child.kill('SIGKILL');
        throw new Error(`It did not stop within 15 s.\n${said()}`);
      });
      try {
        await Promise.race([exited, deadline]);
        return await exited;
      } finally {
        killed.abort();
      }
    },
  };
}

/** Whether somebody listens there. */
export async function isPortOpen(port: number): Promise<boolean> {
  return await new Promise((settle) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      settle(true);
    });
    socket.once('error', () => settle(false));
  });
}

export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
