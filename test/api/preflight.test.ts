/** Looking ahead at a withdrawal: what the database decides, what others say or keep to themselves, and that nothing comes of it. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RetryableError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import { parsePolicy, printPolicy } from '../../src/policy/policy-document.ts';
import { createAskingBudget } from '../../src/preflight/asking-budget.ts';
import { createOutsideFacts, type Outside } from '../../src/preflight/outside-facts.ts';
import { createPreflight } from '../../src/preflight/preflight.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';
import { as, RECEIVER } from '../support/withdrawal-api.ts';

const QUERY = `query ($input: WithdrawalPreflightInput!) {
  withdrawalPreflight(input: $input) {
    outlook transferKind fee recordTime target
    verdict { kind approvalsNeeded needsScreening policyVersion reasons }
    preapproval { expiresAt outlastsTarget }
    funds { state reach free total queued treasury { party } }
    checks { kind outcome code detail source certainty asOf }
  }
}`;
const INPUT = {
  account: 'alice',
  instrumentAdmin: AMULET_ADMIN,
  instrumentId: 'Amulet',
  receiver: RECEIVER,
  amount: '12.5',
};
const MINUTE = 60_000_000n;
const KINDS = 'REQUEST POLICY STANDSTILL LEDGER RECEIVER TRANSFER_KIND PREAPPROVAL FUNDS FEE TRAFFIC'.split(' ');

/** Who is asked, as a test wants him; and how often he was. */
const asked = { kind: 0, preapproval: 0, receiver: 0 };
const WELL: Outside = {
  transferKind: async () => 'direct',
  preapproval: async () => ({ provider: 'provider::1220cc', expiresAt: DAY + 60n * MINUTE }),
  receiver: async () => ({ kind: 'REACHABLE' }),
};
let outside: Outside = WELL;

let database: TestDatabase;
let rows: Rows;
let api: TestApi;
let treasury: number;
const clock = createVirtualClock(DAY);

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  treasury = await rows.treasury();
  await rows.instrument();
  await rows.instrument('Spam', false);
  await rows.token({ implementation: 'SPLICE_AMULET', packages: ['splice-amulet'] });
  await rows.update('first');
  await rows.stream({ status: 'RUNNING' }, DAY);
  await rows.holding('h-1', '10');
  await rows.holding('h-2', '10');
  api = await startApi(database, { preflight: preflightOf() });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

function preflightOf(perSecond = 1_000, ask: () => Outside = () => outside) {
  const askOutside = createOutsideFacts({
    outside: {
      transferKind: async (...question) => {
        asked.kind += 1;
        return await ask().transferKind(...question);
      },
      preapproval: async (...question) => {
        asked.preapproval += 1;
        return (await ask().preapproval?.(...question)) ?? null;
      },
      receiver: async (...question) => {
        asked.receiver += 1;
        return (await ask().receiver?.(...question)) ?? { kind: 'REACHABLE' };
      },
    },
    budget: createAskingBudget({ clock, perSecond }),
    clock: systemClock,
    deadlineMs: 150,
  });
  const settings = { network: 'testnet', ttlMs: 60_000, recordTimeAgeMsMax: 600_000, recordTimeAheadMsMax: 60_000 };
  return createPreflight({ db: database.db, clock, askOutside, ...settings });
}

let receivers = 0;
/** A party that nobody was asked about before. */
const somebody = () => `eve-${++receivers}::1220${'ab'.repeat(32)}`;

async function look(input: Record<string, unknown> = {}, of: TestApi = api, headers: Record<string, string> = {}) {
  const { data, errors } = await of.query(QUERY, { input: { ...INPUT, receiver: somebody(), ...input } }, headers);
  expect(errors).toBeUndefined();
  return data.withdrawalPreflight;
}
type Report = { checks: { kind: string; outcome: string; code: string | null; certainty: string; asOf: string }[] };
const checkOf = (report: Report, kind: string) => report.checks.find((check) => check.kind === kind);

