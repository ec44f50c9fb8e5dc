/**
 * A process that follows a stream, or rebuilds, until it is killed. It writes the name of every failpoint it passes to standard output before going on; told to
 * (KILL_AT=name:hit), it strikes itself at exactly that point.
 */
import { writeSync } from 'node:fs';
import { createDatabase } from '../../src/db/connection.ts';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { startIngestion } from './ingestion.ts';

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
      readonly treasury: Parameters<typeof compareWithRebuild>[1];
    };

const task: KillChildTask = JSON.parse(process.env['KILL_CHILD'] ?? '');
const [killAt, killHit] = (process.env['KILL_AT'] ?? ':0').split(':');
let hits = 0;

const failpoint = async (name: FailpointName) => {
  writeSync(1, `${name}\n`);
  if (name === killAt && ++hits === Number(killHit)) process.kill(process.pid, 'SIGKILL');
};

if (task.kind === 'follow') {
  const ingestion = await startIngestion({
    ...task.ingestion,
    opening: { at: task.openingAt === null ? null : BigInt(task.openingAt) },
    failpoint,
  });
  await ingestion.ended;
} else {
  const { db } = createDatabase({
    connectionString: task.connectionString,
    applicationName: 'test-rebuild',
    poolSizeMax: 1,
    logger: createSystemLogger('silent'),
  });
  // Again and again, so that a blow at any moment falls into one.
  for (;;) {
    writeSync(1, 'rebuild\n');
    await compareWithRebuild(db, task.treasury);
  }
}
