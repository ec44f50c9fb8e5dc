/**
 * Payments that the database knows nothing of, as a restore leaves them behind: the network makes them as the life before would have, with what it sealed into them. And what only looks like one: E19, Z13.
 */

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createDesk } from '../../src/deposits/desk.ts';
import { recoverRefund } from '../../src/deposits/recovered-refund.ts';
import { recordVerdict } from '../../src/deposits/screening-verdict.ts';
import { systemClock } from '../../src/env/system.ts';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import { readRestoreReport } from '../../src/read/restores.ts';
import { readWaits } from '../../src/read/withdrawal-waits.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { recoverLate } from '../../src/withdrawals/late-recovery.ts';
import { createPaymentRecovery } from '../../src/withdrawals/recovered-payments.ts';
import { cancelSuperseded } from '../../src/withdrawals/superseded-refund.ts';
import { createOriginSeal, metadataOf, type OriginSeal } from '../../src/withdrawals/transfer-metadata.ts';
import { createWithdrawals, type WithdrawalRequest } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import type { TestDatabase } from '../support/database.ts';
import { decideScreening } from '../support/deposit-screening.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK } from '../support/network.ts';
import {
  become,
  becomeReopened,
  caughtUp,
  fund,
  idKey,
  logger,
  look,
  memory,
  onNetworkOfItsOwn,
  openDatabase,
  openFreezes,
  openOnly,
  reopened,
  request,
  type Sluice,
  seal,
  simnet,
  sluiceOn,
  stop,
  WINDOW,
} from './harness.ts';

onNetworkOfItsOwn();

/** What travels with the payment of a request. */
function metadata(wanted: WithdrawalRequest, by: Pick<OriginSeal, 'seal'> = seal): Record<string, string> {
  const { client, idempotencyKey, account, receiver, instrument, amount, memo, treasuryParty } = wanted;
  const id = withdrawalId(idKey, client, idempotencyKey);
  const parts = [account, treasuryParty, instrument.admin, instrument.id, receiver, formatAmount(amount), memo];
  const requestHash = createHash('sha256').update(JSON.stringify(parts)).digest();
  const sealedOrigin = by.seal(
    { client, idempotencyKey, account, requestHash, payer: { kind: 'CUSTOMER', owner: account } },
    { withdrawalId: id, receiver, instrument, amount, memo },
  );
  return metadataOf({ id, memo, sealedOrigin });
}

type Payment = Partial<Parameters<typeof simnet.network.transfer>[0]>;

/** As the life before paid it. */
function pay(wanted: WithdrawalRequest, other: Payment = {}): string | undefined {
  return simnet.network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: formatAmount(wanted.amount),
    meta: metadata(wanted),
    ...other,
  }).instructionCid;
}

async function start(options: { readonly isRecovering?: boolean } = {}, database?: TestDatabase): Promise<Sluice> {
  const sluice = await sluiceOn(database ?? (await openDatabase()), options);
  await look(sluice.db);
  await fund(sluice, 3);
  return sluice;
}

async function keepBalances({ db }: Sluice): Promise<void> {
  const { id: network_id } = await db.selectFrom('network').select('id').executeTakeFirstOrThrow();
  await db
    .insertInto('customer_books')
    .values({ network_id, mode: 'INTERNAL', changed_at: 0n, changed_by: 'test' })
    .execute();
}

const accountsOf = async ({ db }: Sluice) =>
  (
    await db
      .selectFrom('account_balance as b')
      .innerJoin('account as a', 'a.id', 'b.account_id')
      .select(['a.kind', 'a.owner', 'b.balance'])
      .where('a.kind', 'in', ['CUSTOMER', 'SHORTFALL', 'WITHDRAWALS', 'UNEXPLAINED'])
      .orderBy('a.kind')
      .execute()
  ).filter(({ balance }) => Number(balance) !== 0);

