/**
 * C12: the database is restored from a backup that is older than a payment. The withdrawal, the refund and the decision are gone; the ledger still has the transfer, and ingestion reads it again. Whoever
 * asks again, as clients and people do that lost an answer, is not paid again.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Transaction } from '../../src/db/connection.ts';
import { noteRestore } from '../../src/db/database-restore.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createDesk, type Desk } from '../../src/deposits/desk.ts';
import type { ScreeningClient } from '../../src/deposits/screening-client.ts';
import { runScreening } from '../../src/deposits/screening-loop.ts';
import { recordVerdict } from '../../src/deposits/screening-verdict.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { readWaits } from '../../src/read/withdrawal-waits.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { decideScreening } from '../support/deposit-screening.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;
let desk: Desk;
let payouts: ReturnType<typeof startPayouts>;
let stopScreening = async (): Promise<void> => undefined;

beforeEach(async () => {
  scene = await startDepositScene();
  const { network } = scene.simnet;
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  const { admin, id } = network.instrument('amulet');
  desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('1000')]]),
    withdrawals: scene.withdrawals,
  });
  const [treasury] = scene.ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  payouts = startPayouts({
    db: scene.database.db,
    treasury,
    ledgerUrl: scene.simnet.ledgerUrl(),
    registry: registryOf(scene.simnet),
    logger: scene.database.logger,
    limits: {
      ttlMs: 4_000,
      recordTimeAgeMsMax: 600_000,
      recordTimeAheadMsMax: 600_000,
      attemptsMax: 2,
      triesMax: 6,
      tryHoldMs: 1_000,
    },
  });
});

afterEach(async () => {
  await stopScreening();
  stopScreening = async () => undefined;
  await payouts.stop();
  await scene.close();
});

async function strange(): Promise<string> {
  scene.pay({ amount: '50', memo: 'nobody' });
  await scene.settled();
  return (await scene.transferIds()).at(-1) ?? '';
}

async function become(state: string): Promise<void> {
  await eventually(
    async () => {
      payouts.throwIfFailed();
      const rows = await scene.database.db.selectFrom('withdrawal').select('state').orderBy('created_at').execute();
      expect(rows.at(-1)?.state).toBe(state);
    },
    { deadlineMs: 60_000 },
  );
}

const SCREENING_TRIES = 2;

/** The loop, with a service that answers so, until the test is over. */
function startScreening(ask: ScreeningClient['ask']): void {
  const ending = new AbortController();
  const running = runScreening({
    db: scene.database.db,
    kind: depositScreening(scene.withdrawals),
    client: { ask },
    limits: { triesMax: SCREENING_TRIES, delayMsMin: 50, delayMsMax: 100, pendingDelayMs: 50, holdMs: 2_000 },
    clock: systemClock,
    random: systemRandom,
    logger: scene.database.logger,
    failpoint: noFailpoints,
    wakeUp: createWakeUp(systemClock),
    signal: ending.signal,
  });
  stopScreening = async () => {
    ending.abort();
    await running;
  };
}

/** What a backup of before the service’s no would hold of a deposit that is held. */
async function forgetVerdict(): Promise<void> {
  const { db } = scene.database;
  await db.transaction().execute(async (tx) => {
    await sql`SET LOCAL session_replication_role = 'replica'`.execute(tx);
    await forget(tx, ['desk_case']);
  });
  await restore();
  await sql`UPDATE screening SET state = 'WAITING', next_try_at = 0, case_id = NULL, reason = NULL, decided_at = NULL, decided_by = NULL`.execute(
    db,
  );
  await sql`DELETE FROM event_outbox WHERE type = 'deposit.denied'`.execute(db);
}

