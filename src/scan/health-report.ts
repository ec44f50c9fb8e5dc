/** Writes down what this process knows of the servers it asks: processes that serve the API have none of it in their own memory. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { InstanceHealth } from './instance.ts';

const REPORT_MS = 5_000;
/** A process that has not reported for so long is gone, or says nothing that is worth showing. */
export const REPORT_AGE_MS_MAX = 60_000;

/** Runs until `signal` aborts. @param process one per start of a process. @throws as {@link runPollingLoop} does. */
export async function runHealthReport(options: {
  readonly db: Database;
  readonly process: string;
  readonly health: () => readonly InstanceHealth[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { db, process, health, clock } = options;
  await runPollingLoop({
    ...options,
    name: 'registry health',
    pass: async () => {
      await reportHealth(db, process, health(), clock.nowMicros());
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: REPORT_MS,
  });
}

/** Two statements: what `process` reported before is replaced, what others reported long ago is forgotten. */
export async function reportHealth(
  db: Database,
  process: string,
  health: readonly InstanceHealth[],
  nowMicros: Micros,
): Promise<void> {
  await sql`DELETE FROM registry_instance WHERE reported_at < ${nowMicros - millisToMicros(REPORT_AGE_MS_MAX)}`.execute(
    db,
  );
  // One server may be known twice, with and without our token: the one that fares worse is shown.
  const byUrl = new Map<string, InstanceHealth>();
  for (const each of health) {
    const known = byUrl.get(each.url);
    if (known === undefined || known.failed < each.failed) byUrl.set(each.url, each);
  }
  if (byUrl.size === 0) return;
  const rows = [...byUrl.values()].map((each) => ({
    process,
    url: each.url,
    state: each.state,
    asked: each.asked,
    answered: each.answered,
    failed: each.failed,
    spared: each.spared,
    dissented: each.dissented,
    rests_until: each.restsUntil,
    last_answer_at: each.lastAnswerAt,
    last_failure_at: each.lastFailure?.at ?? null,
    last_failure: each.lastFailure?.code ?? null,
    last_dissent_at: each.lastDissent?.at ?? null,
    last_dissent: each.lastDissent?.question ?? null,
    reported_at: nowMicros,
  }));
  await db
    .insertInto('registry_instance')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['url', 'process']).doUpdateSet((row) => ({
        state: row.ref('excluded.state'),
        asked: row.ref('excluded.asked'),
        answered: row.ref('excluded.answered'),
        failed: row.ref('excluded.failed'),
        spared: row.ref('excluded.spared'),
        dissented: row.ref('excluded.dissented'),
        rests_until: row.ref('excluded.rests_until'),
        last_answer_at: row.ref('excluded.last_answer_at'),
        last_failure_at: row.ref('excluded.last_failure_at'),
        last_failure: row.ref('excluded.last_failure'),
        last_dissent_at: row.ref('excluded.last_dissent_at'),
        last_dissent: row.ref('excluded.last_dissent'),
        reported_at: row.ref('excluded.reported_at'),
      })),
    )
    .execute();
}
