/**
 * `sluice serve` as a process, from the same environment variables, that stops itself at a named point: when the file STOP_FILE appears it takes it away and, the next time it
 * passes the failpoint STOP_AT, sends itself SIGSTOP; or, where BLOCK_MS is set, does nothing but count for so long, as a runaway loop would. At SIGUSR2 it collects its garbage (`--expose-gc`) and prints
 * what it still holds: `held <how often it was asked> <bytes>`.
 */
import { existsSync, unlinkSync } from 'node:fs';
import { startService } from '../../src/cli/service.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';

const { STOP_AT, STOP_FILE = '', BLOCK_MS, ...environment } = process.env;
const { databaseUrl, ...config } = loadConfig(environment);

const service = await startService({
  config,
  connectionString: databaseUrl?.reveal() ?? '',
  env: {
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger(config.logLevel),
    failpoint: async (name) => {
      if (name !== STOP_AT || !existsSync(STOP_FILE)) return;
      unlinkSync(STOP_FILE);
      if (BLOCK_MS === undefined) process.kill(process.pid, 'SIGSTOP');
      else for (const until = performance.now() + Number(BLOCK_MS); performance.now() < until; );
    },
  },
});
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
let asked = 0;
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  asked += 1;
  process.stdout.write(`held ${asked} ${heapUsed + external}\n`);
});
process.stdout.write(`ready ${service.url}\n`);
const error = await service.failed;
await service.stop();
throw error;