/** What a backup of before the first withdrawal would hold, once the ledger has been read again. */
async function restore(): Promise<void> {
  await scene.database.db.transaction().execute(async (tx) => {
    // Foreign keys rest: a backup has none of these rows at all.
    await sql`SET LOCAL session_replication_role = 'replica'`.execute(tx);
    await forget(tx, [
      'policy_verdict',
      'signed_hash',
      'reservation',
      'attempt',
      'submission',
      'withdrawal',
      'desk_decision',
    ]);
    await sql`DELETE FROM posting USING journal_entry e WHERE e.id = posting.entry_id AND (e.cause LIKE 'withdrawal:%' OR e.cause LIKE 'desk:%')`.execute(
      tx,
    );
    await sql`DELETE FROM journal_entry WHERE cause LIKE 'withdrawal:%' OR cause LIKE 'desk:%'`.execute(tx);
    await sql`DELETE FROM event_outbox WHERE type LIKE 'withdrawal.%' OR type IN ('desk.decision', 'deposit.refunded')`.execute(
      tx,
    );
    await sql`
      UPDATE desk_case SET state = 'OPEN', withdrawal_id = NULL, funds_account_id = (SELECT id FROM account WHERE kind = 'UNATTRIBUTED')`.execute(
      tx,
    );
  });
}

async function forget(tx: Transaction, tables: readonly string[]): Promise<void> {
  for (const table of tables) await sql`DELETE FROM ${sql.table(table)}`.execute(tx);
}

const received = () => Number(scene.simnet.network.balance({ instrument: 'amulet', owner: 'alice' }));
const refund = (transferId: string) => desk.refund({ transferId, reason: 'the sender asks', by: 'support' });
const assignToBob = (transferId: string) => desk.assign({ transferId, account: 'bob', reason: 'his', by: 'support' });
const refused = (code: string) => expect.objectContaining({ code });

test('C12: a refund that was paid is not paid again', { timeout: 90_000 }, async () => {
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  const transferId = await strange();
  await refund(transferId);
  await become('COMPLETED');
  await scene.settled();
  const before = received();
  await restore();

  await expect(refund(transferId)).rejects.toEqual(refused('REFUND_REFUSED'));
  await scene.settled();
  expect(received()).toBe(before);
});

test('C12: what was sent back is nobody’s any more, whoever is named', { timeout: 90_000 }, async () => {
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  const transferId = await strange();
  await refund(transferId);
  await become('COMPLETED');
  await scene.settled();
  await restore();

  await expect(desk.assign({ transferId, account: 'bob', reason: 'it is his', by: 'support' })).rejects.toEqual(
    refused('DEPOSIT_GONE'),
  );
  expect(await scene.database.db.selectFrom('attribution').selectAll().execute()).toEqual([]);
});

test('C12: nor is it credited when the screening service, asked again, has changed its mind', {
  timeout: 90_000,
}, async () => {
  const { db } = scene.database;
  await decideScreening(db, NETWORK, true);
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  scene.pay({ amount: '50', memo: 'bob-memo' });
  await scene.settled();
  const [transferId = ''] = await scene.transferIds();
  const say = async (kind: 'ALLOW' | 'DENY') => {
    const about = { account: 'bob', by: 'screening', refunds: scene.withdrawals, nowMicros: systemClock.nowMicros() };
    const verdict = { kind, caseId: null, reason: null };
    return await db.transaction().execute(async (tx) => await recordVerdict(tx, transferId, verdict, about));
  };
  expect(await say('DENY')).toBe('RECORDED');
  const { decisionId } = await refund(transferId);
  await desk.approve({ decisionId, reason: 'agreed', by: 'head of compliance' });
  await become('COMPLETED');
  await scene.settled();
  await forgetVerdict();

  expect(await say('ALLOW')).toBe('PARKED');

  expect(await db.selectFrom('attribution').selectAll().execute()).toEqual([]);
  expect(await db.selectFrom('screening').select(['state', 'last_error']).execute()).toEqual([
    { state: 'PARKED', last_error: expect.stringContaining('sent back') },
  ]);
});

test('C12: nor is one that was the second, after a first that was not paid', { timeout: 90_000 }, async () => {
  const transferId = await strange();
  await refund(transferId);
  await become('FAILED');
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  await refund(transferId);
  await become('COMPLETED');
  await scene.settled();
  await restore();

  await expect(refund(transferId)).rejects.toEqual(refused('REFUND_REFUSED'));
});

