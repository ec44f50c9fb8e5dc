/**
 * A process that ingests and pays out until it is killed. It prints each failpoint it passes. KILL_AT=name:hit makes it strike itself there, STOP_AT=name:hit makes it stop itself (SIGSTOP), as a
 * frozen machine does, until somebody lets it go on.
 */
import { writeSync } from 'node:fs';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createRegistries, sourcesOf } from '../../src/scan/registries.ts';
import { createSelfTransferSink } from '../../src/withdrawals/pool/self-transfer-sink.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { startIngestion } from './ingestion.ts';
import { startPayouts } from './payouts.ts';
import { noteStruck } from './struck.ts';

const { ingestion: settings, registries, limits } = JSON.parse(process.env['PAYOUTS'] ?? '{}');
const strike = (variable: string, signal: NodeJS.Signals) => {
  const [point, hit] = (process.env[variable] ?? ':0').split(':');
  let hits = 0;
  return (name: FailpointName) => {
    if (name !== point || ++hits !== Number(hit)) return;
    if (signal === 'SIGKILL') noteStruck(name);
    process.kill(process.pid, signal);
  };
};
const killAt = strike('KILL_AT', 'SIGKILL');
const stopAt = strike('STOP_AT', 'SIGSTOP');
const failpoint = async (name: FailpointName) => {
  writeSync(1, `${name}\n`);
  killAt(name);
  stopAt(name);
};

const logger = createSystemLogger('error');
const ingestion = await startIngestion({
  ...settings,
  failpoint,
  sinks: [createWithdrawalSink({ clock: systemClock, logger }), createSelfTransferSink({ clock: systemClock })],
});
for (const treasury of ingestion.treasuries) {
  startPayouts({
    db: ingestion.db,
    treasury,
    ledgerUrl: settings.ledgerUrl,
    registry: createRegistries({
      clock: systemClock,
      random: systemRandom,
      logger,
      sourceOf: sourcesOf(registries),
      scan: null,
      validator: null,
      isPrivateAllowed: true,
      callsPerSecondMax: 1_000,
    }),
    logger: createSystemLogger('silent'),
    limits,
    failpoint,
  });
}
await ingestion.ended;
