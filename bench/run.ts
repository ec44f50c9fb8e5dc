/**
 * Runs all benchmarks, or the one named on the command line. Each measures us and a limit in the same run and prints the ratio.
 *
 *   npm run bench -- ingest [--rounds N] [--updates N]
 *   npm run bench -- backfill [--updates N]
 */
import { parseArgs } from 'node:util';
import { benchBackfill } from './backfill.ts';
import { benchIngest } from './ingest.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { updates: { type: 'string' }, rounds: { type: 'string' } },
});
const counts = {
  ...(values.updates === undefined ? {} : { updates: Number(values.updates) }),
  ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }),
};
const benchmarks: Readonly<Record<string, (options: typeof counts) => Promise<void>>> = {
  ingest: benchIngest,
  backfill: benchBackfill,
};
const unknown = positionals.filter((name) => benchmarks[name] === undefined);
if (unknown.length > 0) {
  console.error(`No such benchmark: ${unknown.join(', ')}. There are: ${Object.keys(benchmarks).join(', ')}.`);
  process.exitCode = 2;
} else {
  for (const [name, run] of Object.entries(benchmarks)) {
    if (positionals.length === 0 || positionals.includes(name)) await run(counts);
  }
}
