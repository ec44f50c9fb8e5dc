/**
 * A random ledger of all the shapes that registries make, read by two treasuries of ours into one database: whatever happens there, the books equal the holdings
 * after every batch, and a rebuild from the stored bytes gives the same rows.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { receive } from '../../src/ingestion/received-update.ts';
import { createDice } from '../simulation/dice.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { registerMemos } from '../support/ingestion.ts';
import { COIN, NOTE, TREASURY, USDCX, VAULT } from '../tokens/corpus/contracts.ts';
import { seenBy } from '../tokens/corpus/tree.ts';
import { createWorld } from '../tokens/corpus/world.ts';

const NETWORK = 'testnet';
const START = 1_795_305_600_000_000n;
const UPDATES = 150;
const BATCH_SIZE = 30;

let database: TestDatabase;
let treasuries: readonly Treasury[];

beforeEach(async () => {
  database = await createTestDatabase();
  await registerMemos(database.db, NETWORK, { 'acct-1': 'alice', 'acct-2': 'bob' });
  treasuries = await registerCatalog(database.db, {
    network: NETWORK,
    treasuries: [
      { name: 'hot', party: TREASURY },
      { name: 'cold', party: VAULT },
    ],
    instruments: [COIN, USDCX, NOTE].map((instrument) => ({ ...instrument, name: instrument.id })),
  });
});

afterEach(async () => {
  await database.close();
});

function received(offset: bigint, events: readonly Event[]): ReturnType<typeof receive> {
  const value = {
    updateId: `1220${offset}`,
    offset,
    recordTime: microsToTimestamp(START + offset),
    synchronizerId: 'sync::1220',
    events: [...events],
  };
  const bytes = GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({ update: { $case: 'transaction', value } }),
  ).finish();
  return receive({ bytes, message: GetUpdatesResponse.decode(bytes) });
}

test.each([1, 2, 3])(
  'A22: the books follow any mix of shapes, for two treasuries of one database (seed %i)',
  async (seed) => {
    const { db, logger } = database;
    const world = createWorld(createDice(seed, 'captures'));
    const leases = createLeases({ db, clock: systemClock });
    const happened = Array.from({ length: UPDATES }, () => world.next());

    for (let first = 0; first < UPDATES; first += BATCH_SIZE) {
      for (const treasury of treasuries) {
        const lease = await leases.acquire({ name: treasury.name, holder: 'test', ttlMs: 60_000 });
        if (lease === null) throw new Error('No lease.');
        const position = await claimStream(db, treasury, lease.token);
        const writer = createBatchWriter({
          db,
          treasury,
          sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
          clock: systemClock,
          logger: { ...logger, warn: () => undefined, error: () => undefined },
          failpoint: noFailpoints,
        });
        const batch = happened.slice(first, first + BATCH_SIZE).flatMap((trees, index) => {
          const events = seenBy(trees, treasury.party);
          return events.length === 0 ? [] : [received(BigInt(first + index + 1), events)];
        });
        await writer.write(batch, position);
      }
      expect(await checkBooks(db)).toEqual([]);
    }

    for (const treasury of treasuries) expect((await compareWithRebuild(db, treasury)).differences).toEqual([]);
    // Left out are updates with a contract of our own that cannot be read, and those that gather more than an amount can be; nothing else.
    const reasons = await db.selectFrom('quarantine').select('reason').distinct().execute();
    for (const { reason } of reasons) expect(['VALUE_NOT_UNDERSTOOD', 'AMOUNT_INVALID']).toContain(reason);
    const credited = await db
      .selectFrom('attribution')
      .select(({ fn }) => fn.countAll<string>().as('count'))
      .executeTakeFirstOrThrow();
    expect(Number(credited.count)).toBeGreaterThan(0);
  },
);
