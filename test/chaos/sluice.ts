/** Processes of `sluice serve`, each started anew whenever it ends, as a service manager does it; and what can be done to them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { systemClock } from '../../src/env/system.ts';
import { PROJECT } from '../e2e/sluice-process.ts';
import { COMPILE_CACHE } from '../support/compile-cache.ts';
import { type Order, takeBack } from './orders.ts';

export type Sluice = {
  readonly name: string;
  /** Of the API; null while it starts. */
  port(): number | null;
  pid(): number | null;
  /** Resolves when it serves. @throws when it does not within the deadline, with what it said. */
  serving(): Promise<void>;
  /** From now on, at the n-th passing of any of these points, it sends itself the signal, once. Forgotten with the process. */
  arm(order: Order): void;
  /**
   * Takes the order back. Resolves when the process has said so or is gone: before that it may still strike itself, with nobody left who would know of it. Wakes it where it stands still, since a sleeper hears nothing.
   */
  disarm(): Promise<void>;
  /** Points at which it struck itself since the last call. */
  takeStruck(): readonly string[];
  /** @returns whether there was a process to send it to. */
  signal(signal: NodeJS.Signals): boolean;
  isStopped(): boolean;
  /** How often it was started. */
  starts(): number;
  /** Ends that nobody asked for and that no restart mends. */
  readonly faults: readonly string[];
  /** Resident bytes and open descriptors; null while there is no process, or none of Linux. */
  usage(): { readonly bytes: number; readonly descriptors: number } | null;
  stop(): Promise<void>;
};

const RESTART_MS = 50;
const START_DEADLINE_MS = 300_000; // A start takes a second; on a machine that others use too it has taken minutes.
const SAID_MAX = 20_000;

export function keepSluice(name: string, environment: Readonly<Record<string, string>>): Sluice {
  let child: ChildProcess | null = null;
  let port: number | null = null;
  let starts = 0;
  let isOver = false;
  let said = '';
  let struck: string[] = [];
  let armed: ChildProcess | null = null;
  /** Of the last order. */
  let deadly = false;
  const faults: string[] = [];
  const over = Promise.withResolvers<void>();

  function start(): ChildProcess {
    const { PATH = '', HOME = '' } = process.env;
    const started = spawn(process.execPath, ['--import', './test/chaos/armed-failpoints.ts', 'src/main.ts', 'serve'], {
      cwd: PROJECT,
      env: { PATH, HOME, NO_COLOR: '1', ...COMPILE_CACHE, ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    starts += 1;
    const hear = (text: string): void => {
      said = `${said}${text}`.slice(-SAID_MAX);
    };
    started.stdout?.setEncoding('utf8').on('data', (text: string) => {
      hear(text);
      const [, found] = /^Sluice serves http:\S+:(\d+)\/graphql$/m.exec(text) ?? [];
      if (found !== undefined) port = Number(found);
      for (const [, point = ''] of text.matchAll(/^struck (\S+)$/gm)) {
        struck.push(point);
        if (deadly) port = null;
      }
    });
    started.stderr?.setEncoding('utf8').on('data', hear);
    started.on('error', (error) => hear(`${error}`));
    return started;
  }

  async function run(): Promise<void> {
    while (!isOver) {
      child = start();
      const running = child;
      const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
        running.once('close', (...end) => resolve(end)),
      );
      child = null;
      port = null;
      // 75 asks to be started again, as after a kill.
      if (!isOver && signal === null && code !== EXIT_CODES.retry.code)
        faults.push(`${name} ended with ${code}: ${said.slice(-2_000)}`);
      if (!isOver) await systemClock.sleep(RESTART_MS);
    }
    over.resolve();
  }
  void run();

  return {
    name,
    port: () => port,
    pid: () => child?.pid ?? null,
    starts: () => starts,
    faults,
    serving: async () => {
      const deadline = systemClock.nowMicros() + BigInt(START_DEADLINE_MS) * 1_000n;
      while (port === null) {
        if (systemClock.nowMicros() > deadline) throw new Error(`${name} does not serve:\n${said}`);
        await systemClock.sleep(20);
      }
    },
    arm: (order) => {
      if (child?.connected !== true) return;
      armed = child;
      deadly = order.signal === 'SIGKILL';
      child.send(order, () => undefined);
    },
    disarm: async () => {
      const asked = armed;
      armed = null;
      if (asked === null || asked !== child || !asked.connected) return;
      await takeBack(asked);
    },
    takeStruck: () => {
      const taken = struck;
      struck = [];
      return taken;
    },
    signal: (signal) => {
      const isSent = child?.kill(signal) ?? false;
      if (isSent && signal === 'SIGKILL') port = null; // It is as good as gone, and nobody is to strike it once more.
      return isSent;
    },
    isStopped: () => {
      const status = readOf(child?.pid, 'stat');
      return / T /.test(status.replace(/\(.*\)/, ''));
    },
    usage: () => {
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readOf(child?.pid, 'status'))?.[1];
      const folder = `/proc/${child?.pid}/fd`;
      if (kilobytes === undefined || !existsSync(folder)) return null;
      return { bytes: Number(kilobytes) * 1_024, descriptors: readdirSync(folder).length };
    },
    stop: async () => {
      isOver = true;
      child?.kill('SIGKILL');
      await over.promise;
    },
  };
}

function readOf(pid: number | undefined, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // It has just ended.
  }
}
