/** What `rebuild` and `reparse` have in common: all stored updates into the second schema, with progress in the terminal. */
import type { Database } from '../db/connection.ts';
import { microsToMillis } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { createSecondSchema, derivePage, type SecondHistory, startHistory } from '../ingestion/second-schema.ts';
import type { CommandContext } from './command-context.ts';

const SHOWN_EVERY_MS = 5_000;

/**
 * @returns how far each treasury was derived: to the end, as it was then.
 * @throws as derivePage does; RetryableError STOPPED when `signal` aborts. The tables in use are as they were.
 */
export async function deriveAgain(
  { clock, random, terminal }: CommandContext,
  db: Database,
  treasuries: readonly Treasury[],
  signal: AbortSignal,
): Promise<readonly SecondHistory[]> {
  const runId = random.uuid();
  await createSecondSchema(db, runId);
  const histories: SecondHistory[] = [];
  for (const treasury of treasuries) {
    const history = startHistory(runId, treasury);
    const { count } = await db
      .selectFrom('ledger_update')
      .select((row) => row.fn.countAll<bigint>().as('count'))
      .where('treasury_id', '=', treasury.id)
      .executeTakeFirstOrThrow();
    const startedAt = clock.nowMicros();
    let shownAt = startedAt;
    while (await db.transaction().execute((tx) => derivePage(tx, history))) {
      if (signal.aborted) throw new RetryableError('STOPPED', 'Stopped; the tables in use are as they were.');
      const now = clock.nowMicros();
      if (microsToMillis(now - shownAt) < SHOWN_EVERY_MS) continue;
      shownAt = now;
      const perSecond = Math.round((history.updatesRead * 1_000) / microsToMillis(now - startedAt));
      const left = Math.max(0, Number(count) - history.updatesRead);
      terminal.print(
        `${treasury.network} ${treasury.name}: ${history.updatesRead} of ${count} updates, ${perSecond}/s, about ${Math.ceil(left / Math.max(1, perSecond))} s left`,
      );
    }
    terminal.print(`${treasury.network} ${treasury.name}: ${history.updatesRead} updates derived again`);
    histories.push(history);
  }
  return histories;
}
