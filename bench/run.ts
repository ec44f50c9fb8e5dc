/**
 * Runs all benchmarks, or the one named on the command line. Each measures us and a limit in the same run and prints the ratio.
 *
 *   npm run bench -- ingest [--rounds N] [--updates N]
 *   npm run bench -- backfill [--updates N]
 *   npm run bench -- api [--rounds N]
 *   npm run bench -- withdrawals [--rounds N] [--payments N] [--statements]
 */
import { parseArgs } from 'node:util';
import { benchApiFanOut } from './api-fan-out.ts';
import { benchApiHttp } from './api-http.ts';
import { benchApiLatency } from './api-latency.ts';
import { benchBackfill } from './backfill.ts';
import { benchIngest } from './ingest.ts';
import { benchWithdrawals } from './withdrawals.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    updates: { type: 'string' },
    payments: { type: 'string' },
    rounds: { type: 'string' },
    statements: { type: 'boolean' },
  },
});
const counts = {
  ...(values.updates === undefined ? {} : { updates: Number(values.updates) }),
  ...(values.payments === undefined ? {} : { payments: Number(values.payments) }),
  ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }),
  ...(values.statements === undefined ? {} : { statements: values.statements }),
};
const benchmarks: Readonly<Record<string, (options: typeof counts) => Promise<void>>> = {
  ingest: benchIngest,
  backfill: benchBackfill,
  withdrawals: benchWithdrawals,
  api: async (options) => {
    await benchApiHttp(options);
    await benchApiFanOut(options);
    await benchApiLatency();
  },
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