describe('a look ahead', () => {
  test('where all is well says how it would be paid, by whom, out of what, and until when', async () => {
    outside = WELL;
    const report = await look();

    expect(report).toMatchObject({
      outlook: 'READY',
      verdict: { kind: 'ALLOW', approvalsNeeded: 0, needsScreening: false, policyVersion: 0 },
      transferKind: 'DIRECT',
      fee: '0.0000000000',
      recordTime: '2026-11-22T00:00:00.000000Z',
      target: '2026-11-22T00:01:00.000000Z',
      preapproval: { expiresAt: '2026-11-22T01:00:00.000000Z', outlastsTarget: true },
      funds: [
        {
          state: 'ENOUGH',
          reach: '20.0000000000',
          free: '20.0000000000',
          total: '20.0000000000',
          queued: '0.0000000000',
          treasury: { party: 'treasury::1220bb' },
        },
      ],
    });
    expect(report.checks.map(({ kind }: { kind: string }) => kind)).toEqual(KINDS);
    expect(checkOf(report, 'REQUEST')).toMatchObject({ outcome: 'PASSED', certainty: 'FIRM', source: 'DATABASE' });
    expect(checkOf(report, 'RECEIVER')).toMatchObject({ outcome: 'PASSED', certainty: 'LIKELY' });
    expect(checkOf(report, 'RECEIVER')?.asOf).not.toBeNull();
  });

  test('leaves nothing behind', async () => {
    const counted = async () => {
      const { rows: tables } = await sql<{ name: string }>`
        SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`.execute(
        database.db,
      );
      const counts: Record<string, string> = {};
      for (const { name } of tables) {
        const { rows: found } = await sql<{
          count: string;
        }>`SELECT count(*)::text AS count FROM ${sql.table(name)}`.execute(database.db);
        counts[name] = found[0]?.count ?? '';
      }
      return counts;
    };
    const before = await counted();
    expect(Object.keys(before)).toContain('withdrawal');

    for (const amount of ['1', '0', '1000000']) await look({ amount });

    expect(await counted()).toEqual(before);
  });

  test.each([
    ['RECEIVER_INVALID', { receiver: 'bob' }],
    [
      'RECEIVER_INVALID',
      { receiver: `treasury::1220${'bb'.repeat(32)}`, treasuryParty: 'nobody::1220bb' },
      'TREASURY_UNKNOWN',
    ],
    ['AMOUNT_NOT_POSITIVE', { amount: '0' }],
    ['AMOUNT_NOT_POSITIVE', { amount: '-1' }],
    ['ACCOUNT_INVALID', { account: '' }],
    ['MEMO_INVALID', { memo: 'a\nb' }],
    ['INSTRUMENT_NOT_ACCEPTED', { instrumentId: 'Spam' }],
    ['INSTRUMENT_NOT_ACCEPTED', { instrumentAdmin: 'Mallory::1220aa' }],
    ['INSTRUMENT_NOT_ACCEPTED', { instrumentId: 'a\u0000' }],
    ['TREASURY_UNKNOWN', { treasuryParty: 'nobody::1220bb' }],
    ['TREASURY_UNKNOWN', { treasuryParty: '\u0000' }],
  ])('E20: says %s as createWithdrawal would, and asks nobody about it: %j', async (code, input, other?: string) => {
    const before = { ...asked };

    const report = await look(input);

    expect(report.outlook).toBe('REFUSED');
    expect(checkOf(report, 'REQUEST')).toMatchObject({ outcome: 'REFUSED', code: other ?? code });
    expect(checkOf(report, 'RECEIVER')).toMatchObject({ outcome: 'NOT_ASKED', asOf: null });
    expect(asked).toEqual(before);
  });

  test('knows funds that are enough, busy, or not there', async () => {
    outside = WELL;
    expect((await look({ amount: '20' })).outlook).toBe('READY');
    const none = await look({ amount: '20.0000000001' });
    expect(none.funds[0].state).toBe('TOO_LITTLE');
    expect(checkOf(none, 'FUNDS')).toMatchObject({ code: 'FUNDS_TOO_LITTLE' });

    await rows.holding('h-locked', '5', { lockHolders: ['somebody::1220aa'] });
    const busy = await look({ amount: '21' });
    expect([busy.outlook, busy.funds[0].state]).toEqual(['WAITS', 'WAIT']);
    expect(checkOf(busy, 'FUNDS')).toMatchObject({ outcome: 'WAITS', code: 'FUNDS_BUSY' });
  });

  test('waits where a freeze covers it, or the ledger is not followed', async () => {
    outside = WELL;
    await openFreeze(database.db, {
      treasuryId: treasury,
      instrumentKey: null,
      reason: 'OPERATOR',
      detail: 'Looking.',
      cause: 'test',
      openedBy: 'test',
      nowMicros: DAY,
    });
    const frozen = await look();
    expect([frozen.outlook, checkOf(frozen, 'STANDSTILL')?.code]).toEqual(['WAITS', 'FREEZE']);
    await database.db
      .updateTable('money_freeze')
      .set({ lifted_at: DAY, lifted_by: 'test', lift_detail: 'x' })
      .execute();

    await rows.stream({ status: 'HALTED' });
    const halted = await look();
    expect([halted.outlook, checkOf(halted, 'LEDGER')?.code, halted.target]).toEqual(['WAITS', 'LEDGER', null]);
    await rows.stream({ status: 'RUNNING' }, DAY - 60n * MINUTE);
    expect(checkOf(await look(), 'LEDGER')).toMatchObject({ outcome: 'WAITS' });
    await rows.stream({ status: 'RUNNING' }, DAY);
  });
});

