/**
 * Keeps a worker of the simulation and the server processes of its sessions on one processor. One of them always waits for the other, so nothing is lost; and a statement that need not wake up a processor that sleeps costs
 * half as much. Without `taskset` (Linux), or where the processor is not ours to choose, they run wherever the system puts them.
 */
import { execFileSync } from 'node:child_process';

export type OneProcessor = {
  /** @param pids of this machine. Those that were put there before are not asked for again. */
  keep(pids: readonly number[]): void;
};

/** @param processor from 0; null: nothing is kept anywhere. */
export function oneProcessor(processor: number | null): OneProcessor {
  const kept = new Set<number>();
  let isOurs = processor !== null && process.platform === 'linux';
  return {
    keep: (pids) => {
      for (const pid of pids) {
        if (!isOurs || kept.has(pid)) continue;
        kept.add(pid);
        isOurs = put(pid, processor ?? 0);
      }
    },
  };
}

function put(pid: number, processor: number): boolean {
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(processor), String(pid)], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false; // It only takes longer.
  }
}
