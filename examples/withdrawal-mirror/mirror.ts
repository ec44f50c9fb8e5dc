/**
 * Mirrors what became of every withdrawal into a table of its own, each outcome exactly once.
 *
 * Sluice delivers at least once and in order, with a cursor on every item. What makes "once" of it is here: the row and the cursor are written in one transaction. After any crash the table
 * says itself up to where it is complete, and what comes again meets its row.
 */
import { DatabaseSync } from 'node:sqlite';
import { createSluiceClient, graphql, type ResultOf, type Resync } from '../../client/src/client.ts';

const START = graphql(`query MirrorStart { eventLog { startCursor } }`);
const OUTCOMES = graphql(`
  subscription MirrorOutcomes($after: Cursor) {
    withdrawals(after: $after, filter: { isFinal: true }) {
      cursor
      eventId
      withdrawalId
      state
      changedAt
      failureCode
      updateId
      withdrawal { idempotencyKey amount account { customer } instrument { admin instrumentId } }
    }
  }
`);
type Outcome = ResultOf<typeof OUTCOMES>['withdrawals'];

const {
  SLUICE_URL = 'http://127.0.0.1:4000/graphql',
  SLUICE_TOKEN,
  MIRROR_FILE = 'withdrawal-mirror.sqlite',
  MIRROR_TRANSPORT,
} = process.env;

const table = openTable(MIRROR_FILE);
const client = createSluiceClient({
  url: SLUICE_URL,
  ...(SLUICE_TOKEN === undefined ? {} : { token: SLUICE_TOKEN }),
  ...(MIRROR_TRANSPORT === 'sse' ? { transport: 'sse' } : {}),
});
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

const after = table.position() ?? (await client.query(START)).eventLog.startCursor;
console.log(`${table.count()} outcomes are here; following.`);
const watching = client.watch(
  OUTCOMES,
  {},
  {
    after,
    signal: stopping.signal,
    onResync: (resync) => table.resync(resync),
    onConnection: (state) => {
      if (state.kind === 'WAITING')
        console.log(`away (${state.error.message}); again in ${Math.round(state.retryInMs)} ms`);
    },
  },
);
for await (const outcome of watching) {
  if (table.write(outcome)) {
    const { withdrawalId, state, withdrawal } = outcome;
    console.log(`${withdrawalId} ${state} ${withdrawal.amount} ${withdrawal.instrument.instrumentId}`);
  }
}
client.close();
table.close();

/** The table and the position beside it; any database with transactions does the same. */
function openTable(file: string) {
  const database = new DatabaseSync(file);
  // FULL: what is committed survives a power cut, too. The wait is for another mirror on the same file.
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA busy_timeout = 5000;
    CREATE TABLE IF NOT EXISTS outcome (
      withdrawal_id text PRIMARY KEY,
      event_id text NOT NULL UNIQUE,
      cursor text NOT NULL,
      state text NOT NULL,
      idempotency_key text NOT NULL,
      customer text NOT NULL,
      instrument_admin text NOT NULL,
      instrument_id text NOT NULL,
      amount text NOT NULL, -- Exact, as text: a number would lose digits.
      changed_at text NOT NULL,
      failure_code text,
      update_id text,
      is_doubtful integer NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS position (only integer PRIMARY KEY CHECK (only = 1), cursor text NOT NULL) STRICT;
  `);
  const readPosition = database.prepare('SELECT cursor FROM position');
  const move = database.prepare(
    'INSERT INTO position (only, cursor) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET cursor = excluded.cursor',
  );
  const insert = database.prepare(`
    INSERT INTO outcome (withdrawal_id, event_id, cursor, state, idempotency_key, customer, instrument_admin, instrument_id, amount, changed_at, failure_code, update_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (withdrawal_id) DO UPDATE SET
      event_id = excluded.event_id, cursor = excluded.cursor, state = excluded.state, changed_at = excluded.changed_at,
      failure_code = excluded.failure_code, update_id = excluded.update_id, is_doubtful = 0
    WHERE is_doubtful = 1`);
  const count = database.prepare('SELECT count(*) AS n FROM outcome');
  const doubt = database.prepare('UPDATE outcome SET is_doubtful = 1');

  /** All of it or nothing; IMMEDIATE, so that two mirrors on one file take turns from the start. */
  function together<T>(work: () => T): T {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }

  function position(): string | null {
    const row = readPosition.get();
    return typeof row?.['cursor'] === 'string' ? row['cursor'] : null;
  }

  return {
    position,
    count: (): number => Number(count.get()?.['n'] ?? 0),
    close: (): void => database.close(),
    /** @returns false: it was here already. */
    write: (outcome: Outcome): boolean =>
      together(() => {
        const { cursor, eventId, withdrawalId, state, changedAt, failureCode, updateId, withdrawal } = outcome;
        const { idempotencyKey, amount, account, instrument } = withdrawal;
        const { changes } = insert.run(
          withdrawalId,
          eventId ?? cursor,
          cursor,
          state,
          idempotencyKey,
          account.customer,
          instrument.admin,
          instrument.instrumentId,
          amount,
          changedAt,
          failureCode,
          updateId,
        );
        move.run(cursor);
        return Number(changes) === 1;
      }),
    /**
     * Sluice's database was put back, or is another one. What was mirrored may never have happened, or comes again: every row is marked until it is seen again, and everything is read again.
     * @returns the cursor to go on after.
     */
    resync: ({ code, startCursor }: Resync): string | null =>
      together(() => {
        const { changes } = doubt.run();
        console.log(`${code}: ${changes} outcomes are doubtful until they are seen again`);
        if (startCursor !== null) move.run(startCursor);
        return startCursor;
      }),
  };
}