describe('what others say', () => {
  test('E11: an offer where the policy allows none is refused before the customer commits', async () => {
    outside = { ...WELL, transferKind: async () => 'offer', preapproval: async () => null };
    const report = await look();

    expect([report.outlook, report.transferKind, report.preapproval]).toEqual(['REFUSED', 'OFFER', null]);
    expect(checkOf(report, 'TRANSFER_KIND')).toMatchObject({ code: 'RECEIVER_NOT_PREAPPROVED', certainty: 'LIKELY' });
    expect(checkOf(report, 'PREAPPROVAL')).toMatchObject({ code: 'RECEIVER_NOT_PREAPPROVED' });
  });

  test('E11: a preapproval that ends before an attempt would is told of', async () => {
    outside = { ...WELL, preapproval: async () => ({ provider: 'p::1220cc', expiresAt: DAY + MINUTE }) };
    const report = await look();

    expect(report).toMatchObject({ outlook: 'WAITS', preapproval: { outlastsTarget: false } });
    expect(checkOf(report, 'PREAPPROVAL')).toMatchObject({ outcome: 'WAITS', code: 'PREAPPROVAL_ENDS' });
  });

  test('a receiver that nobody hosts is refused', async () => {
    outside = { ...WELL, receiver: async () => ({ kind: 'UNREACHABLE', detail: 'Nobody hosts it.' }) };
    expect(checkOf(await look(), 'RECEIVER')).toMatchObject({ outcome: 'REFUSED', code: 'RECEIVER_UNREACHABLE' });
  });

  test.each(['transferKind', 'preapproval', 'receiver'] as const)(
    'the outage of one leaves the others: %s',
    async (who) => {
      const kind = { transferKind: 'TRANSFER_KIND', preapproval: 'PREAPPROVAL', receiver: 'RECEIVER' }[who];
      for (const [code, ask] of [
        ['REGISTRY_UNREACHABLE', async () => Promise.reject(new RetryableError('REGISTRY_UNREACHABLE', 'Away.'))],
        ['TIMEOUT', async () => await new Promise<never>(() => undefined)],
      ] as const) {
        outside = { ...WELL, [who]: ask };
        const report = await look();

        expect(report.outlook).toBe('UNKNOWN');
        expect(checkOf(report, kind)).toMatchObject({ outcome: 'UNKNOWN', code, certainty: 'NONE', asOf: null });
        const others = report.checks.filter((check: { kind: string }) => check.kind !== kind);
        expect(others.filter(({ outcome }: { outcome: string }) => outcome === 'UNKNOWN')).toEqual([]);
      }
    },
  );

  test('who never answers keeps nobody longer than the deadline', async () => {
    const never = async () => await new Promise<never>(() => undefined);
    outside = { transferKind: never, preapproval: never, receiver: never };
    const report = await look();

    expect(report.outlook).toBe('UNKNOWN');
    expect(checkOf(report, 'FUNDS')).toMatchObject({ outcome: 'PASSED' });
  });
});

