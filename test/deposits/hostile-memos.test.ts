/** G1: memos as strangers write them. Only the very bytes that were registered credit anybody; whatever else comes is kept, shown, and credits nobody. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDepositAccountChanges } from '../../src/deposits/deposit-account-changes.ts';
import { depositUri, parseDepositUri } from '../../src/deposits/deposit-uri.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { listDeskCases } from '../../src/read/desk-cases.ts';
import { depositAccountId } from '../../src/tokens/ids.ts';
import { NETWORK } from '../support/network.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;

beforeAll(async () => {
  scene = await startDepositScene();
});

afterAll(async () => {
  await scene.close();
});

const register = async (account: string, memo: string) =>
  await scene.depositAccounts.create({ network: NETWORK, account, memo, createdBy: 'test' });

const ownerOf = async (memo: string): Promise<string | null> => {
  scene.pay({ amount: '1', memo });
  await scene.settled();
  const last = (await scene.transferIds()).at(-1) ?? '';
  const row = await scene.database.db
    .selectFrom('attribution')
    .innerJoin('account', 'account.id', 'attribution.account_id')
    .select('account.owner')
    .where('transfer_id', '=', last)
    .executeTakeFirst();
  return row?.owner ?? null;
};

test('G1: memos that look alike are different memos, each with its own owner', { timeout: 120_000 }, async () => {
  const memos = [
    'Ångström',
    'A\u030angstro\u0308m',
    '\u212bngström',
    'x',
    ' x',
    'x ',
    'X',
    'х',
    'x\u200b',
    '\u202ex',
    '0x1',
    '__proto__',
  ];
  for (const [index, memo] of memos.entries()) await register(`owner-${index}`, memo);

  for (const [index, memo] of memos.entries()) expect(await ownerOf(memo), JSON.stringify(memo)).toBe(`owner-${index}`);
});

test('G1: what nobody registered credits nobody, crashes nothing, and is found at the desk', {
  timeout: 120_000,
}, async () => {
  const hostile = [
    'alice-memo\0',
    '\0',
    '\ud800',
    'alice-memo\n',
    ' alice-memo',
    'ALICE-MEMO',
    'alice‐memo',
    "'; DROP TABLE account; --",
    '{"$ne":null}',
    'constructor',
    'x'.repeat(10_240),
    '💣'.repeat(10_000),
    '%',
    '\\',
  ];
  const known = await scene.database.db.selectFrom('desk_case').selectAll().execute();

  for (const memo of hostile) expect(await ownerOf(memo), JSON.stringify(memo.slice(0, 40))).toBeNull();

  const cases = await scene.database.db.selectFrom('desk_case').select(['state', 'why']).execute();
  expect(cases).toHaveLength(known.length + hostile.length);
  expect(new Set(cases.map(({ state, why }) => `${state} ${why}`))).toEqual(new Set(['OPEN UNKNOWN_MEMO']));
  const find = async (memoStart: string) =>
    (
      await listDeskCases(
        scene.database.db,
        { states: ['OPEN'], treasury: null, sender: null, memoStart },
        { limit: 50, after: null, before: null, isFromEnd: false },
      )
    ).rows.map(({ memo }) => memo);
  expect(await find('Alice-Memo')).toEqual(expect.arrayContaining([' alice-memo', 'ALICE-MEMO']));
  expect(await find('alice-memo ')).not.toContain('alice‐memo');
  expect(await find('%')).toEqual(['%']);
  expect(await find('\\')).toEqual(['\\']);
});

test('G1: what stands for text that cannot be stored is no memo, and an account that could not withdraw is none', async () => {
  await expect(register('alice', 'alice\ufffd')).rejects.toMatchObject({ code: 'MEMO_INVALID' });
  for (const account of ['x'.repeat(256), 'x\u007f', 'x\ufffd']) {
    await expect(register(account, 'its-memo')).rejects.toMatchObject({ code: 'ACCOUNT_INVALID' });
  }
  expect(await register('x'.repeat(255), 'its-memo')).toMatchObject({ isReplayed: false });
  expect(await register('alice', 'm'.repeat(256))).toMatchObject({ isReplayed: false });
});

test('a disabled memo credits nobody, is nobody else’s, and is known by name at the desk', async () => {
  const changes = createDepositAccountChanges({ db: scene.database.db, clock: systemClock, random: systemRandom });
  await register('carol', 'Carol-1');
  const id = depositAccountId(NETWORK, 'Carol-1');
  await changes.disable({ id, by: 'support' });

  expect(await ownerOf('Carol-1')).toBeNull();
  await expect(register('mallory', 'Carol-1')).rejects.toMatchObject({ code: 'MEMO_TAKEN' });
  const rows = await scene.database.db
    .selectFrom('desk_case')
    .innerJoin('account', 'account.id', 'desk_case.named_account_id')
    .select(['why', 'owner'])
    .execute();
  expect(rows).toEqual([{ why: 'MEMO_DISABLED', owner: 'carol' }]);

  await changes.enable({ id, by: 'support' });
  expect(await ownerOf('Carol-1')).toBe('carol');
});

test('a rotated memo credits the same customer as the one that took its place', async () => {
  const changes = createDepositAccountChanges({ db: scene.database.db, clock: systemClock, random: systemRandom });
  await register('dave', 'Dave-1');
  await register('erin', 'Erin-1');
  const id = depositAccountId(NETWORK, 'Dave-1');

  await expect(changes.rotate({ id, memo: 'Erin-1', by: 'support' })).rejects.toMatchObject({ code: 'MEMO_TAKEN' });
  await expect(changes.rotate({ id, memo: 'Dave-1', by: 'support' })).rejects.toMatchObject({ code: 'MEMO_TAKEN' });
  const [first, second] = await Promise.all([
    changes.rotate({ id, memo: null, by: 'support' }),
    changes.rotate({ id, memo: null, by: 'support' }),
  ]);

  expect(first.depositAccount.id).toBe(second.depositAccount.id);
  expect([first.isReplayed, second.isReplayed].sort()).toEqual([false, true]);
  expect(await ownerOf('Dave-1')).toBe('dave');
  expect(await ownerOf(first.depositAccount.memo)).toBe('dave');
});

test('a rotation never leaves a customer without an address to show', async () => {
  const changes = createDepositAccountChanges({ db: scene.database.db, clock: systemClock, random: systemRandom });
  for (const memo of ['Gina-1', 'Gina-2', 'Gina-3', 'Gina-4']) await register('gina', memo);
  const rotate = async (from: string, to: string) =>
    await changes.rotate({ id: depositAccountId(NETWORK, from), memo: to, by: 'support' });
  const refused = { code: 'REPLACEMENT_NOT_ACTIVE' };

  await rotate('Gina-1', 'Gina-2');
  await expect(rotate('Gina-2', 'Gina-1')).rejects.toMatchObject(refused);
  await changes.disable({ id: depositAccountId(NETWORK, 'Gina-3'), by: 'support' });
  await expect(rotate('Gina-2', 'Gina-3')).rejects.toMatchObject(refused);
  // Each takes the other's place: one of them is refused, whoever comes first.
  const results = await Promise.allSettled([rotate('Gina-2', 'Gina-4'), rotate('Gina-4', 'Gina-2')]);

  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const active = await scene.database.db
    .selectFrom('deposit_account')
    .select('memo')
    .where('memo', 'like', 'Gina-%')
    .where('state', '=', 'ACTIVE')
    .execute();
  expect(active).toHaveLength(1);
});

test('what a QR code says is what was registered, byte by byte', () => {
  const party = `treasury::1220${'ab'.repeat(32)}`;
  for (const memo of ['a', ' ', 'A\u030a', 'ä&b=c#d?e/f%', '💣', '\u202ex', '+', "'"]) {
    expect(parseDepositUri(depositUri(party, memo))).toEqual({ party, memo });
  }
  expect(parseDepositUri('x')).toBeNull();
  expect(parseDepositUri(`${party}?memoId=%`)).toBeNull();
  expect(parseDepositUri(`${party}?memoId=a+b`)).toBeNull();
});
