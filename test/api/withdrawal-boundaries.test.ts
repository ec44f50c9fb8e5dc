/** Requests that make no sense, at the door: each is refused with a type, a code and advice, and nothing at all is stored. And what an idempotency key may be. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { ID_KEY, post } from '../support/api.ts';
import { AMULET_ADMIN, createRows } from '../support/rows.ts';
import { as, CREATE, INPUT, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const OWN_PARTY = `own::1220${'cd'.repeat(32)}`;
const OTHER_NETWORKS_PARTY = `elsewhere::1220${'ef'.repeat(32)}`;

let scene: WithdrawalApi;

beforeAll(async () => {
  scene = await startWithdrawalApi();
  await scene.rows.treasury(OWN_PARTY);
  const elsewhere = createRows(scene.database.db, 'othernet');
  await elsewhere.treasury(OTHER_NETWORKS_PARTY);
  await elsewhere.instrument('Elsewhere');
});

afterAll(async () => {
  await scene.close();
});

const PAYER = { treasuryParty: 'treasury::1220bb' };

async function rowsOfAllTables(): Promise<Record<string, string>> {
  const { db } = scene.database;
  const { rows: tables } = await sql<{ name: string }>`
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`.execute(db);
  const counts: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await sql<{ count: string }>`SELECT count(*)::text AS count FROM ${sql.table(name)}`.execute(db);
    counts[name] = rows[0]?.count ?? '';
  }
  return counts;
}

describe('E20: a request that makes no sense', () => {
  test.each([
    ['to the treasury that pays', { receiver: OWN_PARTY, treasuryParty: OWN_PARTY }, 'RECEIVER_INVALID'],
    ['to another treasury of ours', { receiver: OWN_PARTY }, 'RECEIVER_INVALID'],
    ['of nothing', { amount: '0' }, 'AMOUNT_NOT_POSITIVE'],
    ['of nothing, with decimals', { amount: '0.0000000000' }, 'AMOUNT_NOT_POSITIVE'],
    ['of nothing below zero', { amount: '-0' }, 'AMOUNT_NOT_POSITIVE'],
    ['below zero', { amount: '-0.0000000001' }, 'AMOUNT_NOT_POSITIVE'],
    ['to no party id', { receiver: 'bob' }, 'RECEIVER_INVALID'],
    ['to a party id without a fingerprint', { receiver: 'bob::' }, 'RECEIVER_INVALID'],
    ['to a party id of another hash', { receiver: `bob::1120${'ab'.repeat(32)}` }, 'RECEIVER_INVALID'],
    ['to a party id that is cut short', { receiver: `bob::1220${'ab'.repeat(31)}` }, 'RECEIVER_INVALID'],
    ['to a party id with a blank', { receiver: ` bob::1220${'ab'.repeat(32)}` }, 'RECEIVER_INVALID'],
    ['to a party id in other letters', { receiver: `b\u043eb::1220${'ab'.repeat(32)}` }, 'RECEIVER_INVALID'],
    ['by a treasury of another network', { treasuryParty: OTHER_NETWORKS_PARTY }, 'TREASURY_UNKNOWN'],
    ['by nobody', { treasuryParty: '' }, 'TREASURY_UNKNOWN'],
    ['of an instrument of another network', { instrumentId: 'Elsewhere' }, 'INSTRUMENT_NOT_ACCEPTED'],
    ['of an instrument nobody heard of', { instrumentId: 'amulet' }, 'INSTRUMENT_NOT_ACCEPTED'],
    ['of the same id by another admin', { instrumentAdmin: `${AMULET_ADMIN}0` }, 'INSTRUMENT_NOT_ACCEPTED'],
    ['of an instrument that is not accepted', { instrumentId: 'Spam' }, 'INSTRUMENT_NOT_ACCEPTED'],
  ])('%s is refused', async (_what, input, code) => {
    const before = await rowsOfAllTables();

    const refused = await scene.create({ idempotencyKey: 'boundary', ...PAYER, ...input });

    expect(refused).toMatchObject({
      __typename: 'WithdrawalInputError',
      code,
      fix: expect.stringMatching(/./),
      why: expect.stringMatching(/./),
      retryable: false,
    });
    expect(await rowsOfAllTables()).toEqual(before);
  });

  test.each([
    '0.00000000001',
    '1.00000000000',
    '10000000000000000000000000000',
    '99999999999999999999999999999.5',
    '1e3',
    '+1',
    ' 1',
    '1,5',
    '1_000',
    '.5',
    '1.',
    '٣',
    'NaN',
    'Infinity',
    '0x10',
    '',
    1,
    1.5,
    null,
    ['1'],
    { value: '1' },
  ])('E20, G8: the amount %j is no amount of the ledger, and is refused before anything else', async (amount) => {
    const before = await rowsOfAllTables();
    const input = { ...INPUT, ...PAYER, idempotencyKey: 'amount', amount };

    const { errors, data } = await scene.api.query(CREATE, { input });

    expect(errors).toHaveLength(1);
    expect(data?.createWithdrawal ?? null).toBeNull();
    expect(await rowsOfAllTables()).toEqual(before);
  });

  test('the smallest and the largest amount of the ledger are taken as they are', async () => {
    for (const amount of ['0.0000000001', '9999999999999999999999999999.9999999999']) {
      const created = await scene.create({ idempotencyKey: `exact-${amount}`, ...PAYER, amount });
      expect(created.withdrawal.amount).toBe(amount);
    }
  });
});

describe('Z36: an idempotency key', () => {
  test('of somebody else is another one: nothing is replayed, read or cancelled through it', async () => {
    const mine = await scene.create({ idempotencyKey: 'mine', ...PAYER });
    const theirs = await scene.create({ idempotencyKey: 'mine', ...PAYER, amount: '1' }, as('service'));

    expect(theirs).toMatchObject({ replayed: false });
    expect(theirs.withdrawal.withdrawalId).not.toBe(mine.withdrawal.withdrawalId);
    expect((await scene.cancel(mine.withdrawal.withdrawalId, as('service'))).code).toBe('WITHDRAWAL_UNKNOWN');
  });

  test('with another body is refused, whichever part differs, and the first stays as it was', async () => {
    const first = await scene.create({ idempotencyKey: 'body', ...PAYER, memo: 'Bob-7' });
    for (const other of [
      { amount: '12.5000000001' },
      { account: 'alice ' },
      { memo: 'bob-7' },
      { memo: null },
      { receiver: `eve::1220${'ab'.repeat(32)}` },
      { treasuryParty: OWN_PARTY },
    ]) {
      const refused = await scene.create({ idempotencyKey: 'body', ...PAYER, memo: 'Bob-7', ...other });
      expect(refused, JSON.stringify(other)).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', retryable: false });
    }
    expect(await scene.create({ idempotencyKey: 'body', ...PAYER, memo: 'Bob-7' })).toEqual({
      ...first,
      replayed: true,
    });
  });

  test('has up to 255 bytes of printable text, each byte of which counts', async () => {
    const taken = [
      'x'.repeat(255),
      'ä'.repeat(127),
      '🪙'.repeat(63),
      'a b',
      '%00',
      "'; DROP TABLE withdrawal; --",
      '__proto__',
    ];
    for (const idempotencyKey of taken) {
      const created = await scene.create({ idempotencyKey, ...PAYER });
      expect(created.withdrawal.withdrawalId, idempotencyKey).toBe(withdrawalId(ID_KEY, 'developer', idempotencyKey));
    }
    for (const idempotencyKey of [
      '',
      'x'.repeat(256),
      'ä'.repeat(128),
      '🪙'.repeat(64),
      'a\tb',
      '\u007f',
      '\ufffd',
      '\ud83e',
    ]) {
      expect(await scene.create({ idempotencyKey, ...PAYER })).toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
    }
  });

  test('is taken byte by byte: letters that look alike are other keys', async () => {
    const keys = ['\u00c5', 'A\u030a', '\u212b', 'key', 'KEY', 'k\u0435y', 'key\u200b', 'key '];
    const ids = new Set<string>();
    for (const idempotencyKey of keys) {
      const created = await scene.create({ idempotencyKey, ...PAYER });
      expect(created.replayed, idempotencyKey).toBe(false);
      ids.add(created.withdrawal.withdrawalId);
    }
    expect(ids.size).toBe(keys.length);
  });

  test('of a megabyte does not get past the door', async () => {
    const before = await rowsOfAllTables();
    const input = { ...INPUT, ...PAYER, idempotencyKey: 'x'.repeat(1_000_000) };

    const { status } = await post(scene.api.url, { query: CREATE, variables: { input } });

    expect(status).toBe(413);
    expect(await rowsOfAllTables()).toEqual(before);
  });
});