describe('others are asked no more than they must be', () => {
  test('once for all who ask the same at a time, and then not again for some seconds', async () => {
    outside = WELL;
    const receiver = somebody();
    const before = { ...asked };

    const reports = await Promise.all(Array.from({ length: 20 }, async () => await look({ receiver })));
    reports.push(await look({ receiver, amount: '3' }));

    expect(reports.map(({ outlook }) => outlook)).toEqual(Array.from({ length: 21 }, () => 'READY'));
    expect(asked).toEqual({
      kind: before.kind + 1,
      preapproval: before.preapproval + 1,
      receiver: before.receiver + 1,
    });
  });

  test('not more often than the budget allows: the rest hears what the database knows', async () => {
    outside = WELL;
    const narrow = await startApi(database, { preflight: preflightOf(2) });
    const before = asked.kind;

    const reports = await Promise.all(Array.from({ length: 30 }, async () => await look({}, narrow)));

    expect(asked.kind - before).toBe(4);
    const spared = reports.filter((report) => checkOf(report, 'TRANSFER_KIND')?.code === 'PREFLIGHT_RATE_LIMITED');
    expect(spared).toHaveLength(26);
    for (const report of spared) {
      expect(report.outlook).toBe('UNKNOWN');
      expect(checkOf(report, 'FUNDS')).toMatchObject({ outcome: 'PASSED' });
    }
    await narrow.stop();
  });
});

describe('scopes', () => {
  test.each(['frontend', 'operator'])('dev-%s, who may not pay, may not look ahead', async (name) => {
    const { errors } = await api.query(QUERY, { input: INPUT }, as(name));
    expect(errors[0].extensions.code).toBe('FORBIDDEN');
  });

  test('a key needs the scope of withdrawals, and to read for what it shows of treasuries', async () => {
    outside = WELL;
    const hash = createHash('sha256').update('secret').digest('hex');
    const production = await startApi(database, {
      apiKeys: [parseApiKey(`payer:withdrawals:${hash}`)],
      preflight: preflightOf(),
    });
    const query = QUERY.replace('treasury { party }', '');
    const { data, errors } = await production.query(query, { input: INPUT }, { authorization: 'Bearer secret' });
    expect(errors).toBeUndefined();
    expect(data.withdrawalPreflight.outlook).toBe('READY');
    await production.stop();
  });

  test('an installation that does not pay out says so', async () => {
    const without = await startApi(database, { isPayingOut: false });
    const { errors } = await without.query(QUERY, { input: INPUT });
    expect(errors[0].extensions.code).toBe('WITHDRAWALS_OFF');
    await without.stop();
  });
});

