/** Kill switches: what they stop, who lifts them, and that neither a restart nor a restored database does. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recordSignatureRequest, recordTry } from '../../src/submissions/attempt-signing.ts';
import { type OpenAttempt, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { haltMoney, liftHalt } from '../../src/submissions/halts.ts';
import { openHaltSchema, openHalts, restoreHalts } from '../../src/submissions/halts-restored.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { eventually } from '../support/eventually.ts';
import { AMULET_ADMIN, DAY } from '../support/rows.ts';
import { as, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const EVERYTHING = { treasury: null, instrument: null };
const TREASURY = { network: 'testnet', party: 'treasury::1220bb' };
const AMULET = { admin: AMULET_ADMIN, id: 'Amulet' };

let api: WithdrawalApi;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
});

afterEach(async () => await api.close());

const word = (by: string, nowMicros = DAY) => ({ by, why: 'Because of a test.', nowMicros });
const opened = () => openAttempts(api.database.db, api.treasury, LIMITS, DAY);
const due = () => takeDueAttempts(api.database.db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros: DAY, countMax: 9 });
const sign = (attempt: OpenAttempt, byte = 1) =>
  recordSignatureRequest(api.database.db, WITHDRAWALS, attempt, {
    hash: new Uint8Array(32).fill(byte),
    scheme: 'V3',
    nowMicros: DAY,
  });

async function openedAttempt(): Promise<OpenAttempt> {
  await api.idOf('first');
  expect(await opened()).toBe(1);
  const [attempt] = await due();
  if (attempt === undefined) throw new Error('No attempt is due.');
  return attempt;
}

const HALT = `mutation ($input: HaltMoneyInput!) { haltMoney(input: $input) {
  __typename ... on HaltPayload { replayed halt { haltId treasury { party } instrument { instrumentId } why haltedBy liftAskedBy liftedBy } } ... on Error { code }
} }`;
const LIFT = `mutation ($input: LiftHaltInput!) { liftHalt(input: $input) {
  __typename ... on HaltPayload { halt { haltId haltedBy liftAskedBy liftedAt liftedBy liftWhy } } ... on Error { code }
} }`;

test.each([
  ['everything', EVERYTHING],
  ['the treasury', { treasury: TREASURY, instrument: null }],
  ['the instrument', { treasury: null, instrument: AMULET }],
  ['the instrument of the treasury', { treasury: TREASURY, instrument: AMULET }],
] as const)('S9: a halt of %s stops opening, taking, signing and sending at once', async (_name, scope) => {
  const { db } = api.database;
  const attempt = await openedAttempt();
  await db.updateTable('attempt').set({ next_try_at: DAY }).execute();
  await api.idOf('second', { amount: '1' });
  await api.rows.holding('more', '1000');

  const { haltId } = await haltMoney(db, scope, word('mia'));

  expect(await due()).toEqual([]);
  expect(await sign(attempt)).toBe(false);
  expect(await recordTry(db, attempt, DAY)).toBe(false);
  expect(await opened()).toBe(0);
  expect(await db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
  expect(
    await db.selectFrom('attempt').select(['state', 'tries', 'sign_requested_at', 'next_try_at']).execute(),
  ).toEqual(
    // Nothing was spent of its tries, nor of its turn.
    [{ state: 'OPEN', tries: 0, sign_requested_at: null, next_try_at: DAY }],
  );

  await liftHalt(db, haltId, word('mia'));
  expect(await sign(attempt)).toBe(false);
  await liftHalt(db, haltId, word('noah'));
  expect(await due()).toHaveLength(1);
  expect(await sign(attempt)).toBe(true);
  expect(await opened()).toBe(1);
});

test('S9: an instrument that two networks have is halted in the network of the treasury, and without one in both', async () => {
  const { db } = api.database;
  const { rows: moved } = await sql<{ id: number }>`
    WITH elsewhere AS (INSERT INTO network (name) VALUES ('elsewhere') RETURNING id)
    UPDATE instrument SET network_id = (SELECT id FROM elsewhere) WHERE instrument_id = 'Spam' RETURNING id`.execute(
    db,
  );
  await sql`
    INSERT INTO instrument (network_id, admin, instrument_id, name, is_accepted)
    SELECT network_id, admin, 'Spam', 'Spam', true FROM instrument WHERE instrument_id = 'Amulet'`.execute(db);
  const spam = { admin: AMULET_ADMIN, id: 'Spam' };
  const networksOf = async (haltIds: readonly string[]) => {
    const { rows } = await sql<{ name: string }>`
      SELECT n.name FROM halt h JOIN instrument i ON i.id = h.instrument_id JOIN network n ON n.id = i.network_id
      WHERE h.id = ANY (${haltIds}::text[]) ORDER BY 1`.execute(db);
    return rows.map(({ name }) => name);
  };
  expect(moved).toHaveLength(1);

  const { haltId } = await haltMoney(db, { treasury: TREASURY, instrument: spam }, word('mia'));
  expect(await networksOf([haltId])).toEqual(['testnet']);

  expect(await haltMoney(db, { treasury: null, instrument: spam }, word('mia', DAY + 9n))).toMatchObject({
    isReplayed: false,
  });
  const { rows: general } = await sql<{ id: string }>`SELECT id FROM halt WHERE treasury_id IS NULL`.execute(db);
  expect(await networksOf(general.map(({ id }) => id))).toEqual(['elsewhere', 'testnet']);
  expect(await haltMoney(db, { treasury: null, instrument: spam }, word('noah', DAY + 10n))).toMatchObject({
    isReplayed: true,
  });
});

test('S9: a halt of something else stops nothing here', async () => {
  const { db } = api.database;
  const attempt = await openedAttempt();
  await api.rows.treasury('other::1220cc');
  await haltMoney(db, { treasury: { network: 'testnet', party: 'other::1220cc' }, instrument: null }, word('mia'));
  await haltMoney(db, { treasury: null, instrument: { admin: AMULET_ADMIN, id: 'Spam' } }, word('mia'));
  await haltMoney(db, { treasury: { network: 'testnet', party: 'other::1220cc' }, instrument: AMULET }, word('mia'));

  expect(await sign(attempt)).toBe(true);
});

test('S9: a signature asked for before the halt is not sent after it', async () => {
  const { db } = api.database;
  const attempt = await openedAttempt();
  expect(await sign(attempt)).toBe(true);

  await haltMoney(db, EVERYTHING, word('mia'));

  expect(await recordTry(db, attempt, DAY)).toBe(false);
  expect(await sign(attempt, 2)).toBe(false);
  expect(await db.selectFrom('signed_hash').select('hash').execute()).toHaveLength(1);
});

test('Z42: fifty signers and one halt at once: after its commit nothing more is signed', async () => {
  const { db } = api.database;
  const attempt = await openedAttempt();
  let isHalted = false;
  const late: boolean[] = [];
  const signing = Array.from({ length: 50 }, async (_none, index) => {
    for (let round = 0; round < 4; round += 1) {
      const isAfter = isHalted;
      const isLet = await sign(attempt, 10 + index);
      if (isAfter) late.push(isLet);
    }
  });
  await eventually(async () =>
    expect((await db.selectFrom('signed_hash').select('hash').execute()).length).toBeGreaterThan(0),
  );
  await haltMoney(db, EVERYTHING, word('mia'));
  isHalted = true;
  await Promise.all(signing);
  // However many of them were that late.
  late.push(await sign(attempt, 99));

  expect(late.filter((isLet) => isLet)).toEqual([]);
});

test('Z42: lifting takes two people, and whoever halts again takes the wish to lift back', async () => {
  const { db } = api.database;
  const { haltId, isReplayed } = await haltMoney(db, EVERYTHING, word('mia'));
  expect(isReplayed).toBe(false);
  const stands = async () =>
    (await db.selectFrom('halt').select('lifted_at').executeTakeFirstOrThrow()).lifted_at === null;

  expect(await liftHalt(db, haltId, word('noah'))).toEqual({ isLifted: false });
  expect(await liftHalt(db, haltId, word('noah', DAY + 1n))).toEqual({ isLifted: false });
  expect(await liftHalt(db, haltId, word('noah/phone', DAY + 1n))).toEqual({ isLifted: false });
  expect(await stands()).toBe(true);
  await expect(sql`UPDATE halt SET lifted_at = 1, lifted_by = lift_asked_by`.execute(db)).rejects.toMatchObject({
    message: expect.stringContaining('halt_lifted_by_two'),
  });

  expect(await haltMoney(db, EVERYTHING, word('ida', DAY + 2n))).toEqual({ haltId, isReplayed: true });
  expect(await liftHalt(db, haltId, word('mia', DAY + 3n))).toEqual({ isLifted: false });
  expect(await stands()).toBe(true);

  expect(await liftHalt(db, haltId, word('noah', DAY + 4n))).toEqual({ isLifted: true });
  expect(await stands()).toBe(false);
  expect(await liftHalt(db, haltId, word('noah', DAY + 5n))).toEqual({ isLifted: true });
  await expect(liftHalt(db, haltId, word('eve', DAY + 6n))).rejects.toMatchObject({ code: 'HALT_LIFTED' });

  const again = await haltMoney(db, EVERYTHING, word('mia', DAY + 7n));
  expect(again.isReplayed).toBe(false);
  expect(again.haltId).not.toBe(haltId);
});

test('a halt of what nobody knows is refused, and so is one without a reason', async () => {
  const { db } = api.database;
  const nobody = { treasury: { network: 'testnet', party: 'nobody::1220' }, instrument: null };
  await expect(haltMoney(db, nobody, word('mia'))).rejects.toMatchObject({ code: 'TREASURY_UNKNOWN' });
  const nothing = { treasury: null, instrument: { admin: AMULET_ADMIN, id: 'Nothing' } };
  await expect(haltMoney(db, nothing, word('mia'))).rejects.toMatchObject({ code: 'INSTRUMENT_UNKNOWN' });
  for (const why of ['', ' ', 'a\0b', '\ud800', 'x'.repeat(1_001)]) {
    await expect(haltMoney(db, EVERYTHING, { ...word('mia'), why })).rejects.toMatchObject({ code: 'REASON_INVALID' });
  }
  await expect(liftHalt(db, 'ht_none', word('mia'))).rejects.toMatchObject({ code: 'HALT_UNKNOWN' });
  expect(await openHalts(db)).toEqual([]);
});

test('Z42: a restored database gets back the halts it lost, under their ids, and wishes to lift them are made again', async () => {
  const { db } = api.database;
  const kept = await haltMoney(db, { treasury: TREASURY, instrument: null }, word('mia'));
  await liftHalt(db, kept.haltId, word('noah'));
  const lost = await haltMoney(db, { treasury: TREASURY, instrument: AMULET }, word('mia'));
  const elsewhere = { network: 'testnet', party: 'gone::1220' };
  const outside = JSON.parse(JSON.stringify(await openHalts(db))).map((halt: unknown) => openHaltSchema.parse(halt));
  expect(outside.map(({ id }: { id: string }) => id).sort()).toEqual([kept.haltId, lost.haltId].sort());

  await db.deleteFrom('halt').where('id', '=', lost.haltId).execute();
  const unknown = { ...outside[0], id: 'ht_unknown', treasury: elsewhere };
  const restore = () => db.transaction().execute((tx) => restoreHalts(tx, [...outside, unknown]));

  expect([...(await restore())].sort()).toEqual([lost.haltId, 'ht_unknown'].sort());
  expect(await restore()).toEqual([]);
  const rows = await db.selectFrom('halt').selectAll().orderBy('id').execute();
  const row = (id: string) => rows.find((one) => one.id === id);
  expect(rows).toHaveLength(3);
  expect(row(lost.haltId)).toMatchObject({
    treasury_id: api.treasury,
    halted_at: DAY,
    halted_by: 'mia',
    lifted_at: null,
  });
  expect(row(lost.haltId)?.instrument_id).not.toBeNull();
  expect(row(kept.haltId)).toMatchObject({ lift_asked_by: null });
  // What it covered is not here: so it covers everything.
  expect(row('ht_unknown')).toMatchObject({ treasury_id: null, instrument_id: null });
});

test('through the API: halted by one, lifted by two, listed, and announced', async () => {
  const operator = as('operator');
  const treasury = (await api.api.query('{ treasuryParties { nodes { id } } }')).data.treasuryParties.nodes[0].id;
  const halt = async (input: Record<string, unknown>, headers = operator) =>
    (await api.api.query(HALT, { input: { why: 'A key may be gone.', ...input } }, headers)).data?.haltMoney;
  const lift = async (haltId: string, headers: Record<string, string>) =>
    (await api.api.query(LIFT, { input: { haltId, why: 'It is not.' } }, headers)).data?.liftHalt;

  expect(await halt({ treasury, instrumentId: 'Amulet' })).toEqual({
    __typename: 'HaltRefusal',
    code: 'INSTRUMENT_UNKNOWN',
  });
  const made = await halt({ treasury, instrumentAdmin: AMULET_ADMIN, instrumentId: 'Amulet' });
  expect(made).toEqual({
    __typename: 'HaltPayload',
    replayed: false,
    halt: {
      haltId: expect.stringMatching(/^ht_[0-9a-f]{40}$/),
      treasury: { party: 'treasury::1220bb' },
      instrument: { instrumentId: 'Amulet' },
      why: 'A key may be gone.',
      haltedBy: 'operator',
      liftAskedBy: null,
      liftedBy: null,
    },
  });
  const { haltId } = made.halt;
  expect(await halt({}, as('service'))).toBeUndefined();

  await api.idOf('waits');
  const waiting = await api.api.query('{ withdrawals { nodes { waitsFor } } }');
  expect(waiting.data.withdrawals.nodes).toEqual([{ waitsFor: 'HALT' }]);
  expect(await lift(haltId, operator)).toMatchObject({ halt: { liftAskedBy: 'operator', liftedBy: null } });
  expect(await lift(haltId, operator)).toMatchObject({ halt: { liftAskedBy: 'operator', liftedBy: null } });
  const open = await api.api.query('{ halts(isOpen: true) { nodes { haltId } } }');
  expect(open.data.halts.nodes).toEqual([{ haltId }]);
  expect(await lift(haltId, as('developer'))).toMatchObject({
    halt: { liftedBy: 'developer', liftedAt: expect.any(String), liftWhy: 'It is not.; developer: It is not.' },
  });
  expect((await api.api.query('{ halts(isOpen: true) { nodes { haltId } } }')).data.halts.nodes).toEqual([]);

  await api.untilSequenced();
  const events = await api.database.db
    .selectFrom('event')
    .select('payload')
    .where('type', '=', 'halt.changed')
    .orderBy('position')
    .execute();
  expect(events.map(({ payload }) => payload)).toMatchObject([
    { haltId, haltedBy: 'operator', liftAskedBy: null, liftedBy: null },
    { haltId, liftAskedBy: 'operator', liftedBy: null },
    { haltId, liftAskedBy: 'operator', liftedBy: 'developer' },
  ]);
});
