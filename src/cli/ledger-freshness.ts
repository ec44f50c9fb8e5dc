/** How fresh what a command shows is: printed before the rest, since all of it is only as true as that. */
import type { Database } from '../db/connection.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { freshnessOf } from '../read/freshness.ts';
import { readIngestionStreams } from '../read/ingestion-streams.ts';
import type { CommandContext } from './command-context.ts';

/** @returns whether all of it is fresh. */
export async function printFreshness({ terminal, clock }: CommandContext, db: Database): Promise<boolean> {
  const streams = await readIngestionStreams(db);
  const now = clock.nowMicros();
  let isFresh = true;
  for (const stream of streams) {
    const { state, recordTime, ageMs } = freshnessOf({ ...stream, now });
    isFresh &&= state === 'IDLE';
    const age = ageMs === null ? 'nothing was received yet' : `${(ageMs / 1_000).toFixed(1)} s old`;
    const until = recordTime === null ? '' : `, up to ${formatRecordTime(recordTime)}`;
    terminal.print(`${stream.treasury.name}: ${state}, ${age}${until}`);
    // Half of it is what a participant said, whose text must not be able to move the cursor or to turn the text around.
    if (state === 'HALTED' && stream.statusReason !== null)
      terminal.print(`  ${stream.statusReason.replaceAll(/\p{C}/gu, '\ufffd')}; docs/runbooks/halted-stream.md`);
  }
  if (streams.length === 0) terminal.print('no treasury is served here');
  return isFresh;
}
