/** What people and services decide leaves an entry in the same transaction, whoever writes it; and the entries hold together. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chainAuditEntries } from '../../src/db/audit-chain.ts';
import { verifyAuditChain } from '../../src/read/audit-entries.ts';
import { inputHashOf } from '../../src/schema/audited-mutations.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

let withdrawals: WithdrawalApi;

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
});

afterAll(async () => {
  await withdrawals.close();
});

type Entry = {
  readonly position: string;
  readonly principal: string;
  readonly action: string;
  readonly subjectType: string;
  readonly subject: string;
  readonly inputHash: string | null;
  readonly before: Record<string, string | null> | null;
  readonly after: Record<string, string | null> | null;
  readonly hash: string;
  readonly hashedText: string;
};

const FIELDS = 'position principal action subjectType subject inputHash before after hash hashedText';

async function chained(): Promise<void> {
  while ((await chainAuditEntries(withdrawals.database.db)) > 0);
}

async function entriesOf(filter: Record<string, unknown>): Promise<Entry[]> {
  await chained();
  const { data, errors } = await withdrawals.api.query(
    `query ($filter: AuditFilter) { auditEntries(filter: $filter, first: 100) { nodes { ${FIELDS} } } }`,
    { filter },
  );
  expect(errors).toBeUndefined();
  return data.auditEntries.nodes;
}

test('a request and its cancellation stand in the audit with who asked, by which mutation, and the hash of what was asked', async () => {
  const id = await withdrawals.idOf('audited');
  await withdrawals.cancel(id);

  const entries = await entriesOf({ subject: id });

  const [request, ...changes] = entries;
  expect(request).toMatchObject({
    principal: 'developer',
    action: 'createWithdrawal',
    subjectType: 'withdrawal',
    before: null,
    after: { client: 'developer', state: 'REQUESTED', idempotency_key: 'audited' },
  });
  expect(request?.inputHash).toMatch(/^[0-9a-f]{64}$/);
  expect(changes.map(({ action, before, after }) => [action, before?.['state'], after?.['state']])).toEqual([
    ['createWithdrawal', 'REQUESTED', 'QUEUED'],
    ['cancelWithdrawal', 'QUEUED', 'CANCELLED'],
  ]);
  expect(changes.at(-1)?.inputHash).toBe(inputHashOf({ input: { withdrawalId: id } }));
});

test('asking twice, and being refused, leave nothing behind', async () => {
  await withdrawals.idOf('twice');
  const before = (await entriesOf({})).length;

  await withdrawals.idOf('twice');
  await withdrawals.create({ idempotencyKey: 'twice', amount: '77' });

  expect(await entriesOf({})).toHaveLength(before);
});

test('a kill switch has an entry for each of those who had a hand in it', async () => {
  const { api } = withdrawals;
  const halt = await api.query(
    'mutation { haltMoney(input: { why: "looks wrong" }) { ... on HaltPayload { halt { haltId } } } }',
    {},
    { authorization: 'Bearer dev-operator' },
  );
  const { haltId } = halt.data.haltMoney.halt;

  const entries = await entriesOf({ subject: haltId });

  expect(entries).toMatchObject([{ principal: 'operator', action: 'haltMoney', after: { why: 'looks wrong' } }]);
});

test('what no mutation did names who its row names', async () => {
  const { db } = withdrawals.database;
  await sql`
    INSERT INTO money_freeze (reason, detail, cause, opened_at, opened_by) VALUES ('OPERATOR', 'look', 'by hand', 1, 'olga')`.execute(
    db,
  );

  const [entry] = await entriesOf({ principal: 'olga' });

  expect(entry).toMatchObject({ action: 'money_freeze.insert', inputHash: null, after: { cause: 'by hand' } });
});

test('an action that is undone leaves no entry, and neither half can be committed alone', async () => {
  const { db } = withdrawals.database;
  await db
    .transaction()
    .execute(async (tx) => {
      await sql`
        INSERT INTO halt (id, why, halted_at, halted_by) VALUES ('halt-undone', 'never', 1, 'nobody')`.execute(tx);
      throw new Error('undone');
    })
    .catch(() => undefined);

  expect(await entriesOf({ principal: 'nobody' })).toEqual([]);
});

test('every list of entries is gap-free, in order, and can be followed', async () => {
  const all = await entriesOf({});

  expect(all.map(({ position }) => position)).toEqual(all.map((_, index) => String(index + 1)));

  const page =
    'query ($after: String) { auditEntries(first: 2, after: $after) { pageInfo { endCursor hasNextPage } nodes { position } } }';
  const seen: string[] = [];
  for (let after: string | null = null, isMore = true; isMore; ) {
    const { data } = await withdrawals.api.query(page, { after });
    seen.push(...data.auditEntries.nodes.map((node: { position: string }) => node.position));
    after = data.auditEntries.pageInfo.endCursor;
    isMore = data.auditEntries.pageInfo.hasNextPage;
  }
  expect(seen).toEqual(all.map(({ position }) => position));
});

test('the chain is checked by whoever has the entries, without us', async () => {
  const all = await entriesOf({});

  let hash = Buffer.alloc(32);
  for (const entry of all) {
    hash = createHash('sha256').update(hash).update(entry.hashedText, 'utf8').digest();
    expect(entry.hash).toBe(hash.toString('hex'));
  }
  const { data } = await withdrawals.api.query(
    '{ auditChain { entriesCount head verdict { checkedCount brokenAt } } }',
  );
  expect(data.auditChain).toEqual({
    entriesCount: String(all.length),
    head: hash.toString('hex'),
    verdict: { checkedCount: String(all.length), brokenAt: null },
  });
});

test('Z28: entries are neither changed nor removed; where a superuser does it all the same, the chain says where', async () => {
  const { db } = withdrawals.database;
  const count = (await entriesOf({})).length;
  expect(count).toBeGreaterThan(3);
  for (const statement of [
    'UPDATE audit_entry SET principal = $$x$$',
    'DELETE FROM audit_entry',
    'TRUNCATE audit_entry',
  ]) {
    await expect(sql.raw(statement).execute(db)).rejects.toThrow(/never changed or deleted/);
  }

  const verdicts: unknown[] = [];
  await sql`CREATE TABLE kept AS SELECT * FROM audit_entry`.execute(db);
  for (const forged of [
    'UPDATE audit_entry SET principal = $$somebody$$ WHERE position = 2',
    'DELETE FROM audit_entry WHERE position = 2',
    'DELETE FROM audit_entry WHERE position = (SELECT max(position) FROM audit_entry)',
  ]) {
    await sql.raw(`ALTER TABLE audit_entry DISABLE TRIGGER USER; ${forged}`).execute(db);
    verdicts.push((await verifyAuditChain(db)).brokenAt);
    await sql
      .raw(
        'DELETE FROM audit_entry; INSERT INTO audit_entry SELECT * FROM kept; ALTER TABLE audit_entry ENABLE TRIGGER USER',
      )
      .execute(db);
  }
  expect(verdicts).toEqual([2n, 2n, BigInt(count)]);
  expect((await verifyAuditChain(db)).brokenAt).toBeNull();
});

test('who acts is told in a name: longer ones are refused with what they wanted, and what was written before this was bound is chained', async () => {
  const { db } = withdrawals.database;
  const tooLong = 'x'.repeat(3_000);
  const freeze = (by: string, reason: string) =>
    sql`INSERT INTO money_freeze (reason, detail, cause, opened_at, opened_by) VALUES (${reason}, 'look', 'long', 1, ${by})`.execute(
      db,
    );

  await expect(freeze(tooLong, 'REFUSED')).rejects.toMatchObject({ facts: { constraint: 'audit_names_are_short' } });
  const widest = 'é'.repeat(500);
  await freeze(widest, 'WIDEST');
  expect(await entriesOf({ principal: widest })).toHaveLength(1);

  await sql`ALTER TABLE audit_outbox DROP CONSTRAINT audit_names_are_short`.execute(db);
  try {
    await freeze(tooLong, 'LONGEST');
    expect(await entriesOf({ principal: tooLong })).toMatchObject([{ subjectType: 'money_freeze' }]);
    expect((await verifyAuditChain(db)).brokenAt).toBeNull();
  } finally {
    await sql`ALTER TABLE audit_outbox ADD CONSTRAINT audit_names_are_short
      CHECK (octet_length(principal) <= 1024 AND octet_length(action) <= 1024 AND octet_length(subject) <= 2048) NOT VALID`.execute(
      db,
    );
  }
});

test('who may not look after others sees none of it', async () => {
  const { errors } = await withdrawals.api.query(
    '{ auditEntries { nodes { position } } }',
    {},
    { authorization: 'Bearer dev-frontend' },
  );

  expect(errors[0].extensions.code).toBe('FORBIDDEN');
});

/** Tables that say who did something and have no entry of their own, each with the reason. */
const NOT_AUDITED: Readonly<Record<string, string>> = {
  attribution:
    'follows from a memo, or from a decision of the desk, which has its entry; deposits are too many for two copies',
  desk_case: 'follows from a decision of the desk, which has its entry',
  offer_action: 'follows from a decision on an offer, which has its entry, or from a memo',
  token: 'every change of it is a row of token_change, which has its entry',
};

/** Tables that say who, without a trigger that makes entries. */
async function unauditedTables(): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    SELECT DISTINCT c.table_name AS name
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.column_name ~ '_by$' AND c.data_type = 'text'
      AND c.column_name NOT IN ('replaced_by', 'broken_by')
      AND NOT EXISTS (
        SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
        WHERE g.tgrelid = format('public.%I', c.table_name)::regclass AND p.proname = 'audit_change' AND g.tgenabled <> 'D'
      )
    ORDER BY 1`.execute(withdrawals.database.db);
  return rows.map(({ name }) => name).filter((name) => NOT_AUDITED[name] === undefined);
}

test('Z41: no table that says who did something is without entries, also none that is added later', async () => {
  expect(await unauditedTables()).toEqual([]);
});

test('Z41: where an entry is left out, the guard tells', async () => {
  const { db } = withdrawals.database;
  await sql`ALTER TABLE halt DISABLE TRIGGER audited`.execute(db);
  try {
    expect(await unauditedTables()).toEqual(['halt']);
  } finally {
    await sql`ALTER TABLE halt ENABLE TRIGGER audited`.execute(db);
  }
});
