/**
 * C12: the database is put back to a real copy of an earlier moment, and the ledger has gone on since. Withdrawals stand at every moment of their lives in that copy. Each is paid once, on the network's own
 * ledger; each ends as what it is; every old idempotency key meets its withdrawal.
 */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { DatabaseRestoredError } from '../../src/db/database-restore.ts';
import { createLogMemory, demandKnownLog } from '../../src/db/log-history.ts';
import { systemClock } from '../../src/env/system.ts';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK } from '../support/network.ts';
import {
  amounts,
  attemptsOf,
  become,
  becomeReopened,
  createLate,
  fund,
  idKey,
  LIMITS,
  look,
  memory,
  onNetworkOfItsOwn,
  openDatabase,
  openFreezes,
  openOnly,
  PATIENCE,
  paid,
  request,
  safeTime,
  seal,
  signNewest,
  sluiceOn,
  stop,
} from './harness.ts';

onNetworkOfItsOwn();

test('C12, I3, I25: at whatever moment of a withdrawal’s life the backup was made, it is paid once and every old key meets it', {
  timeout: 150_000,
}, async () => {
  const live = await openDatabase();
  const before = await sluiceOn(live);
  await look(before.db);
  await fund(before, 12);

  // Distinct powers of two: what the receiver has says which of them were paid, and that none was twice.
  await before.create('lapsed once', '1');
  await openOnly(before, { ...LIMITS, ttlMs: 6_000 }); // Long enough to be signed on a machine that has other work.
  await signNewest(before, 1);
  await sql`UPDATE attempt SET tries = ${LIMITS.triesMax}`.execute(before.db);
  await before.create('opened', '2');
  await openOnly(before);
  await before.create('signed', '4');
  await openOnly(before);
  await signNewest(before, 2);
  await before.create('queued', '8');
  const { id: cancelled } = await before.create('cancelled since', '16');
  expect(await before.states()).toEqual({
    'lapsed once': 'IN_FLIGHT',
    opened: 'IN_FLIGHT',
    signed: 'IN_FLIGHT',
    queued: 'QUEUED',
    'cancelled since': 'QUEUED',
  });
  await stop(before);
  const backup = await openDatabase(live);

  // Life goes on.
  const lost = await sluiceOn(live);
  await look(lost.db);
  await lost.cancel(cancelled);
  await lost.create('asked since', '32');
  const withheld: (() => Promise<void>)[] = [];
  lost.startPayouts((submitter) => ({
    ...submitter,
    execute: async (request) => {
      const { rows } = await sql<{ isWithheld: boolean }>`
        SELECT EXISTS (SELECT FROM withdrawal WHERE idempotency_key = 'on its way' AND state = 'IN_FLIGHT') AS "isWithheld"`.execute(
        lost.db,
      );
      if (rows[0]?.isWithheld === true) withheld.push(async () => await createLate(request));
      else await submitter.execute(request);
    },
  }));
  const settled = ['lapsed once', 'opened', 'signed', 'queued', 'asked since'];
  await become(lost, Object.fromEntries(settled.map((key) => [key, 'COMPLETED'])));
  await eventually(
    async () => expect(await attemptsOf(lost.db, 'lapsed once')).toEqual(['LAPSED', 'SETTLED']),
    PATIENCE,
  );
  expect(paid()).toBe('47.0000000000');
  await lost.create('on its way', '64');
  await eventually(() => expect(withheld.length).toBeGreaterThan(0), PATIENCE);
  await openFreeze(lost.db, {
    treasuryId: null,
    instrumentKey: null,
    reason: 'OPERATOR',
    detail: 'Nothing more of this life.',
    cause: 'test',
    openedBy: 'test',
    nowMicros: systemClock.nowMicros(),
  });
  const { id: neverSent } = await lost.create('never sent', '128');
  // Held, so that the automation, which still runs, leaves it alone when the freeze is lifted.
  await sql`
    INSERT INTO withdrawal_stop (withdrawal_id, kind, why, set_at, set_by) VALUES (${neverSent}, 'HOLD', 'test', 1, 'test')`.execute(
    lost.db,
  );
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test'`.execute(lost.db);
  await look(lost.db);
  await stop(lost);

  // The database goes back, and nobody has noticed yet.
  const { db } = backup;
  await expect(demandKnownLog(db, memory)).rejects.toMatchObject({ code: 'DB_IN_DOUBT', retryable: true });
  const after = await sluiceOn(backup);
  await expect(after.create('asked since')).rejects.toMatchObject({ code: 'DB_IN_DOUBT' });
  await look(db);
  await demandKnownLog(db, memory);
  // What was signed in the life before reaches the ledger now.
  for (const send of withheld) await send();
  after.startPayouts();

  // On every replica: one that has seen nothing of it is told by the database.
  const replica = createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey, seal, log: createLogMemory() });
  for (const key of ['never sent', 'brand new']) {
    const refusal = await replica.create(request(key, '128')).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DatabaseRestoredError);
    expect(refusal).toMatchObject({ retryable: true, safeRecordTime: await safeTime(db) });
  }
  // Nothing ends unpaid before it is certain that nothing of it was.
  const { id: queued } = await after.create('queued');
  const { state } = await db
    .selectFrom('withdrawal')
    .select('state')
    .where('id', '=', queued)
    .executeTakeFirstOrThrow();
  if (state === 'QUEUED') {
    const ended = await after.cancel(queued).catch((error: unknown) => error);
    // Its payment may have been read meanwhile.
    if (ended !== false) expect(ended).toBeInstanceOf(DatabaseRestoredError);
  }

  await becomeReopened(after);
  expect(await after.states()).toEqual({
    ...Object.fromEntries(settled.map((key) => [key, 'COMPLETED'])),
    'on its way': 'COMPLETED',
    'cancelled since': 'QUEUED',
  });
  expect(paid()).toBe('111.0000000000');
  expect(await openFreezes(db)).toEqual([]);
  const recovered = await db
    .selectFrom('withdrawal as w')
    .innerJoin('account as a', 'a.id', 'w.account_id')
    .select(['w.idempotency_key as key', 'a.owner', 'w.client', 'w.memo'])
    .where('w.recovered_at', 'is not', null)
    .orderBy('w.amount')
    .execute();
  expect(recovered).toEqual(
    ['asked since', 'on its way'].map((key) => ({
      key,
      owner: `account of ${key}`,
      client: 'exchange',
      memo: request(key).memo,
    })),
  );

  // Every old key is sent again.
  for (const key of [...settled, 'on its way']) {
    expect(await after.create(key), key).toMatchObject({ isReplayed: true });
  }
  await expect(after.create('asked since', '33')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  amounts.set('asked since', '32');
  expect(await after.create('never sent')).toMatchObject({ isReplayed: false });
  await become(after, { 'never sent': 'COMPLETED', 'cancelled since': 'QUEUED' });
  expect(paid()).toBe('239.0000000000');
  // Its client was told that it had ended: it is paid when that client says that it still wants it, and not before.
  expect(await after.create('cancelled since')).toMatchObject({ isReplayed: true });
  await become(after, { 'cancelled since': 'COMPLETED' });
  expect(paid()).toBe('255.0000000000');
  expect(await checkBooks(db)).toEqual([]);
  const { rows: reserved } = await sql`SELECT FROM reservation WHERE is_open`.execute(db);
  expect(reserved).toEqual([]);
});
