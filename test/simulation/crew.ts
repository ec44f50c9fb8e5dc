/** Processes that run schedules side by side, each on a database of its own: one schedule waits for its database most of the time, and a machine has several cores. */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type SeedOrder = {
  readonly seed: number;
  /** Classes of faults that are on, or off, whatever the seed says. */
  readonly on: readonly string[];
  readonly off: readonly string[];
  /** Whether the whole trace is wanted. */
  readonly isTraced: boolean;
};

export type SeedResult = {
  readonly seed: number;
  readonly steps: number;
  readonly traceHash: string;
  readonly logHash: string;
  readonly violation: { readonly invariant: string; readonly explanation: string } | null;
  readonly marks: readonly (readonly [mark: string, times: number])[];
  readonly trace: string | null;
};

export type Crew = {
  /** Runs all, as many at once as there are databases; `onResult` may end it early by answering false. Results come in the order in which they are ready. */
  run(orders: Iterable<SeedOrder>, onResult: (result: SeedResult) => boolean): Promise<void>;
  close(): Promise<void>;
};

const PROGRAM = fileURLToPath(new URL('seed-worker.ts', import.meta.url));
/** What the modules are compiled to: each of many processes would compile them again. */
const COMPILED = join(tmpdir(), 'sluice-simulation-compiled');

/**
 * For who runs thousands of schedules. One leaves much behind and little of it lives: with more room (in MiB) it is collected when it is dead. And what was compiled is kept: a function that no schedule needed for a while is needed by
 * the next one. Together a quarter more schedules in the same time.
 */
const V8_OPTIONS = ['--max-semi-space-size=64', '--no-flush-bytecode'];

/**
 * @param options.mutant the mistake that the product is to have; none without.
 * @param options.isAlone nothing else of weight runs on this machine: each process gets a processor of its own (one-processor.ts).
 */
export async function openCrew(
  connectionStrings: readonly string[],
  { mutant = '', isAlone = false }: { readonly mutant?: string; readonly isAlone?: boolean } = {},
): Promise<Crew> {
  const processors = isAlone ? availableParallelism() : 0;
  const workers = await Promise.all(
    connectionStrings.map(async (url, at) => await startWorker(url, mutant, at < processors ? String(at) : '')),
  );
  return {
    run: async (orders, onResult) => {
      const queue = orders[Symbol.iterator]();
      let isOver = false;
      const work = async (worker: Worker): Promise<void> => {
        while (!isOver) {
          const next = queue.next();
          if (next.done === true) return;
          const result = await worker.run(next.value);
          if (!isOver && !onResult(result)) isOver = true;
        }
      };
      await Promise.all(workers.map(work));
    },
    close: async () => {
      await Promise.all(workers.map(async (worker) => await worker.close()));
    },
  };
}

type Worker = { run(order: SeedOrder): Promise<SeedResult>; close(): Promise<void> };

async function startWorker(connectionString: string, mutant: string, processor: string): Promise<Worker> {
  const child = fork(PROGRAM, {
    execArgv: V8_OPTIONS,
    env: {
      ...process.env,
      MUTANT: mutant,
      DATABASE: connectionString,
      PROCESSOR: processor,
      NODE_COMPILE_CACHE: COMPILED,
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const next = async (during: string): Promise<unknown> => await nextMessage(child, () => `${during}: ${complaints}`);
  const ready = await next('at its start');
  if (ready !== 'ready') throw new Error(`A worker began with ${JSON.stringify(ready)}.`);
  return {
    run: async (order) => {
      const answer = next(`at seed ${order.seed}`);
      child.send(order);
      return (await answer) as SeedResult;
    },
    close: async () => {
      if (child.connected) child.send('close');
      await ended;
    },
  };
}

/** @throws when the process ends instead, with what it said. */
async function nextMessage(child: ChildProcess, complaints: () => string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      child.off('close', onClose);
      resolve(message);
    };
    const onClose = (): void => {
      child.off('message', onMessage);
      reject(new Error(`A worker of the simulation ended ${complaints()}`));
    };
    child.once('message', onMessage);
    child.once('close', onClose);
  });
}
