/** What a person is told of a schedule. */
import type { Report } from './schedule.ts';

const TAIL_LINES = 60;

/** What a schedule was run with, beside its seed. */
export type How = { readonly on?: Iterable<string>; readonly off?: Iterable<string>; readonly mutant?: string };

/** The command that runs a schedule again. */
export function replayOf(seed: number, { on = [], off = [], mutant = '' }: How): string {
  const flag = (name: string, values: readonly string[]): string =>
    values.length === 0 ? '' : ` --${name} ${values.join(',')}`;
  const flags = [flag('on', [...on]), flag('off', [...off]), flag('mutant', mutant === '' ? [] : [mutant])].join('');
  return `node test/simulation/run.ts --seed ${seed}${flags} --trace`;
}

/** A failure: what was violated, where, what came before, and how to see it again. */
export function explain(report: Report, how: How): string {
  const { seed, violation, steps, virtualMs, description, trace } = report;
  return [
    `Seed ${seed}, step ${steps}, ${virtualMs} ms: ${violation?.message ?? 'no violation'}`,
    `  drawn: ${description}`,
    ...trace.slice(-TAIL_LINES).map((line) => `  ${line}`),
    `  again: ${replayOf(seed, how)}`,
  ].join('\n');
}

/** All that is kept of a schedule that went well. */
export function replayed(report: Report): string {
  const { seed, steps, calmAt, troubleAt, restAt, virtualMs, updates, traceHash, logHash, description, trace } = report;
  return [
    ...trace,
    `Seed ${seed}: ${steps} steps, trouble at ${troubleAt}, calm at ${calmAt}, rest at ${restAt}, ${virtualMs} ms, ${updates} updates; ${description}`,
    `trace ${traceHash}, log ${logHash}`,
  ].join('\n');
}