test('C12: while a refund that is lost may still be paid, what it would pay back becomes nobody’s, whoever says so', {
  timeout: 90_000,
}, async () => {
  const { db } = scene.database;
  await decideScreening(db, NETWORK, true);
  const atDesk = await strange();
  scene.pay({ amount: '7', memo: 'bob-memo' });
  await scene.settled();
  const held = (await scene.transferIds()).at(-1) ?? '';
  const noticed = systemClock.nowMicros();
  await db.transaction().execute(
    async (tx) =>
      await noteRestore(tx, {
        cause: 'log:1',
        treasuryId: null,
        detail: 'The database was put back.',
        by: 'test',
        nowMicros: noticed,
        window: { ttlMicros: 60_000_000n, marginMicros: 0n },
        lostEvents: null,
        putBack: async () => null,
      }),
  );
  let asked = 0;
  startScreening(async (question) => {
    if ('transferId' in question && question.transferId === held) asked += 1;
    return { kind: 'ALLOW', caseId: null, reason: null };
  });

  await expect(assignToBob(atDesk)).rejects.toEqual(refused('DB_RESTORED'));
  await expect(refund(atDesk)).rejects.toEqual(refused('DB_RESTORED'));
  await eventually(async () => expect(asked).toBeGreaterThan(2 * SCREENING_TRIES));
  expect(await db.selectFrom('screening').select(['state', 'last_error']).execute()).toEqual([
    { state: 'WAITING', last_error: expect.stringContaining('went back in time') },
  ]);
  expect(await db.selectFrom('attribution').selectAll().execute()).toEqual([]);

  // The ledger has been read far enough, as `runReopening` finds.
  await sql`UPDATE money_freeze SET lifted_at = ${noticed}::bigint, lifted_by = 'test', lift_detail = 'read'`.execute(
    db,
  );
  await assignToBob(atDesk);
  await eventually(async () =>
    expect(await db.selectFrom('attribution').select('transfer_id').orderBy('transfer_id').execute()).toEqual(
      [atDesk, held].sort().map((transfer_id) => ({ transfer_id })),
    ),
  );
});

test('C12: a customer’s withdrawal that was paid is not paid again for the same key', { timeout: 90_000 }, async () => {
  const { network } = scene.simnet;
  network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  await strange();
  const request = {
    client: 'exchange',
    idempotencyKey: 'w-1',
    account: 'alice',
    treasuryParty: scene.ingestion.treasuries[0]?.party ?? '',
    instrument: network.instrument('amulet'),
    receiver: network.party('alice'),
    amount: parseAmount('3'),
    memo: null,
  };
  await scene.withdrawals.create(request);
  await become('COMPLETED');
  const before = received();
  await restore();

  await expect(scene.withdrawals.create(request)).rejects.toEqual(refused('PAID_BEFORE'));

  // And where it is asked for before the ledger has been read again, it waits, and is never signed.
  const { db } = scene.database;
  const { rows } = await sql<{ id: string; object: string }>`
    SELECT id, transfer_object::text AS object FROM transfer WHERE direction = 'OUT'`.execute(db);
  await sql`UPDATE transfer SET transfer_object = NULL WHERE direction = 'OUT'`.execute(db);
  await db.transaction().execute(async (tx) => {
    const { id } = await scene.withdrawals.createIn(tx, request, { kind: 'CUSTOMER', owner: 'alice' });
    expect(rows[0]?.object).toContain(id);
    await sql`UPDATE transfer SET transfer_object = ${rows[0]?.object}::jsonb WHERE id = ${rows[0]?.id}`.execute(tx);
  });
  scene.pay({ amount: '50', memo: 'bob-memo' });
  await scene.withdrawals.create({ ...request, idempotencyKey: 'w-2' });
  await become('COMPLETED');
  expect(received()).toBe(before + 3);
  const [first] = await db.selectFrom('withdrawal').select('id').orderBy('created_at').execute();
  expect(
    await readWaits(db, [first?.id ?? ''], { nowMicros: systemClock.nowMicros(), recordTimeAheadMsMax: 60_000 }),
  ).toEqual(['PAID_BEFORE']);
  expect(await db.selectFrom('withdrawal').select('state').orderBy('created_at').execute()).toEqual([
    { state: 'QUEUED' },
    { state: 'COMPLETED' },
  ]);
});
