/** What people decide through an API that has no more than the rights of its kind: each of it locks or changes rows that a deposit and a withdrawal do not touch. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { createLogMemory, renewLogEpoch } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { createOfferRequests } from '../../src/deposits/acceptance/offer-requests.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { SNAPSHOT_PREFIX } from '../../src/ingestion/known-updates.ts';
import { checkInvariants } from '../../src/invariants/live-invariants.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { takeDueAttempts } from '../../src/submissions/attempts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { approveResolution, askResolution } from '../../src/withdrawals/resolution.ts';
import { markUnreadable } from '../../src/withdrawals/unreadable-attempts.ts';
import { peopleFor } from '../policy/scene.ts';
import { DAY } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';
import { createDatabaseRoles, type DatabaseRoles } from './database-roles.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const WHY = { reason: 'Looked as well.', nowMicros: DAY };

let scene: WithdrawalApi;
let roles: DatabaseRoles;
let api: { readonly db: Database; readonly close: () => Promise<void> };
let worker: { readonly db: Database; readonly close: () => Promise<void> };

beforeAll(async () => {
  scene = await startWithdrawalApi();
  roles = await createDatabaseRoles(scene.database, 'people');
  const common = { applicationName: 'sluice-test', poolSizeMax: 2, logger: scene.database.logger };
  api = createDatabase({ ...common, connectionString: roles.connectionString('API') });
  worker = createDatabase({ ...common, connectionString: roles.connectionString('WORKER') });
});
afterAll(async () => {
  await api.close();
  await worker.close();
  await scene.close();
  await roles.drop();
});

/** In flight, signed, and its input gone behind a gap of history: for people, as a worker finds it. */
async function unresolved(key: string): Promise<string> {
  await scene.rows.stream({ status: 'RUNNING' }, DAY);
  await scene.rows.holding(key, '1000');
  const id = await scene.idOf(key);
  expect(await openAttempts(worker.db, scene.treasury, LIMITS, DAY)).toBe(1);
  const [attempt] = await takeDueAttempts(worker.db, WITHDRAWALS, scene.treasury, LIMITS, {
    nowMicros: DAY,
    countMax: 1,
  });
  if (attempt === undefined) throw new Error('No attempt is due.');
  const hash = Buffer.from(id.padEnd(32, '.')).subarray(0, 32);
  await recordSignatureRequest(worker.db, WITHDRAWALS, attempt, { hash, scheme: 'V3', nowMicros: DAY });
  await sql`
    UPDATE holding SET archived_update_id = ${`${SNAPSHOT_PREFIX}1`}, archived_record_time = ${DAY} WHERE archived_update_id IS NULL`.execute(
    scene.database.db,
  );
  await scene.rows.stream({ status: 'RUNNING' }, DAY + 60_000_001n);
  expect(await markUnreadable(worker.db, scene.treasury, DAY)).toBe(1);
  return id;
}

test('Z27: two people end what nobody can read, and what was reserved is free; until then no invariant is broken by it', async () => {
  const { db } = scene.database;
  for (const outcome of ['FAILED', 'COMPLETED'] as const) {
    const id = await unresolved(`unread ${outcome}`);
    const told = (await checkInvariants(db)).filter((fault) => fault.what.includes(id));
    expect(told).toEqual([]);

    const common = { withdrawalId: id, evidence: 'The receiver says so.', updateId: null, nowMicros: DAY };
    const resolutionId = await askResolution(api.db, { ...common, outcome, by: 'mia' });
    await approveResolution(api.db, { ...WHY, resolutionId, by: 'noah' });

    const row = await db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow();
    expect(row.state).toBe(outcome);
    expect(await db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
  }
});

test('Z27: a policy is proposed and approved', async () => {
  const { db } = scene.database;
  const changes = createPolicyChanges({ db: api.db, clock: systemClock, network: 'testnet' });
  await changes.setFirst({ document: JSON.stringify(peopleFor(2)), why: 'the first', by: 'root' });
  const proposalId = await changes.propose({ document: JSON.stringify(peopleFor(1)), why: 'fewer', by: 'mia' });
  const { document_hash: hash } = await db
    .selectFrom('policy_proposal')
    .select('document_hash')
    .where('id', '=', proposalId)
    .executeTakeFirstOrThrow();
  await changes.approve({ proposalId, hash: hash.toString('hex'), why: 'yes', by: 'noah' });

  const { rows } = await sql<{ decision: string }>`SELECT decision FROM policy_judgement`.execute(db);
  expect(rows).toEqual([{ decision: 'APPROVE' }]);
});

test('Z27: what is done with an offer is asked for', async () => {
  const offers = createOfferRequests({ db: api.db, clock: systemClock });
  const wish = { transferId: 'none', why: 'known', by: 'mia' };
  for (const asked of [offers.requestAcceptance, offers.requestRejection, offers.retryNow, offers.park, offers.unpark])
    await expect(asked(wish)).rejects.toMatchObject({ code: 'OFFER_NOT_OPEN' });
});

test('Z27: an API that only reads goes on where somebody else noted that the database went back, and waits until somebody has', async () => {
  const { db } = scene.database;
  const reader = createDatabase({
    applicationName: 'sluice-test',
    poolSizeMax: 1,
    logger: scene.database.logger,
    connectionString: roles.connectionString('READ'),
  });
  const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
  try {
    const memory = createLogMemory();
    await lookAtLog({ ...env, db, memory: createLogMemory() });
    await lookAtLog({ ...env, db: reader.db, memory });
    const before = memory.known();
    const window = { ttlMicros: 0n, marginMicros: 0n };
    await renewLogEpoch(db, { by: 'test', why: 'test', random: systemRandom, nowMicros: DAY, window });
    await lookAtLog({ ...env, db: reader.db, memory });
    expect(memory.known()?.epoch).not.toBe(before?.epoch);

    await sql`UPDATE event_log SET history = 'another'`.execute(db);
    await expect(lookAtLog({ ...env, db: reader.db, memory })).rejects.toMatchObject({
      code: 'DB_IN_DOUBT',
      retryable: true,
    });
    await lookAtLog({ ...env, db, memory: createLogMemory() });
    await lookAtLog({ ...env, db: reader.db, memory });
  } finally {
    await reader.close();
  }
});
