/**
 * `sluice serve` as a process, from the same environment variables, that stops itself at a named point: when the file STOP_FILE appears it takes it away and, the next time it
 * passes the failpoint STOP_AT, sends itself SIGSTOP; or, where BLOCK_MS is set, comes to nothing else for so long, as in a runaway loop. At SIGUSR2 it collects its garbage and prints
 * what it still holds: `held <how often it was asked> <bytes>`.
 */
import { existsSync, unlinkSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(BLOCK_MS));
    },
  },
});
// With the flag on the command line nothing that was compiled without it could be used: each start would compile all of Sluice.
setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
let asked = 0;
process.on('SIGUSR2', () => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  asked += 1;
  process.stdout.write(`held ${asked} ${heapUsed + external}\n`);
});
process.stdout.write(`ready ${service.url}\n`);
const error = await service.failed;
await service.stop();
throw error;
