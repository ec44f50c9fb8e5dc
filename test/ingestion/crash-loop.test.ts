/** An update that ends its worker at every try halts its stream, by name, while everything else goes on. Real processes, really killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLeases } from '../../src/db/lease.ts';
import type { BatchWriter } from '../../src/ingestion/batch-writer.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import {
  CRASHES_MAX,
  forgetCrashes,
  guardAgainstCrashes,
  noteOrderlyEnd,
  VANISHED_MAX,
} from '../../src/ingestion/crash-guard.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import type { ReceivedUpdate } from '../../src/ingestion/received-update.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { rounds } from '../support/tier.ts';

let database: TestDatabase;
let simnet: TestNetwork;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('crash-loop');
  await registerMemos(database.db, NETWORK, { good: 'alice', poison: 'mallory' });
});

afterEach(async () => {
  await simnet.stop();
  await database.close();
});

function payIn(amount: string, memo: string): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount });
  simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount, memo });
}

async function live(environment: Record<string, string> = {}): Promise<{ code: number | null; signal: string | null }> {
  const ingestion = {
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 300 },
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/poison-child.ts`], {
    env: { ...process.env, INGESTION: JSON.stringify(ingestion), POISON_MEMO: 'poison', ...environment },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const [code, signal] = await once(child, 'exit');
  return { code, signal };
}

async function credited(): Promise<Record<string, string>> {
  const { rows } = await sql<{ owner: string; balance: string }>`
    SELECT a.owner, trim_scale(sum(b.balance))::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id
    WHERE a.kind = 'CUSTOMER' GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ owner, balance }) => [owner, balance]));
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();

/** Crashes that are only counted, where nobody waits for all of them. */
const SKIPPED = rounds(CRASHES_MAX - 5, 0);

test.each([['SIGKILL'], ['error']] as const)(
  'D5: an update that ends the worker by %s halts the stream at its offset; what came before it is credited, the API answers',
  { timeout: 120_000 },
  async (diesBy) => {
    for (let index = 0; index < 5; index += 1) payIn('1', 'good');
    payIn('100', 'poison');
    for (let index = 0; index < 5; index += 1) payIn('1', 'good');

    let crashes = 0;
    for (;;) {
      const end = await live({ DIES_BY: diesBy });
      if (end.signal === null && end.code === 0) break;
      crashes += 1;
      if (crashes === VANISHED_MAX + 2) {
        await sql`UPDATE stream_crash SET crashes = crashes + ${SKIPPED}`.execute(database.db);
        crashes += SKIPPED;
      }
      if (crashes > VANISHED_MAX + CRASHES_MAX) throw new Error('It goes on and on.');
    }

    // A few times with a whole batch in hand, then one by one.
    expect(crashes).toBe(VANISHED_MAX + CRASHES_MAX);
    expect(await credited()).toEqual({ alice: '5' });
    const { status, status_reason } = await stream();
    expect(status).toBe('HALTED');
    expect(status_reason).toMatch(
      /^CRASH_LOOP: Update 1220[0-9a-f]{64} at offset \d+ has ended the worker 20 times in a row\.$/,
    );
    const api = await startApi(database);
    try {
      const { data } = await api.query('{ ingestionStreams { status statusReason } }');
      expect(data.ingestionStreams).toEqual([{ status: 'HALTED', statusReason: status_reason }]);
    } finally {
      await api.stop();
    }
    // A restart looks again, and does not touch it.
    expect(await live({ DIES_BY: diesBy })).toEqual({ code: 0, signal: null });
    expect((await stream()).status_reason).toBe(status_reason);

    // A version that can bear it, and a word from the operator.
    const { treasury_id: treasuryId } = await stream();
    expect(await forgetCrashes(database.db, treasuryId)).toBe(true);
    const ingestion = await startIngestion({
      connectionString: database.connectionString,
      ledgerUrl: simnet.ledgerUrl(),
      catalog: simnet.catalog,
      settings: { leaseTtlMs: 300 },
    });
    try {
      await eventually(async () => expect(await credited()).toEqual({ alice: '10', mallory: '100' }), {
        deadlineMs: 15_000,
      });
      const [treasury] = ingestion.treasuries;
      if (treasury === undefined) throw new Error('No treasury.');
      expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
      expect(await checkBooks(database.db)).toEqual([]);
    } finally {
      await ingestion.stop();
    }
  },
);

test('D5: workers that are killed with nothing in their hands are careful, and never halted', async () => {
  const [treasury] = await registerCatalog(database.db, simnet.catalog);
  if (treasury === undefined) throw new Error('No treasury.');
  const { batches, writer } = recording();
  const position = await claimed(treasury);
  const guard = { db: database.db, treasury, carefulCount: 3 };
  const updates = [1n, 2n, 3n, 4n, 5n].map(update);

  for (let kill = 0; kill < 3 * CRASHES_MAX; kill += 1) await guardAgainstCrashes(writer, guard);
  const careful = await guardAgainstCrashes(writer, guard);
  await careful.write(updates, position);
  expect(batches.splice(0)).toEqual([1, 1, 1, 1, 1]);
  await careful.write(updates, position);
  expect(batches.splice(0)).toEqual([5]);

  // Those that vanished further on than a batch were no victims of what comes next.
  for (let kill = 0; kill < VANISHED_MAX + 1; kill += 1) await guardAgainstCrashes(writer, guard);
  await sql`UPDATE ingestion_stream SET updates_count = updates_count + 3`.execute(database.db);
  await (await guardAgainstCrashes(writer, guard)).write(updates, position);
  expect(batches.splice(0)).toEqual([5]);

  await noteOrderlyEnd(database.db, treasury, position.fencingToken);
  const calm = await guardAgainstCrashes(writer, guard);
  await calm.write(updates, position);
  expect(batches).toEqual([5]);
});

test('D3: a paused worker that ends in order after its successor began leaves the mark of that one alone', async () => {
  const [treasury] = await registerCatalog(database.db, simnet.catalog);
  if (treasury === undefined) throw new Error('No treasury.');
  const { writer } = recording();
  const guard = { db: database.db, treasury, carefulCount: 3 };
  const isOpen = async () =>
    (await database.db.selectFrom('stream_crash').select('is_open').executeTakeFirstOrThrow()).is_open;
  const leases = createLeases({ db: database.db });
  const claim = async () => {
    const lease = await leases.acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
    if (lease === null) throw new Error('No lease.');
    const position = await claimStream(database.db, treasury, lease.token);
    await guardAgainstCrashes(writer, guard);
    await leases.release(lease);
    return position;
  };
  const paused = await claim();
  const successor = await claim();

  await noteOrderlyEnd(database.db, treasury, paused.fencingToken);
  expect(await isOpen()).toBe(true);

  await noteOrderlyEnd(database.db, treasury, successor.fencingToken);
  expect(await isOpen()).toBe(false);
});

function recording(): { readonly batches: number[]; readonly writer: BatchWriter } {
  const batches: number[] = [];
  const writer: BatchWriter = {
    write: async (batch, position) => {
      batches.push(batch.length);
      return position;
    },
  };
  return { batches, writer };
}

function update(offset: bigint): ReceivedUpdate {
  return {
    kind: 'TRANSACTION',
    updateId: `1220${offset}`,
    offset,
    recordTime: offset,
    synchronizerId: 'sync',
    effectiveAt: null,
    traceParent: null,
    transaction: null,
    bytes: new Uint8Array(),
    compressed: new Uint8Array(),
  };
}

async function claimed(treasury: Treasury) {
  const lease = await createLeases({ db: database.db }).acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  return await claimStream(database.db, treasury, lease.token);
}
