/** Payments of many withdrawals in one batch of the ledger are written together, and each says what it would have said alone: also the second one of the same withdrawal, and one that nobody expected. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LogFields } from '../../src/env/logger.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import type { TransferChange } from '../../src/ingestion/effect-sink.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, DAY } from '../support/rows.ts';

const PARTY = 'treasury::1220bb';
const LIMITS = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 5,
  tryHoldMs: 0,
};
const hashOf = (line: number) => new Uint8Array(32).fill(line + 1);

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

test('of five payments in a batch one that was cancelled and one that is paid twice are alarms, and the others are paid once', async () => {
  const { db } = database;
  const clock = createVirtualClock(DAY);
  const rows = createRows(db);
  const treasuryId = await rows.treasury();
  const instrumentKey = await rows.instrument();
  await rows.stream({});
  await rows.update('first');
  const withdrawals = createWithdrawals({ db, clock, network: 'testnet', idKey: new Uint8Array(32) });
  const ids: string[] = [];
  for (let line = 0; line < 4; line += 1) {
    await rows.holding(`input-${line}`, '5');
    await clock.advance(1);
    const { id } = await withdrawals.create({
      client: 'exchange',
      idempotencyKey: `key-${line}`,
      account: 'alice',
      treasuryParty: PARTY,
      instrument: { admin: AMULET_ADMIN, id: 'Amulet' },
      receiver: `bob::1220${'ab'.repeat(32)}`,
      amount: parseAmount('5'),
      memo: null,
    });
    ids.push(id);
  }
  expect(await openAttempts(db, treasuryId, LIMITS, clock.nowMicros())).toBe(4);
  for (const [line, id] of ids.entries()) {
    await sql`
      INSERT INTO signed_hash (hash, submission_id, number, scheme, requested_at)
      SELECT ${Buffer.from(hashOf(line))}, s.id, 1, 2, ${DAY} FROM submission s WHERE s.withdrawal_id = ${id}`.execute(
      db,
    );
  }
  // As a proof that was wrong would have left it.
  await sql`UPDATE withdrawal SET state = 'CANCELLED' WHERE id = ${ids[1] ?? ''}`.execute(db);
  const seen = (line: number, updateId: string): TransferChange => ({
    transferId: `tr-${updateId}`,
    kind: 'DIRECT',
    direction: 'OUT',
    instrument: { key: instrumentKey, admin: AMULET_ADMIN, id: 'Amulet', isAccepted: true },
    amount: parseAmount('5'),
    counterparty: `bob::1220${'ab'.repeat(32)}`,
    memo: null,
    isNew: true,
    status: 'COMPLETED',
    holdingsDelta: parseAmount('-5'),
    earlierHoldingsDelta: parseAmount('0'),
    updateId,
    recordTime: DAY,
    signedHash: hashOf(line),
    inputs: [`input-${line}`],
  });
  const changes = [seen(3, 'u-3'), seen(1, 'u-1'), seen(0, 'u-0'), seen(3, 'u-again'), seen(2, 'u-2')];
  const alarms: unknown[] = [];
  const logger = { ...createSystemLogger('silent'), error: (_text: string, facts?: LogFields) => alarms.push(facts) };
  const sink = createWithdrawalSink({ clock, logger });
  const { network_id: networkId } = await db
    .selectFrom('treasury_party')
    .select('network_id')
    .where('id', '=', treasuryId)
    .executeTakeFirstOrThrow();
  const treasury = { id: treasuryId, party: PARTY, name: 'treasury', networkId, network: 'testnet' };

  await db.transaction().execute(async (tx) => await sink.apply(tx, treasury, changes));

  const after = await sql<{ id: string; state: string; updateId: string | null; attempt: string; isReserved: boolean }>`
    SELECT w.id, w.state, w.update_id AS "updateId", a.state AS attempt, r.is_open AS "isReserved" FROM withdrawal w
    JOIN submission s ON s.withdrawal_id = w.id JOIN attempt a ON a.submission_id = s.id
    JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number ORDER BY w.created_at`.execute(db);
  const ended = { attempt: 'SETTLED', isReserved: false };
  expect(after.rows).toEqual([
    { id: ids[0], state: 'COMPLETED', updateId: 'u-0', ...ended },
    { id: ids[1], state: 'CANCELLED', updateId: null, ...ended },
    { id: ids[2], state: 'COMPLETED', updateId: 'u-2', ...ended },
    { id: ids[3], state: 'COMPLETED', updateId: 'u-3', ...ended },
  ]);
  const freezes = await sql<{ cause: string }>`SELECT cause FROM money_freeze ORDER BY cause`.execute(db);
  expect(freezes.rows).toEqual([{ cause: 'update:u-1' }]); // One that is open is enough.
  expect(alarms).toEqual([
    { withdrawalId: ids[1], transferId: 'tr-u-1', status: 'COMPLETED' },
    { withdrawalId: ids[3], transferId: 'tr-u-again', status: 'COMPLETED' },
  ]);
  const paid = await sql<{ cause: string }>`SELECT cause FROM journal_entry WHERE cause LIKE '%:paid'`.execute(db);
  expect(paid.rows.map(({ cause }) => cause).toSorted()).toEqual(
    [ids[0], ids[2], ids[3]].map((id) => `withdrawal:${id}:paid`).toSorted(),
  );
  const told = await sql<{ subject: string }>`
    SELECT subject FROM (SELECT subject, payload FROM event_outbox UNION ALL SELECT subject, payload FROM event) AS all_events
    WHERE payload ->> 'state' = 'COMPLETED'`.execute(db);
  expect(told.rows.map(({ subject }) => subject).toSorted()).toEqual([ids[0], ids[2], ids[3]].toSorted());
});
