/** The desk as support uses it: over HTTP, with deposits that were really made. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseApiKey } from '../../src/server/principals.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { type DepositScene, startDepositScene } from '../deposits/harness.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { NETWORK } from '../support/network.ts';
import { as } from '../support/withdrawal-api.ts';

let scene: DepositScene;
let api: TestApi;

beforeAll(async () => {
  scene = await startDepositScene();
  const { admin, id } = scene.simnet.network.instrument('amulet');
  const deskLimits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
  api = await startApi(scene.database, { network: NETWORK, deskLimits });
});

afterAll(async () => {
  await api.stop();
  await scene.close();
});

const RESULT = `__typename
  ... on DeskPayload {
    replayed
    deskCase { transferId state account { customer } decidedBy withdrawal { withdrawalId state receiver } }
    decision { decisionId kind state requestedBy decidedBy needsApproval reason }
  }
  ... on Error { code message why fix retryable }`;
const ASSIGN = `mutation ($input: AssignDepositInput!) { it: assignDeposit(input: $input) { ${RESULT} } }`;
const REFUND = `mutation ($input: RefundDepositInput!) { it: refundDeposit(input: $input) { ${RESULT} } }`;
const APPROVE = `mutation ($input: DeskJudgementInput!) { it: approveDeskDecision(input: $input) { ${RESULT} } }`;
const REFUSE = `mutation ($input: DeskJudgementInput!) { it: refuseDeskDecision(input: $input) { ${RESULT} } }`;

async function call(mutation: string, input: Record<string, unknown>, who = 'operator') {
  const { data, errors } = await api.query(mutation, { input }, as(who));
  expect(errors).toBeUndefined();
  return data.it;
}

async function strange(amount: string, memo = 'Nobody'): Promise<string> {
  scene.pay({ amount, memo });
  await scene.settled();
  return (await scene.transferIds()).at(-1) ?? '';
}

test('a wrong memo is found by what the customer says, assigned, and on his account', async () => {
  const transferId = await strange('5', ' ALICE-memo ');

  const found = await api.query(
    `{ deskCases(states: [OPEN], memo: "alice-MEMO", first: 5) { nodes {
      transferId state why amount memo sender namedAccount { customer } transfer { status } decisions { kind } screening { state }
    } } }`,
    {},
    as('operator'),
  );
  expect(found.data.deskCases.nodes).toEqual([
    {
      transferId,
      state: 'OPEN',
      why: 'UNKNOWN_MEMO',
      amount: '5.0000000000',
      memo: ' ALICE-memo ',
      sender: scene.simnet.network.party('alice'),
      namedAccount: null,
      transfer: { status: 'COMPLETED' },
      decisions: [],
      screening: null,
    },
  ]);
  const input = { transferId, account: 'alice', reason: 'ticket 12' };
  const first = await call(ASSIGN, input);
  const again = await call(ASSIGN, input);

  expect(first).toMatchObject({
    __typename: 'DeskPayload',
    replayed: false,
    deskCase: { state: 'ASSIGNED', account: { customer: 'alice' }, decidedBy: 'operator' },
    decision: { kind: 'ASSIGN', state: 'DONE', requestedBy: 'operator', decidedBy: 'operator', needsApproval: false },
  });
  expect(again).toMatchObject({ replayed: true, decision: { decisionId: first.decision.decisionId } });
  const { data } = await api.query('{ accounts { nodes { customer balances { amount } } } }');
  expect(data.accounts.nodes).toContainEqual({ customer: 'alice', balances: [{ amount: '5.0000000000' }] });
});

test('a case is found again by its id, by those who work at the desk', async () => {
  const transferId = await strange('3');
  const { data } = await api.query(
    '{ deskCases(states: [OPEN], first: 50) { nodes { id transferId } } }',
    {},
    as('operator'),
  );
  const { id } = data.deskCases.nodes.find((one: { transferId: string }) => one.transferId === transferId);
  const NODE = 'query ($id: ID!) { node(id: $id) { id ... on DeskCase { transferId } } }';

  expect((await api.query(NODE, { id }, as('operator'))).data.node).toEqual({ id, transferId });
  expect((await api.query(NODE, { id }, as('frontend'))).data.node).toBeNull();
  for (const type of ['DeskCase', 'Transfer', 'Withdrawal', 'DepositAccount']) {
    const unstorable = Buffer.from(`${type}:\u0000`).toString('base64url');
    const answer = await api.query(NODE, { id: unstorable }, as('operator'));
    expect(answer.errors?.map(({ extensions }: { extensions: { code: string } }) => extensions.code)).toEqual([
      'ID_INVALID',
    ]);
  }
});

test('above the limit it waits for somebody else, who approves or refuses', async () => {
  const transferId = await strange('10.0000000001');
  const asked = await call(ASSIGN, { transferId, account: 'bob', reason: 'ticket 13' });
  expect(asked).toMatchObject({
    deskCase: { state: 'OPEN' },
    decision: { state: 'AWAITING_APPROVAL', decidedBy: null },
  });

  const { decisionId } = asked.decision;
  expect(await call(APPROVE, { decisionId, reason: 'me' })).toMatchObject({
    __typename: 'DeskRefusal',
    code: 'SAME_PERSON',
    message: expect.any(String),
    why: expect.any(String),
    fix: expect.any(String),
    retryable: false,
  });
  const waiting = await api.query(
    '{ deskDecisions(awaitingApproval: true) { nodes { decisionId } } }',
    {},
    as('operator'),
  );
  expect(waiting.data.deskDecisions.nodes).toEqual([{ decisionId }]);
  expect(await call(REFUSE, { decisionId, reason: 'unclear' }, 'developer')).toMatchObject({
    deskCase: { state: 'OPEN' },
    decision: { state: 'REFUSED' },
  });
  const second = await call(ASSIGN, { transferId, account: 'bob', reason: 'now it is clear' });
  expect(
    await call(APPROVE, { decisionId: second.decision.decisionId, reason: 'seen the passport' }, 'developer'),
  ).toMatchObject({
    deskCase: { state: 'ASSIGNED', account: { customer: 'bob' } },
    decision: { decidedBy: 'developer' },
  });
  await scene.settled();
});

test('a deposit goes back to its sender as a withdrawal, once', async () => {
  const transferId = await strange('3');

  const first = await call(REFUND, { transferId, reason: 'the sender asks' });
  const again = await call(REFUND, { transferId, reason: 'the sender asks' });

  expect(first.deskCase.withdrawal).toMatchObject({ state: 'QUEUED', receiver: scene.simnet.network.party('alice') });
  expect(again).toMatchObject({
    replayed: true,
    deskCase: { withdrawal: { withdrawalId: first.deskCase.withdrawal.withdrawalId } },
  });
  await scene.settled();
});

test.each([
  [{ transferId: 'tr_none', account: 'alice', reason: 'x' }, 'CASE_UNKNOWN'],
  [{ transferId: 'a\0b', account: 'alice', reason: 'x' }, 'CASE_UNKNOWN'],
  [{ transferId: 'tr_none', account: 'alice', reason: '' }, 'REASON_INVALID'],
  [{ transferId: 'tr_none', account: 'alice', reason: '\ud800' }, 'REASON_INVALID'],
])('%j is refused with %s', async (input, code) => {
  expect(await call(ASSIGN, input)).toMatchObject({ __typename: 'DeskRefusal', code });
});

test('numbers that no decision has are refused', async () => {
  for (const decisionId of ['0', '-1', '99999999999999999999', '9223372036854775807']) {
    expect(await call(APPROVE, { decisionId, reason: 'x' })).toMatchObject({ code: 'DECISION_UNKNOWN' });
  }
});

test('whoever is not of the desk sees and decides nothing there', async () => {
  for (const query of [
    '{ deskCases { nodes { transferId } } }',
    '{ deskCase(transferId: "x") { transferId } }',
    '{ deskDecisions { nodes { reason } } }',
    '{ screenings { nodes { transferId } } }',
    '{ transfers { nodes { screening { state } } } }',
    'mutation { assignDeposit(input: { transferId: "x", account: "y", reason: "z" }) { __typename } }',
    'mutation { refundDeposit(input: { transferId: "x", reason: "z" }) { __typename } }',
    'mutation { approveDeskDecision(input: { decisionId: "1", reason: "z" }) { __typename } }',
    'mutation { screenAgain(transferId: "x") { __typename } }',
  ]) {
    const { errors } = await api.query(query, {}, as('service'));
    expect(errors?.[0]?.extensions?.code, query).toBe('FORBIDDEN');
  }
});

test('whoever may not read what came of it decides nothing', async () => {
  const apiKey = parseApiKey(`blind:desk:${createHash('sha256').update('secret').digest('hex')}`);
  const blind = await startApi(scene.database, { network: NETWORK, apiKeys: [apiKey] });
  try {
    for (const call of [
      'assignDeposit(input: { transferId: "x", account: "y", reason: "z" })',
      'refundDeposit(input: { transferId: "x", reason: "z" })',
      'approveDeskDecision(input: { decisionId: "1", reason: "z" })',
      'refuseDeskDecision(input: { decisionId: "1", reason: "z" })',
      'screenAgain(transferId: "x")',
    ]) {
      const { errors } = await blind.query(
        `mutation { ${call} { __typename } }`,
        {},
        { authorization: 'Bearer secret' },
      );
      expect(errors?.[0]?.extensions?.code, call).toBe('FORBIDDEN');
    }
  } finally {
    await blind.stop();
  }
});

test('a deposit account is noted on, rotated, disabled and enabled', async () => {
  const fields =
    '__typename ... on Error { code } ... on DepositAccountPayload { replayed depositAccount { depositAccountId memo state replacedBy { memo } } }';
  const created = await api.query(
    `mutation { createDepositAccount(input: { account: "frank", memo: "Frank 1&2", metadata: [{ key: "tier", value: "gold" }] }) {
      ... on CreateDepositAccountPayload { depositAccount { depositAccountId state metadata { key value } addresses { party qrPayload } } } } }`,
  );
  const { depositAccountId: id, addresses, ...rest } = created.data.createDepositAccount.depositAccount;
  expect(rest).toEqual({ state: 'ACTIVE', metadata: [{ key: 'tier', value: 'gold' }] });
  expect(addresses[0].qrPayload).toBe(`${addresses[0].party}?memoId=Frank%201%262`);

  const rotated = await api.query(
    `mutation { it: rotateDepositAccount(input: { depositAccountId: "${id}", memo: "Frank-2" }) { ${fields} } }`,
  );
  expect(rotated.data.it).toMatchObject({ replayed: false, depositAccount: { memo: 'Frank-2', state: 'ACTIVE' } });
  const old = await api.query(`mutation { it: disableDepositAccount(depositAccountId: "${id}") { ${fields} } }`);
  expect(old.data.it.depositAccount).toMatchObject({ state: 'DISABLED', replacedBy: { memo: 'Frank-2' } });
  const back = await api.query(`mutation { it: enableDepositAccount(depositAccountId: "${id}") { ${fields} } }`);
  expect(back.data.it.depositAccount.state).toBe('RETIRED');
  const none = await api.query(`mutation { it: disableDepositAccount(depositAccountId: "da_none") { ${fields} } }`);
  expect(none.data.it).toEqual({ __typename: 'DepositAccountRefusal', code: 'DEPOSIT_ACCOUNT_UNKNOWN' });
  const again = await api.query(
    `mutation { it: rotateDepositAccount(input: { depositAccountId: "${id}", memo: "Frank-3" }) { ${fields} } }`,
  );
  expect(again.data.it).toEqual({ __typename: 'DepositAccountRefusal', code: 'DEPOSIT_ACCOUNT_ROTATED' });
});

test('questions to the screening service are listed by state, and asked again by name', async () => {
  const { db } = scene.database;
  const [transferId = ''] = await scene.transferIds();
  const { account_id } = await db
    .selectFrom('attribution')
    .select('account_id')
    .where('transfer_id', '=', transferId)
    .executeTakeFirstOrThrow();
  const { treasury_id, instrument_id } = await db
    .selectFrom('transfer')
    .select(['treasury_id', 'instrument_id'])
    .where('id', '=', transferId)
    .executeTakeFirstOrThrow();
  await db
    .insertInto('screening')
    .values({
      transfer_id: transferId,
      treasury_id,
      instrument_id,
      is_offer: true,
      state: 'PARKED',
      account_id,
      owner_decided_by: 'memo',
      amount: '5',
      update_id: 'u',
      record_time: 1n,
      tries: 20,
      last_error: 'No answer in time.',
      opened_at: 1n,
    })
    .execute();

  const listed = await api.query(
    '{ screenings(states: [PARKED, DENIED]) { nodes { transferId state tries lastError isHeld account { customer } transfer { status } } } }',
    {},
    as('operator'),
  );
  expect(listed.data.screenings.nodes).toEqual([
    {
      transferId,
      state: 'PARKED',
      tries: 20,
      lastError: 'No answer in time.',
      isHeld: false,
      account: { customer: 'alice' },
      transfer: { status: 'COMPLETED' },
    },
  ]);
  const again = `mutation ($id: String!) { screenAgain(transferId: $id) { ... on ScreenAgainPayload { screening { state tries } } ... on Error { code } } }`;
  expect((await api.query(again, { id: transferId }, as('operator'))).data.screenAgain).toEqual({
    screening: { state: 'WAITING', tries: 0 },
  });
  expect((await api.query(again, { id: 'tr_none' }, as('operator'))).data.screenAgain).toEqual({
    code: 'SCREENING_UNKNOWN',
  });
  expect(
    (await api.query('{ screenings(states: [ALLOWED]) { nodes { state } } }', {}, as('operator'))).data.screenings
      .nodes,
  ).toEqual([]);
});
