/** A process that ingests and accepts offers until it is killed. It prints each failpoint it passes; KILL_AT=name:hit makes it strike itself there. */
import { writeSync } from 'node:fs';
import { createOfferSink } from '../../src/deposits/acceptance/offer-sink.ts';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { OFFER_RULES, registryAt, startAcceptance } from './acceptance.ts';
import { startIngestion } from './ingestion.ts';
import { noteStruck } from './struck.ts';

const { ingestion: settings, registries, ttlMs } = JSON.parse(process.env['ACCEPTANCE'] ?? '{}');
const [point, hit] = (process.env['KILL_AT'] ?? ':0').split(':');
let hits = 0;
const failpoint = async (name: FailpointName) => {
  writeSync(1, `${name}\n`);
  if (name !== point || ++hits !== Number(hit)) return;
  noteStruck(name);
  process.kill(process.pid, 'SIGKILL');
};

const logger = createSystemLogger('error');
const ingestion = await startIngestion({ ...settings, failpoint, sinks: [createOfferSink({ clock: systemClock })] });
for (const treasury of ingestion.treasuries) {
  startAcceptance({
    db: ingestion.db,
    treasury,
    ledgerUrl: settings.ledgerUrl,
    registry: registryAt(registries, logger),
    logger: createSystemLogger('silent'),
    rules: { ...OFFER_RULES, limits: { ...OFFER_RULES.limits, ttlMs }, triesMax: 100 },
    failpoint,
  });
}
await ingestion.ended;