test('C12: a payment that nobody knows gives the restore away, where nothing else did, and its withdrawal is made anew', async () => {
  const sluice = await start();
  pay(request('gone', '4'));

  await become(sluice, { gone: 'COMPLETED' });
  expect(await openFreezes(sluice.db)).toEqual(['DATABASE_WENT_BACK']);
  await expect(sluice.create('next', '8')).rejects.toMatchObject({ code: 'DB_RESTORED' });
  expect(await accountsOf(sluice)).toMatchObject([
    { kind: 'CUSTOMER', owner: 'account of gone', balance: '-4.0000000000' },
  ]);
  // The second one is no news.
  pay(request('gone too', '16'));
  await become(sluice, { 'gone too': 'COMPLETED' });
  expect(await sluice.db.selectFrom('database_restore').select('treasury_id').execute()).toEqual([
    { treasury_id: sluice.ingestion.treasuries[0]?.id },
  ]);

  await becomeReopened(sluice);
  expect(await sluice.create('gone', '4')).toMatchObject({ isReplayed: true });
  await expect(sluice.create('gone', '5')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('C12: where Sluice keeps the balances, the house lays out what the customer of a lost payment has not, aloud, and ingestion goes on', async () => {
  const sluice = await start();
  await keepBalances(sluice);
  pay(request('uncovered', '4'));

  await become(sluice, { uncovered: 'COMPLETED' });

  const { rows } = await sql<{ account: string; balance: string }>`
    SELECT concat_ws(' ', a.kind, nullif(a.owner, '')) AS account, b.balance::text AS balance
    FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind IN ('CUSTOMER', 'SHORTFALL') ORDER BY 1`.execute(
    sluice.db,
  );
  expect(rows).toEqual([
    { account: 'CUSTOMER account of uncovered', balance: '0.0000000000' },
    { account: 'SHORTFALL', balance: '-4.0000000000' },
  ]);
  const told = await sql`SELECT payload FROM event WHERE type = 'books.shortfall'
    UNION ALL SELECT payload FROM event_outbox WHERE type = 'books.shortfall'`.execute(sluice.db);
  expect(told.rows).toMatchObject([{ payload: { account: 'account of uncovered', amount: '4.0000000000' } }]);
  expect(await sluice.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('E19, Z13: what only carries the id of a live withdrawal, or a seal that is another’s, changes nothing of it', async () => {
  const sluice = await start();
  const wanted = request('live', '4');
  const { id } = await sluice.create('live', '4');
  const meta = metadata(wanted);
  const stranger = createOriginSeal({ idKey: new Uint8Array(32).fill(8) });
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
  const deposit = { instrument: 'amulet', sender: 'alice', receiver: 'treasury' };

  // Foreign transfers: with the id as memo, and with everything that travels.
  simnet.network.transfer({ ...deposit, amount: '4', memo: id });
  simnet.network.transfer({ ...deposit, amount: '4', meta });
  // Of our own making: another amount, another receiver, another seal, none at all.
  pay(wanted, { amount: '5' });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  pay(wanted, { receiver: 'alice' });
  pay(wanted, { meta: metadata(wanted, stranger) });
  pay(wanted, { meta: metadataOf({ id, memo: wanted.memo, sealedOrigin: null }) });
  await caughtUp(sluice);

  expect(await sluice.states()).toEqual({ live: 'QUEUED' });
  const row = await sluice.db.selectFrom('withdrawal').selectAll().executeTakeFirstOrThrow();
  expect(row).toMatchObject({ transfer_id: null, recovered_at: null });
  expect(await sluice.db.selectFrom('database_restore').selectAll().execute()).toEqual([]);
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('E19: nor does a seal of ours in a transfer that pays what another withdrawal asked for', async () => {
  const sluice = await start();
  await sluice.create('live', '4');
  // The same key was asked for something else in the life before: the row that is here asked for another amount.
  pay(request('live', '7'));
  await caughtUp(sluice);

  expect(await sluice.states()).toEqual({ live: 'QUEUED' });
  expect(await sluice.db.selectFrom('database_restore').selectAll().execute()).toEqual([]);
});

test('C12: an offer of the life before is followed to its end: accepted, and returned', async () => {
  const database = await openDatabase();
  const sluice = await start({}, database);
  const accepted = pay(request('accepted', '4'), { kind: 'offer' });
  const rejected = pay(request('rejected', '8'), { kind: 'offer' });
  if (accepted === undefined || rejected === undefined) throw new Error('No offers were made.');
  await become(sluice, { accepted: 'OFFERED', rejected: 'OFFERED' });

  simnet.network.accept({ instructionCid: accepted });
  simnet.network.reject({ instructionCid: rejected });
  await become(sluice, { accepted: 'COMPLETED', rejected: 'RETURNED' });
  // Begun and ended between two looks: one batch shows both.
  await stop(sluice);
  const again = pay(request('at once', '16'), { kind: 'offer' });
  if (again === undefined) throw new Error('No offer was made.');
  simnet.network.accept({ instructionCid: again });
  const second = await sluiceOn(database);
  await become(second, { 'at once': 'COMPLETED' });
  expect(await accountsOf(second)).toMatchObject([
    { owner: 'account of accepted', balance: '-4.0000000000' },
    { owner: 'account of at once', balance: '-16.0000000000' },
  ]);
  expect(await checkBooks(second.db)).toEqual([]);
});

test('C12: a withdrawal that was waiting for people in the backup is found to be paid; one that ended is not touched, and freezes', async () => {
  const sluice = await start();
  await sluice.create('approved since', '4');
  await sql`UPDATE withdrawal SET state = 'AWAITING_APPROVAL'`.execute(sluice.db);
  const { id } = await sluice.create('cancelled here', '8');
  await sluice.cancel(id);
  expect(await sluice.states()).toEqual({ 'approved since': 'AWAITING_APPROVAL', 'cancelled here': 'CANCELLED' });

  pay(request('approved since', '4'));
  pay(request('cancelled here', '8'));
  await become(sluice, { 'approved since': 'COMPLETED', 'cancelled here': 'CANCELLED' });
  await caughtUp(sluice);
  expect(await openFreezes(sluice.db)).toEqual(['DATABASE_WENT_BACK', 'TRANSFER_NOT_EXPECTED']);
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('C12: a payment that was an alarm when it was read is no sign of a restore later on', async () => {
  const sluice = await start({ isRecovering: false });
  const { id } = await sluice.create('cancelled', '8');
  await sluice.cancel(id);
  pay(request('cancelled', '8'));
  await caughtUp(sluice);
  const [treasury] = sluice.ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const { update_id: updateId } = await sluice.db
    .selectFrom('transfer')
    .select('update_id')
    .where('direction', '=', 'OUT')
    .executeTakeFirstOrThrow();
  await sluice.db.transaction().execute(
    async (tx) =>
      await openFreeze(tx, {
        treasuryId: treasury.id,
        instrumentKey: null,
        reason: 'TRANSFER_NOT_EXPECTED',
        detail: 'Seen against a withdrawal that had ended.',
        cause: `update:${updateId}`,
        openedBy: 'withdrawals',
        nowMicros: systemClock.nowMicros(),
      }),
  );

  const recover = createPaymentRecovery({ seal, clock: systemClock, logger, window: WINDOW, recoverRefund });
  const sink = createWithdrawalSink({ clock: systemClock, logger, recover });
  expect(await recoverLate(sluice.db, treasury, sink)).toBe(0);
  expect(await openFreezes(sluice.db)).toEqual(['TRANSFER_NOT_EXPECTED']);
});

test('C12: what could not be opened keeps its instrument frozen, and is made anew when the key is there', async () => {
  const sluice = await start({ isRecovering: false });
  pay(request('sealed', '4'));
  const offered = pay(request('rejected', '8'), { kind: 'offer' });
  if (offered === undefined) throw new Error('No offer was made.');
  simnet.network.reject({ instructionCid: offered });
  await caughtUp(sluice);
  memory.note({ epoch: 'another', position: 0n, history: 'x', walPosition: 0n });
  await look(sluice.db);
  await expect(sluice.create('sealed', '4')).rejects.toMatchObject({ code: 'PAID_BEFORE' });
  await becomeReopened(sluice);
  expect(await openFreezes(sluice.db)).toEqual(['PAYMENT_NOT_RECOVERED']);
  expect((await readRestoreReport(sluice.db, 10)).unknownPayments).toHaveLength(2);

  const [treasury] = sluice.ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const recover = createPaymentRecovery({ seal, clock: systemClock, logger, window: WINDOW, recoverRefund });
  const sink = createWithdrawalSink({ clock: systemClock, logger, recover });
  expect(await recoverLate(sluice.db, treasury, sink)).toBe(2);
  expect(await recoverLate(sluice.db, treasury, sink)).toBe(0);
  expect(await sluice.states()).toEqual({ sealed: 'COMPLETED', rejected: 'RETURNED' });
  // No second alarm for what was noted already.
  expect(await openFreezes(sluice.db)).toEqual(['PAYMENT_NOT_RECOVERED']);
  expect(await readRestoreReport(sluice.db, 10)).toMatchObject({
    unknownPayments: [],
    madeAnew: [{ idempotencyKey: 'sealed' }, { idempotencyKey: 'rejected' }],
    treasuries: [{ name: 'treasury', isFrozen: false }],
    restores: [{ noticedBy: 'event-log', treasury: null }],
  });
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('C12: nothing is signed in a database that went back and was not found out yet', async () => {
  const sluice = await start();
  await sluice.create('asked', '4');
  await openOnly(sluice);
  // This process has seen more of the log than there is here.
  const known = memory.known();
  if (known === null) throw new Error('Nothing was seen.');
  memory.note({ ...known, position: known.position + 1_000n });
  sluice.startPayouts();

  await expectTrouble(sluice, /not the one that was there before/);
  expect(await sluice.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
  expect(await reopened(sluice.db)).toEqual([]);
  await look(sluice.db);
  await becomeReopened(sluice);
  // Whether it had been signed is among what was lost: it lapses, and is held until somebody says that it is still wanted.
  await become(sluice, { asked: 'QUEUED' });
  await sluice.create('asked', '4');
  await become(sluice, { asked: 'COMPLETED' });
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('4.0000000000');
});

async function expectTrouble({ db }: Sluice, expected: RegExp): Promise<void> {
  await eventually(
    async () => {
      const { last_error } = await db.selectFrom('attempt').select('last_error').executeTakeFirstOrThrow();
      expect(last_error).toMatch(expected);
    },
    { deadlineMs: 20_000 },
  );
}

/** @returns the id of the transfer. */
async function depositOf(sluice: Sluice, memo: string): Promise<string> {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '4' });
  simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '4', memo });
  await caughtUp(sluice);
  const { id } = await sluice.db.selectFrom('transfer').select('id').where('memo', '=', memo).executeTakeFirstOrThrow();
  return id;
}

/** As the life before did, by a refund of which nothing else is left. @returns the id of its withdrawal, and of its transfer instruction. */
function sendBack(deposit: string, { ordinal = 1, ...other }: Payment & { readonly ordinal?: number } = {}) {
  const key = `refund:${deposit}:${ordinal}`;
  const wanted = { ...request(key, '4'), client: 'sluice:desk', account: deposit, memo: null };
  const id = withdrawalId(idKey, wanted.client, wanted.idempotencyKey);
  const sealedOrigin = seal.seal(
    { ...wanted, requestHash: new Uint8Array(32), payer: { kind: 'REFUNDS', owner: deposit } },
    { ...wanted, withdrawalId: id },
  );
  const instructionCid = pay(wanted, { meta: metadataOf({ id, memo: null, sealedOrigin }), ...other });
  return { id, key, instructionCid };
}

const treasuryOf = ({ ingestion }: Sluice): number => ingestion.treasuries[0]?.id ?? 0;

const withdrawalsOf = ({ db }: Sluice) =>
  createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey, seal, log: memory });

function deskOf(sluice: Sluice) {
  const { admin, id } = simnet.network.instrument('amulet');
  const limits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
  return createDesk({ db: sluice.db, clock: systemClock, limits, withdrawals: withdrawalsOf(sluice) });
}

test('C12: a deposit that was sent back is sent back again by its payment, and the desk knows', async () => {
  const sluice = await start();
  const deposit = await depositOf(sluice, 'nobody');
  const { id, key } = sendBack(deposit);

  await become(sluice, { [key]: 'COMPLETED' });
  const found = await sluice.db.selectFrom('desk_case').selectAll().executeTakeFirstOrThrow();
  expect(found).toMatchObject({ state: 'REFUNDED', withdrawal_id: id });
  expect((await readRestoreReport(sluice.db, 10)).refunds).toEqual([]);
  expect(await checkBooks(sluice.db)).toEqual([]);
});

test('C12: where it came back a second time, the desk sends it back by another refund than the one that was made anew', async () => {
  const sluice = await start();
  const deposit = await depositOf(sluice, 'nobody');
  const { key, instructionCid } = sendBack(deposit, { kind: 'offer' });
  if (instructionCid === undefined) throw new Error('No offer was made.');
  await become(sluice, { [key]: 'OFFERED' });
  simnet.network.reject({ instructionCid });
  await become(sluice, { [key]: 'RETURNED' });
  await becomeReopened(sluice);

  expect(await deskOf(sluice).refund({ transferId: deposit, reason: 'ticket', by: 'support' })).toMatchObject({
    isReplayed: false,
  });
  expect(await sluice.states()).toEqual({ [key]: 'RETURNED', [`refund:${deposit}:2`]: 'QUEUED' });
  expect(await checkBooks(sluice.db)).toEqual([]);
});

describe('C12: so does one with an earlier refund', () => {
  async function refundEarlier() {
    const sluice = await start();
    const deposit = await depositOf(sluice, 'nobody');
    await deskOf(sluice).refund({ transferId: deposit, reason: 'ticket', by: 'support' });
    const { id, idempotency_key: key } = await sluice.db
      .selectFrom('withdrawal')
      .select(['id', 'idempotency_key'])
      .executeTakeFirstOrThrow();
    return { sluice, deposit, earlier: { id, key } };
  }

  async function demandRefunded({ db }: Sluice, id: string): Promise<void> {
    const found = await db.selectFrom('desk_case').selectAll().executeTakeFirstOrThrow();
    expect(found).toMatchObject({ state: 'REFUNDED', withdrawal_id: id });
    expect((await readRestoreReport(db, 10)).refunds).toEqual([]);
    expect(await checkBooks(db)).toEqual([]);
  }

  test('that has come to nothing', async () => {
    const { sluice, deposit, earlier } = await refundEarlier();
    await withdrawalsOf(sluice).cancel('sluice:desk', earlier.id);
    const { id, key } = sendBack(deposit, { ordinal: 2 });

    await become(sluice, { [earlier.key]: 'CANCELLED', [key]: 'COMPLETED' });
    await demandRefunded(sluice, id);
  });

  test('that waits to be paid, as the life before did not let it: it is paid no more, and cancelled once nothing that was lost can commit', async () => {
    const { sluice, deposit, earlier } = await refundEarlier();
    memory.note({ epoch: 'another', position: 0n, history: 'x', walPosition: 0n });
    await look(sluice.db);
    const { id, key } = sendBack(deposit, { ordinal: 2 });

    await become(sluice, { [key]: 'COMPLETED' });
    expect(await sluice.states()).toMatchObject({ [earlier.key]: 'QUEUED' });
    const now = { nowMicros: systemClock.nowMicros(), recordTimeAheadMsMax: 60_000 };
    expect(await readWaits(sluice.db, [earlier.id], now)).toEqual(['PAID_BEFORE']);
    await demandRefunded(sluice, id);

    await cancelSuperseded(sluice.db, treasuryOf(sluice), systemClock.nowMicros());
    expect(await sluice.states()).toEqual({ [earlier.key]: 'QUEUED', [key]: 'COMPLETED' });

    await becomeReopened(sluice);
    expect(await cancelSuperseded(sluice.db, treasuryOf(sluice), systemClock.nowMicros())).toBe(1);
    expect(await sluice.states()).toEqual({ [earlier.key]: 'CANCELLED', [key]: 'COMPLETED' });
    await demandRefunded(sluice, id);
  });

  test('that was paid and is found late, behind the one that followed it: what followed stays the deposit’s', async () => {
    const sluice = await start();
    const deposit = await depositOf(sluice, 'nobody');
    const second = sendBack(deposit, { ordinal: 2 });
    await become(sluice, { [second.key]: 'COMPLETED' });
    const first = sendBack(deposit, { kind: 'offer' });
    if (first.instructionCid === undefined) throw new Error('No offer was made.');
    simnet.network.reject({ instructionCid: first.instructionCid });

    await become(sluice, { [first.key]: 'RETURNED' });
    await demandRefunded(sluice, second.id);
  });

  test('that is under way: nobody signs it any more, and it ends once it cannot commit', async () => {
    const { sluice, deposit, earlier } = await refundEarlier();
    await openOnly(sluice);
    const { id, key } = sendBack(deposit, { ordinal: 2 });

    await become(sluice, { [key]: 'COMPLETED' });
    expect(await sluice.states()).toMatchObject({ [earlier.key]: 'IN_FLIGHT' });
    await demandRefunded(sluice, id);

    await becomeReopened(sluice);
    sluice.startPayouts();
    await become(sluice, { [earlier.key]: 'CANCELLED' });
    await demandRefunded(sluice, id);
  });
});

test.each([
  ['by its memo', 'carol-memo'],
  ['by the desk', 'nobody'],
])(
  'C12: one that was sent back and is carol’s %s, until a verdict, goes with its payment as well, whatever the verdict is',
  async (_, memo) => {
    const sluice = await start();
    const { db } = sluice;
    await registerMemos(db, NETWORK, { 'carol-memo': 'carol' });
    await decideScreening(db, NETWORK, true);
    const deposit = await depositOf(sluice, memo);
    if (memo === 'nobody') {
      const { admin, id } = simnet.network.instrument('amulet');
      const limits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
      const desk = createDesk({ db, clock: systemClock, limits, withdrawals: null });
      await desk.assign({ transferId: deposit, account: 'carol', reason: 'ticket', by: 'support' });
    }
    const { id, key } = sendBack(deposit);

    await become(sluice, { [key]: 'COMPLETED' });
    const verdict = { kind: 'ALLOW', caseId: null, reason: null } as const;
    const about = { account: 'carol', by: 'screening', refunds: null, nowMicros: systemClock.nowMicros() };
    const recorded = await db.transaction().execute(async (tx) => await recordVerdict(tx, deposit, verdict, about));
    expect(recorded).toBe('NOT_ASKED');
    expect(await db.selectFrom('attribution').selectAll().execute()).toEqual([]);
    const found = await db.selectFrom('desk_case').selectAll().executeTakeFirstOrThrow();
    expect(found).toMatchObject({ state: 'REFUNDED', withdrawal_id: id });
    expect((await readRestoreReport(db, 10)).refunds).toEqual([]);
    expect(await checkBooks(db)).toEqual([]);
  },
);
