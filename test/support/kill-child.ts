/**
 * A process that follows a stream, or rebuilds, until it is killed. It writes the name of every failpoint it passes to standard output before going on; told to
 * (KILL_AT=name:hit), it strikes itself at exactly that point.
 */
import { writeSync } from 'node:fs';
import { switchOver } from '../../src/books/switch-over.ts';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createDatabase } from '../../src/db/connection.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { createSecondSchema, derivePage, startHistory } from '../../src/ingestion/second-schema.ts';
import { startIngestion } from './ingestion.ts';
import { noteStruck } from './struck.ts';

/** What a test asks of the child, as JSON in the variable KILL_CHILD. */
export type KillChildTask =
  | {
      readonly kind: 'follow';
      readonly ingestion: Omit<Parameters<typeof startIngestion>[0], 'opening'>;
      /** Microseconds as text. */
      readonly openingAt: string | null;
    }
  | {
      readonly kind: 'rebuild';
      readonly connectionString: string;
      readonly treasury: Treasury;
    };

const task: KillChildTask = JSON.parse(process.env['KILL_CHILD'] ?? '');
const [killAt, killHit] = (process.env['KILL_AT'] ?? ':0').split(':');
let hits = 0;

const failpoint = async (name: FailpointName) => {
  writeSync(1, `${name}\n`);
  if (name !== killAt || ++hits !== Number(killHit)) return;
  noteStruck(name);
  process.kill(process.pid, 'SIGKILL');
};

if (task.kind === 'follow') {
  const ingestion = await startIngestion({
    ...task.ingestion,
    opening: { at: task.openingAt === null ? null : BigInt(task.openingAt) },
    failpoint,
  });
  await ingestion.ended;
} else {
  const logger = createSystemLogger('silent');
  const { db } = createDatabase({
    connectionString: task.connectionString,
    applicationName: 'test-rebuild',
    poolSizeMax: 1,
    logger,
  });
  const { treasury } = task;
  const sinks = [createDepositSink({ clock: systemClock }), createTreasurySink()];
  // Again and again, so that a blow at any moment falls into one.
  for (;;) {
    const runId = systemRandom.uuid();
    await createSecondSchema(db, runId);
    const history = startHistory(runId, treasury);
    while (await db.transaction().execute((tx) => derivePage(tx, history))) await failpoint('rebuild.afterPage');
    await failpoint('rebuild.beforeSwitch');
    await switchOver({ db, histories: [history], sinks, by: 'test', clock: systemClock, failpoint });
  }
}
