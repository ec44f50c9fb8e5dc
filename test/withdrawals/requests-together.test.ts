/** Requests that come at the same time are accepted together, and each is what it would have been alone: also one that is refused, one that was made before, and one whose customer has too little. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agreeOnBooks } from '../../src/books/books-mode.ts';
import { checkBooks } from '../../src/books/check-books.ts';
import { houseAccount, postEntries } from '../../src/books/journal.ts';
import { actAs } from '../../src/db/acting.ts';
import { cancellable } from '../../src/db/cancellation.ts';
import { createDatabase } from '../../src/db/connection.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type WithdrawalRequest } from '../../src/withdrawals/withdrawal-requests.ts';
import { AMULET, type PolicyScene, RECEIVER, startPolicyScene, TREASURY } from '../policy/scene.ts';

let scene: PolicyScene;

beforeEach(async () => {
  scene = await startPolicyScene();
});

afterEach(async () => {
  await scene.database.close();
});

const statesOf = async (): Promise<Record<string, number>> => {
  const rows = await scene.db.selectFrom('withdrawal').select('state').execute();
  const counts: Record<string, number> = {};
  for (const { state } of rows) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
};

const codesOf = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
  outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'ACCEPTED'));

test('forty at once are accepted in a few commits, each with its bookings, its events in order, and who asked', async () => {
  const ids = await Promise.all(
    Array.from({ length: 40 }, async (_, line) =>
      actAs({ principal: `desk-${line}`, action: 'createWithdrawal', inputHash: 'ab'.repeat(32) }, async () =>
        scene.request({
          account: `account ${line % 5}`,
          idempotencyKey: `key-${line}`,
          // The only one pays for whoever names none.
          ...(line % 2 === 0 && { treasuryParty: null }),
        }),
      ),
    ),
  );

  expect(await statesOf()).toEqual({ QUEUED: 40 });
  const { rows: commits } = await sql<{ count: number }>`
    SELECT count(DISTINCT xmin::text)::int AS count FROM withdrawal`.execute(scene.db);
  expect(commits[0]?.count).toBeLessThan(20);
  const { rows: asked } = await sql<{ principal: string; action: string; subject: string }>`
    SELECT DISTINCT principal, action, subject FROM audit_outbox WHERE subject_type = 'withdrawal'`.execute(scene.db);
  expect(asked.map(({ principal, action, subject }) => `${principal} ${action} ${subject}`).sort()).toEqual(
    ids.map((id, line) => `desk-${line} createWithdrawal ${id}`).sort(),
  );
  const { rows: told } = await sql<{ subject: string; states: string[] }>`
    SELECT subject, array_agg(payload ->> 'state' ORDER BY seq) AS states FROM (
      SELECT subject, payload, position AS seq FROM event UNION ALL SELECT subject, payload, 1000000 + seq FROM event_outbox
    ) AS told GROUP BY subject`.execute(scene.db);
  expect(told).toHaveLength(40);
  for (const { states } of told) expect(states).toEqual(['REQUESTED', 'QUEUED']);
  expect((await scene.db.selectFrom('policy_verdict').selectAll().execute()).map(({ kind }) => kind)).toEqual(
    Array.from({ length: 40 }, () => 'ALLOW'),
  );
  await checkBooks(scene.db);
});

test('the same key in one breath is one withdrawal, and with other content refused, in nobody’s way', async () => {
  const outcomes = await Promise.allSettled([
    scene.request({ idempotencyKey: 'same' }),
    scene.request({ idempotencyKey: 'other' }),
    scene.request({ idempotencyKey: 'same' }),
    scene.request({ idempotencyKey: 'same', amount: '11' }),
    scene.request({ idempotencyKey: 'unknown treasury', treasuryParty: `x::1220${'ab'.repeat(32)}` }),
    scene.request({ idempotencyKey: 'unknown token', instrument: { admin: 'nobody', id: 'Nothing' } }),
    scene.request({ idempotencyKey: 'no treasury', treasuryParty: null }),
  ]);

  const [same, other, sameAgain, otherAmount, ...rest] = codesOf(outcomes);
  // Of what comes in one breath one is first, and not always the one that was sent first.
  const [won, lost] = ['ACCEPTED', 'IDEMPOTENCY_KEY_REUSED'];
  expect([same, sameAgain, otherAmount]).toEqual(same === won ? [won, won, lost] : [lost, lost, won]);
  expect([other, ...rest]).toEqual(['ACCEPTED', 'TREASURY_UNKNOWN', 'INSTRUMENT_NOT_ACCEPTED', 'ACCEPTED']);
  expect(await statesOf()).toEqual({ QUEUED: 3 });
});

test('of those whom the policy denies or counts, each is judged by itself beside those it allows', async () => {
  await scene.setPolicy({
    change: { approvals: 1, delaySeconds: 3_600 },
    approvalSeconds: 3_600,
    otherwise: 'ALLOW',
    rules: [
      { name: 'too much', when: { amountAbove: '100' }, outcome: 'DENY' },
      {
        name: 'often',
        when: { accounts: ['busy'], velocity: { per: 'ACCOUNT', windowSeconds: 60, countAbove: 2 } },
        outcome: 'DENY',
      },
    ],
  });

  await Promise.all([
    ...Array.from({ length: 6 }, async () => await scene.request({ account: 'calm' })),
    ...Array.from({ length: 6 }, async () => await scene.request({ account: 'busy' })),
    scene.request({ account: 'calm', amount: '101' }),
  ]);

  const { rows } = await sql<{ account: string; state: string; count: number }>`
    SELECT a.owner AS account, w.state, count(*)::int AS count FROM withdrawal w JOIN account a ON a.id = w.account_id
    GROUP BY 1, 2 ORDER BY 1, 2`.execute(scene.db);
  expect(rows).toEqual([
    { account: 'busy', state: 'QUEUED', count: 2 },
    { account: 'busy', state: 'REJECTED', count: 4 },
    { account: 'calm', state: 'QUEUED', count: 6 },
    { account: 'calm', state: 'REJECTED', count: 1 },
  ]);
});

test('what a customer has is paid out once, however many of his requests are in one set', async () => {
  await agreeOnBooks(scene.db, { network: 'testnet', configured: 'internal', nowMicros: 1n });
  const { id: networkId } = await scene.db.selectFrom('network').select('id').executeTakeFirstOrThrow();
  const { id: instrumentKey } = await scene.db.selectFrom('instrument').select('id').executeTakeFirstOrThrow();
  await scene.db.transaction().execute(async (tx) => {
    const lines = ['poor', 'rich'].map((owner) => ({
      debit: houseAccount('HOUSE'),
      credit: { kind: 'CUSTOMER', owner } as const,
      instrumentKey,
      amount: parseAmount('25'),
    }));
    await postEntries(tx, networkId, [{ cause: 'given', description: 'given', recordTime: 1n, lines }]);
  });

  const outcomes = await Promise.allSettled([
    ...Array.from({ length: 4 }, async () => await scene.request({ account: 'poor' })),
    scene.request({ account: 'rich' }),
    scene.request({ account: 'nobody' }),
  ]);

  expect(codesOf(outcomes).sort()).toEqual([
    'ACCEPTED',
    'ACCEPTED',
    'ACCEPTED',
    'INSUFFICIENT_FUNDS',
    'INSUFFICIENT_FUNDS',
    'INSUFFICIENT_FUNDS',
  ]);
  const balances = await scene.db.selectFrom('customer_balance').select('balance').execute();
  expect(balances.map(({ balance }) => Number(balance)).sort((one, other) => one - other)).toEqual([5, 15]);
});

test('of one whose time is up before its set begins nothing is written, and the others are not cancelled with it', async () => {
  const ended = new AbortController();
  const late = cancellable(ended.signal, async () => await scene.request({ idempotencyKey: 'late' }));
  const calm = scene.request({ idempotencyKey: 'calm' });
  ended.abort();

  await expect(late).rejects.toMatchObject({ code: 'CANCELLED' });
  await calm;
  expect(await statesOf()).toEqual({ QUEUED: 1 });
});

const requestOf = (idempotencyKey: string, account = 'alice'): WithdrawalRequest => ({
  client: 'exchange',
  idempotencyKey,
  account,
  treasuryParty: TREASURY,
  instrument: AMULET,
  receiver: RECEIVER,
  amount: parseAmount('10'),
  memo: null,
});

test('C12: while books are behind after a restore, who asks again for what was made before is answered, also beside others who ask for something new', async () => {
  const { withdrawals, db } = scene;
  await agreeOnBooks(db, { network: 'testnet', configured: 'internal', nowMicros: 1n });
  const { id: networkId } = await db.selectFrom('network').select('id').executeTakeFirstOrThrow();
  const { id: instrumentKey } = await db.selectFrom('instrument').select('id').executeTakeFirstOrThrow();
  const credit = { kind: 'CUSTOMER', owner: 'alice' } as const;
  const lines = [{ debit: houseAccount('HOUSE'), credit, instrumentKey, amount: parseAmount('25') }];
  await db
    .transaction()
    .execute(async (tx) =>
      postEntries(tx, networkId, [{ cause: 'given', description: 'given', recordTime: 1n, lines }]),
    );
  const { id } = await withdrawals.create(requestOf('before'));
  await sql`
    INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
    VALUES ('test', NULL, 100, 'test', 'test', 0, 3, 'null')`.execute(db);
  await sql`INSERT INTO restored_withdrawal (withdrawal_id, cause) VALUES (${id}, 'test')`.execute(db);

  const outcomes = await Promise.allSettled(
    ['new', 'before', 'newer'].map((key) => withdrawals.create(requestOf(key))),
  );

  expect(codesOf(outcomes)).toEqual(['BOOKS_BEHIND', 'ACCEPTED', 'BOOKS_BEHIND']);
  // And is no longer held for want of his word.
  const { rows: held } = await sql`SELECT FROM restored_withdrawal WHERE wanted_at IS NULL`.execute(db);
  expect(held).toEqual([]);
});

test('E22: one whose key somebody holds for long does not keep the others of his set waiting for as long', async () => {
  const patient = createDatabase({
    connectionString: scene.database.connectionString,
    applicationName: 'sluice-test-patient',
    poolSizeMax: 10,
    lockTimeoutMs: 14_000,
    statementTimeoutMs: 30_000,
    logger: scene.database.logger,
  });
  const { clock } = scene;
  const taker = createWithdrawals({ db: patient.db, clock, network: 'testnet', idKey: new Uint8Array(32).fill(7) });
  const ask = async (key: string) =>
    await actAs({ principal: key, action: 'createWithdrawal', inputHash: 'ab'.repeat(32) }, async () =>
      taker.create(requestOf(key)),
    );
  // With it the accounts of the books are there.
  await scene.withdrawals.create(requestOf('first'));
  const held = Promise.withResolvers<void>();
  const isHolding = Promise.withResolvers<void>();
  const holder = scene.db.transaction().execute(async (tx) => {
    await scene.withdrawals.createIn(tx, requestOf('held'), { kind: 'CUSTOMER', owner: 'alice' });
    isHolding.resolve();
    await held.promise;
  });
  try {
    await isHolding.promise;
    const waiting = ask('held');
    const others = await Promise.all(Array.from({ length: 8 }, async (_, line) => await ask(`other ${line}`)));
    expect(others.map(({ isReplayed }) => isReplayed)).toEqual(others.map(() => false));

    held.resolve();
    await holder;
    expect(await waiting).toMatchObject({ isReplayed: true });
    expect(await statesOf()).toEqual({ QUEUED: 10 });
    const { rows: asked } = await sql<{ principal: string; subject: string }>`
      SELECT DISTINCT principal, subject FROM audit_outbox WHERE subject_type = 'withdrawal' AND principal LIKE 'other%'`.execute(
      scene.db,
    );
    expect(asked).toHaveLength(8);
  } finally {
    held.resolve();
    await holder;
    await patient.close();
  }
}, 12_000);
