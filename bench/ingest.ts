/**
 * A backlog of deposits into PostgreSQL: decode, parse, derive, book, announce, move the position.
 *
 *   limit   the rows that we wrote, copied inside the server into empty tables with the same indexes, in one transaction
 *   naive   the same code, one update per transaction
 */
import { sql } from 'kysely';
import { createTreasurySink } from '../src/books/treasury-sink.ts';
import { createDatabase, type Database } from '../src/db/connection.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrate } from '../src/db/migrate.ts';
import { createDepositSink } from '../src/deposits/deposit-sink.ts';
import { noFailpoints } from '../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';
import { Transaction } from '../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesResponse } from '../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { createBatchWriter } from '../src/ingestion/batch-writer.ts';
import { registerCatalog } from '../src/ingestion/catalog.ts';
import type { Treasury } from '../src/ingestion/effect-sink.ts';
import { claimStream } from '../src/ingestion/position.ts';
import { receive } from '../src/ingestion/received-update.ts';
import { registerMemos } from '../test/support/ingestion.ts';
import { ALICE, COIN, createHolding, preapprovalSend, TREASURY } from '../test/support/transactions.ts';

const UPDATES = 4_000;
const NAIVE_UPDATES = 400;
const BATCH = 500;
const CUSTOMERS = 50;
const COPIED_TABLES = [
  'ledger_update',
  'holding',
  'transfer',
  'attribution',
  'journal_entry',
  'posting',
  'event_outbox',
] as const;

export async function benchIngest(): Promise<void> {
  const logger = createSystemLogger('error');
  const server = await startEmbeddedPostgres({
    baseDirectory: null,
    name: null,
    port: 0,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  try {
    await migrate({ connectionString: server.connectionString, logger });
    const connection = createDatabase({
      connectionString: server.connectionString,
      applicationName: 'bench',
      poolSizeMax: 2,
      logger,
    });
    try {
      await compare(connection.db);
    } finally {
      await connection.close();
    }
  } finally {
    await server.stop();
  }
}

async function compare(db: Database): Promise<void> {
  const [ours, naive] = await registerCatalog(db, {
    network: 'bench',
    treasuries: [
      { name: 'batched', party: TREASURY },
      { name: 'naive', party: `${TREASURY}-naive` },
    ],
    instruments: [{ ...COIN, name: 'CC' }],
  });
  if (ours === undefined || naive === undefined) throw new Error('The catalog is incomplete.');
  await registerMemos(
    db,
    'bench',
    Object.fromEntries(Array.from({ length: CUSTOMERS }, (_, index) => [`memo-${index}`, `customer-${index}`])),
  );

  const naiveRate = await ingest(db, naive, messagesFor(naive.party, NAIVE_UPDATES), 1);
  const oursRate = await ingest(db, ours, messagesFor(ours.party, UPDATES), BATCH);
  const limitRate = (UPDATES + NAIVE_UPDATES) / (await copyRows(db));

  const row = (name: string, rate: number) =>
    `  ${name.padEnd(34)} ${rate.toFixed(0).padStart(8)} updates/s   ${(oursRate / rate).toFixed(2).padStart(7)} = ours / this`;
  console.log(`ingest: a backlog of direct deposits, ${UPDATES} updates`);
  console.log(row('limit: rows copied in the server', limitRate));
  console.log(row(`ours: batches of ${BATCH}`, oursRate));
  console.log(row('naive: one update per transaction', naiveRate));
}

/** @returns updates per second. */
async function ingest(
  db: Database,
  treasury: Treasury,
  messages: readonly Uint8Array[],
  batchSize: number,
): Promise<number> {
  const writer = createBatchWriter({
    db,
    treasury,
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    clock: systemClock,
    logger: createSystemLogger('error'),
    failpoint: noFailpoints,
  });
  let position = await claimStream(db, treasury, 1n);
  const startedAt = performance.now();
  for (let start = 0; start < messages.length; start += batchSize) {
    const batch = messages
      .slice(start, start + batchSize)
      .map((bytes) => receive({ bytes, message: GetUpdatesResponse.decode(bytes) }));
    position = await writer.write(batch, position);
  }
  return (messages.length * 1_000) / (performance.now() - startedAt);
}

/** A direct deposit that the treasury sees: the send, the sender's input and change, and its own new holding. */
function messagesFor(party: string, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const value = Transaction.fromPartial({
      updateId: `1220${party.length}${index.toString(16).padStart(60, '0')}`,
      offset: BigInt(index + 1),
      synchronizerId: 'global-domain::1220dd',
      recordTime: { seconds: BigInt(1_760_000_000 + index), nanos: 0 },
      events: [
        preapprovalSend({ node: 4, last: 9, memo: `memo-${index % CUSTOMERS}` }),
        createHolding({ node: 7, cid: `00${party.length}a${index}`, owner: party, amount: `${index + 1}.0000000001` }),
        createHolding({ node: 8, cid: `00${party.length}b${index}`, owner: ALICE, amount: '9.5' }),
      ],
    });
    return GetUpdatesResponse.encode({ update: { $case: 'transaction', value } }).finish();
  });
}

/** @returns seconds. */
async function copyRows(db: Database): Promise<number> {
  for (const table of COPIED_TABLES) {
    await sql`CREATE TABLE ${sql.table(`copy_of_${table}`)} (LIKE ${sql.table(table)} INCLUDING ALL EXCLUDING IDENTITY)`.execute(
      db,
    );
  }
  const startedAt = performance.now();
  await db.transaction().execute(async (tx) => {
    for (const table of COPIED_TABLES) {
      await sql`INSERT INTO ${sql.table(`copy_of_${table}`)} SELECT * FROM ${sql.table(table)}`.execute(tx);
    }
  });
  return (performance.now() - startedAt) / 1_000;
}