describe('what the policy says', () => {
  async function enact(version: number, rules: readonly unknown[]): Promise<void> {
    const document = printPolicy(
      parsePolicy(
        JSON.stringify({
          change: { approvals: 1, delaySeconds: 60 },
          approvalSeconds: 3_600,
          otherwise: 'ALLOW',
          rules,
        }),
      ),
    );
    const { db } = database;
    const network = await rows.networkId();
    const { rows: made } = await sql<{ id: bigint }>`
      INSERT INTO policy_proposal (network_id, based_on, document, document_hash, why, proposed_by, proposed_at, expires_at)
      VALUES (${network}, ${version - 1}, ${document}, sha256(convert_to(${document}, 'UTF8')), 'test', 'paula', ${DAY - MINUTE}, ${DAY + MINUTE})
      RETURNING id`.execute(db);
    await sql`
      INSERT INTO policy_judgement (proposal_id, decision, document_hash, judged_by, judged_at, why)
      SELECT ${made[0]?.id}, 'APPROVE', document_hash, 'quentin', ${DAY - MINUTE}, 'test' FROM policy_proposal WHERE id = ${made[0]?.id}`.execute(
      db,
    );
    await sql`
      INSERT INTO policy_version (network_id, version, proposal_id, enacted_at, effective_at)
      VALUES (${network}, ${version}, ${made[0]?.id}, ${DAY - MINUTE}, ${DAY + BigInt(version) * MINUTE})`.execute(db);
  }

  test('its verdict, with its reasons, before anybody asks for anything', async () => {
    outside = WELL;
    await enact(1, [
      { name: 'large', when: { amountAbove: '10' }, outcome: { approvals: 2 } },
      { name: 'barred', when: { accounts: ['mallory'] }, outcome: 'DENY' },
      { name: 'screened', when: { accounts: ['sam'] }, outcome: 'SCREEN' },
    ]);
    expect((await look()).verdict).toMatchObject({ kind: 'ALLOW', policyVersion: 0 });
    await clock.advance(60_000);
    await rows.stream({ status: 'RUNNING' }, DAY + MINUTE);

    const large = await look();
    const barred = await look({ account: 'mallory', amount: '1' });
    const screened = await look({ account: 'sam', amount: '1' });
    const small = await look({ amount: '10' });

    expect(large).toMatchObject({
      outlook: 'WAITS',
      verdict: { kind: 'NEEDS', approvalsNeeded: 2, policyVersion: 1, reasons: [expect.stringContaining('large: ')] },
    });
    expect(checkOf(large, 'POLICY')).toMatchObject({ outcome: 'WAITS', code: 'APPROVAL', certainty: 'FIRM' });
    expect(barred).toMatchObject({ outlook: 'REFUSED', verdict: { kind: 'DENY' } });
    expect(checkOf(barred, 'POLICY')).toMatchObject({ code: 'POLICY_DENIED' });
    expect(screened).toMatchObject({ outlook: 'WAITS', verdict: { needsScreening: true, approvalsNeeded: 0 } });
    expect(checkOf(screened, 'POLICY')).toMatchObject({ code: 'SCREENING' });
    expect(small).toMatchObject({ outlook: 'READY', verdict: { kind: 'ALLOW' } });
  });
});

describe('Z25: a customer who looks ahead for himself', () => {
  const OWN = `query ($input: WithdrawalPreflightInput!) {
    withdrawalPreflight(input: $input) { outlook transferKind fee returnFee recordTime preapproval { outlastsTarget } }
  }`;
  const lookAs = async (customer: string, input: Record<string, unknown>, of: TestApi = api) => {
    const asking = { input: { ...INPUT, account: customer, receiver: RECEIVER, ...input } };
    const { data, errors } = await of.query(OWN, asking, as(`customer:${customer}`));
    expect(errors).toBeUndefined();
    return data.withdrawalPreflight;
  };

  test('finds out by no amount what the treasuries hold, what the rules allow and what others withdraw', async () => {
    outside = WELL;
    const amounts = ['0.0000000001', '10', '11', '20', '21', '1000000'];
    // Enough, over what people have to approve, over what is there: a service is told them apart.
    const told = await Promise.all(amounts.map(async (amount) => (await look({ amount })).outlook));
    expect(new Set(told).size).toBeGreaterThan(1);

    for (const customer of ['alice', 'mallory', 'sam']) {
      const reports = await Promise.all(amounts.map(async (amount) => await lookAs(customer, { amount })));
      expect(reports[0]).toMatchObject({ outlook: 'READY', transferKind: 'DIRECT', fee: '0.0000000000' });
      for (const report of reports) expect(report, customer).toEqual(reports[0]);
    }

    // Of several treasuries one has to have enough, or a request that names none is refused.
    await rows.treasury(`other::1220${'cd'.repeat(32)}`);
    expect((await look({ amount: '1000000' })).outlook).toBe('REFUSED');
    expect(await lookAs('alice', { amount: '1000000' })).toEqual(await lookAs('alice', { amount: '1' }));
  });

  test('leaves half of the questions that may be asked of others to services', async () => {
    outside = WELL;
    const narrow = await startApi(database, { preflight: preflightOf(2) });
    const before = asked.kind;

    const greedy = await Promise.all(
      Array.from({ length: 8 }, async () => await lookAs('alice', { receiver: somebody() }, narrow)),
    );
    const service = await Promise.all(Array.from({ length: 2 }, async () => await look({ amount: '1' }, narrow)));

    expect(greedy.filter(({ outlook }) => outlook === 'UNKNOWN')).toHaveLength(6);
    expect(service.map(({ transferKind }) => transferKind)).toEqual(['DIRECT', 'DIRECT']);
    expect(asked.kind - before).toBe(4);
    await narrow.stop();
  });
});
