/** The kill switch on real processes under load: two that pay as fast as they can, halted in the middle, killed, started anew, and let go on by two people. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { haltMoney, liftHalt } from '../../src/submissions/halts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

const COUNT = 40;
const LATE = 10; // Asked for while the halt stands.
const QUIET_MS = 2_500; // Several polls, and more than a try takes.
const LIMITS = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 10,
  triesMax: 20,
  tryHoldMs: 1_000,
};

let database: TestDatabase;
let simnet: TestNetwork;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('halts');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await registerCatalog(database.db, simnet.catalog);
});

afterEach(async () => {
  await killAll();
  await simnet.stop();
  await database.close();
});

async function killAll(): Promise<void> {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  children.clear();
}

/** When each signature came back, and each was asked for, by this process's clock. */
const signedAt: number[] = [];

function spawnPayer(): void {
  const payouts = {
    ingestion: {
      connectionString: database.connectionString,
      ledgerUrl: simnet.ledgerUrl(),
      catalog: simnet.catalog,
      settings: { leaseTtlMs: 600 },
      idleInTransactionTimeoutMs: 2_000,
    },
    registries: simnet.registries.map(({ admin, url }) => ({
      admin,
      instrumentId: null,
      source: { strategy: 'rotate', urls: [url] },
    })),
    limits: LIMITS,
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/payout-child.ts`], {
    env: { ...process.env, PAYOUTS: JSON.stringify(payouts) },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.add(child);
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    for (const line of chunk.trim().split('\n'))
      if (line === 'withdrawals.afterSigning') signedAt.push(performance.now());
  });
}

const countOf = async (table: 'signed_hash' | 'withdrawal', where = sql<boolean>`true`): Promise<number> => {
  const { rows } = await sql<{
    count: number;
  }>`SELECT count(*)::int AS count FROM ${sql.table(table)} WHERE ${where}`.execute(database.db);
  return rows[0]?.count ?? 0;
};
const completed = () => countOf('withdrawal', sql<boolean>`state = 'COMPLETED'`);

test('S9, Z42: under load in two processes nothing is signed after the halt, nor after a restart, until two people lift it', {
  timeout: 180_000,
}, async () => {
  const withdrawals = createWithdrawals({
    db: database.db,
    clock: systemClock,
    network: NETWORK,
    idKey: new Uint8Array(32),
  });
  for (let index = 0; index < 30; index += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '50' });
  const ask = async (from: number, to: number): Promise<void> => {
    for (let index = from; index < to; index += 1) {
      await withdrawals.create({
        client: 'exchange',
        idempotencyKey: `key-${index}`,
        account: 'alice',
        treasuryParty: simnet.network.party('treasury'),
        instrument: simnet.network.instrument('amulet'),
        receiver: simnet.network.party('bob'),
        amount: parseAmount('1'),
        memo: null,
      });
    }
  };
  await ask(0, COUNT - LATE);
  spawnPayer();
  spawnPayer();
  await eventually(async () => expect(await completed()).toBeGreaterThan(0), { deadlineMs: 60_000 });

  const word = (by: string) => ({ by, why: 'A key may be gone.', nowMicros: systemClock.nowMicros() });
  const { haltId } = await haltMoney(database.db, { treasury: null, instrument: null }, word('mia'));
  const haltedAt = performance.now();
  // What was asked for before the commit may still be on its way here for a moment; after that nothing is.
  await systemClock.sleep(1_000, AbortSignal.timeout(10_000));
  const signed = await countOf('signed_hash');
  // However many were paid by then: these are due, and there are funds for them.
  await ask(COUNT - LATE, COUNT);

  await systemClock.sleep(QUIET_MS, AbortSignal.timeout(10_000));
  expect(await countOf('signed_hash')).toBe(signed);
  expect(signedAt.length).toBeGreaterThan(0);
  expect(signedAt.filter((at) => at > haltedAt + 1_000)).toEqual([]);

  await killAll();
  spawnPayer();
  spawnPayer();
  await eventually(
    async () => {
      const { rows } = await sql<{
        isRunning: boolean;
      }>`SELECT bool_and(status = 'RUNNING') AS "isRunning" FROM ingestion_stream`.execute(database.db);
      expect(rows[0]?.isRunning).toBe(true);
    },
    { deadlineMs: 60_000 },
  );
  await systemClock.sleep(QUIET_MS, AbortSignal.timeout(10_000));
  expect(await countOf('signed_hash')).toBe(signed);

  await liftHalt(database.db, haltId, word('mia'));
  await systemClock.sleep(1_000, AbortSignal.timeout(10_000));
  expect(await countOf('signed_hash')).toBe(signed);
  await liftHalt(database.db, haltId, word('noah'));
  await eventually(async () => expect(await completed()).toBe(COUNT), { deadlineMs: 120_000 });
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('40.0000000000');
});
