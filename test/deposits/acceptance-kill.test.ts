/**
 * Offers are credited once, whatever happens to the process: killed at every step of the acceptance, while the participant loses answers. The treasury's holdings on the simulated ledger are the
 * truth: what came is what was credited.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

const POINTS = FAILPOINTS.filter((name) => name.startsWith('offers.'));

let database: TestDatabase;
let simnet: TestNetwork;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('acceptance-kill');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  await registerCatalog(database.db, simnet.catalog);
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  children.clear();
  await simnet.stop();
  await database.close();
});

function spawnAcceptor(environment: Record<string, string>, ttlMs: number) {
  const acceptance = {
    ingestion: {
      connectionString: database.connectionString,
      ledgerUrl: simnet.ledgerUrl(),
      catalog: simnet.catalog,
      settings: { leaseTtlMs: 300 },
    },
    registries: simnet.registries.map(({ admin, url }) => ({ admin, urls: [url] })),
    ttlMs,
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/acceptance-child.ts`], {
    env: { ...process.env, ...environment, ACCEPTANCE: JSON.stringify(acceptance) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let errors = '';
  child.stdout.resume();
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const exited = once(child, 'exit').then(([, signal]) => {
    children.delete(child);
    return { signal, errors };
  });
  return { child, exited };
}

const offer = (amount: string) =>
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount,
    memo: 'alice-memo',
    kind: 'offer',
  });

async function credited(): Promise<string> {
  const { rows } = await sql<{ balance: string }>`
    SELECT coalesce(sum(b.balance), 0)::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return rows[0]?.balance ?? '0';
}

test(`G2: killed at each of its ${POINTS.length} steps, an acceptance credits once`, { timeout: 400_000 }, async () => {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
  let units = 0;
  for (const [index, point] of POINTS.entries()) {
    units += 1;
    offer('1');
    // An attempt lapses only where what was signed never reaches the ledger.
    const isLapse = point === 'offers.afterLapse';
    simnet.network.participant('participant1').faults.submissions.set({
      // An answer that is lost ends the try before the step after it.
      loseExecuteAnswers: { share: point === 'offers.afterExecute' ? 0 : 0.5 },
      dropExecutes: { share: isLapse ? 1 : 0 },
    });
    const struck = spawnAcceptor({ KILL_AT: `${point}:1` }, isLapse ? 5_000 : 15_000);
    const { signal, errors } = await struck.exited;
    expect(signal, `${point}: ${errors}`).toBe('SIGKILL');

    simnet.network.participant('participant1').faults.submissions.clear();
    const healthy = spawnAcceptor({}, 15_000);
    await eventually(async () => expect(await credited()).toBe(`${index + 1}.0000000000`), {
      deadlineMs: 60_000,
      intervalMs: 200,
    });
    healthy.child.kill('SIGKILL');
    await healthy.exited;
  }

  expect(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe(`${units}.0000000000`);
  expect(await checkBooks(database.db)).toEqual([]);
  const attempts = await database.db.selectFrom('attempt').select('state').where('state', '=', 'OPEN').execute();
  expect(attempts).toEqual([]);
  const actions = await database.db.selectFrom('offer_action').select(['state', 'reason']).execute();
  expect(actions.every(({ state }) => state === 'DONE')).toBe(true);
});
