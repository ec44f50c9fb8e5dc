/** Processor time, user and system, of processes beside ours, as Linux tells it in /proc: what a benchmark costs, also where others keep the machine busy. */
import { readdirSync, readFileSync } from 'node:fs';

/** Of one clock tick: USER_HZ is 100 on every platform that Node runs on. */
const TICK_MS = 10;

type Stat = { readonly parent: number; readonly ms: number; readonly childrenMs: number };

/** @returns milliseconds that `pid` has used since it began. @throws where there is no such process. */
export function processorMsOf(pid: number): number {
  return statOf(pid).ms;
}

/** Of a server that forks for every connection: itself, its living children, and those that it has waited for. */
export function processorMsOfFamily(pid: number): number {
  const own = statOf(pid);
  let sum = own.ms + own.childrenMs;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = statOf(Number(name));
      if (stat.parent === pid) sum += stat.ms + stat.childrenMs;
    } catch {
      // It ended while we looked; its parent tells of it next time.
    }
  }
  return sum;
}

export function parentOf(pid: number): number {
  return statOf(pid).parent;
}

/** @see proc_pid_stat(5): fields are counted behind the name, which may contain blanks and brackets itself. */
function statOf(pid: number): Stat {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent = 0, user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = [1, 11, 12, 13, 14].map((index) =>
    Number(fields[index]),
  );
  return { parent, ms: (user + system) * TICK_MS, childrenMs: (childrenUser + childrenSystem) * TICK_MS };
}
