/** Runs all benchmarks, or the one named on the command line. Each measures us and a limit in the same run and prints the ratio. */
import { benchIngest } from './ingest.ts';

const benchmarks: Readonly<Record<string, () => Promise<void>>> = { ingest: benchIngest };
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => benchmarks[name] === undefined);
if (unknown.length > 0) {
  console.error(`No such benchmark: ${unknown.join(', ')}. There are: ${Object.keys(benchmarks).join(', ')}.`);
  process.exitCode = 2;
} else {
  for (const [name, run] of Object.entries(benchmarks)) if (wanted.length === 0 || wanted.includes(name)) await run();
}
