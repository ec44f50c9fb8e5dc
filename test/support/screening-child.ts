/** The screening loop as a process of its own, which kills itself at the failpoint KILL_AT; without it runs until it is stopped. */
import { createDatabase } from '../../src/db/connection.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createScreeningClient } from '../../src/deposits/screening-client.ts';
import { runScreening } from '../../src/deposits/screening-loop.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { noteStruck } from './struck.ts';

const { DATABASE_URL: connectionString = '', SCREENING_URL: url = '', SECRET = '', KILL_AT } = process.env;
const logger = createSystemLogger('error');
const { db } = createDatabase({ connectionString, applicationName: 'test-screening', poolSizeMax: 2, logger });
await runScreening({
  db,
  kind: depositScreening(null),
  client: createScreeningClient({ url, secret: Buffer.from(SECRET, 'hex'), fetch, clock: systemClock }),
  limits: { triesMax: 50, delayMsMin: 50, delayMsMax: 200, pendingDelayMs: 200, holdMs: 200 },
  clock: systemClock,
  random: systemRandom,
  logger,
  failpoint: async (name) => {
    if (name !== KILL_AT) return;
    noteStruck(name);
    process.kill(process.pid, 'SIGKILL');
  },
  wakeUp: createWakeUp(systemClock),
  signal: new AbortController().signal,
});
