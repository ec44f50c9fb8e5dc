/** Approvals and changes of the policy as people meet them: over GraphQL, each with his own principal, told of by the subscription. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { as, CREATE, INPUT, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';
import { peopleFor } from './scene.ts';

let withdrawals: WithdrawalApi;

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  const { db } = withdrawals.database;
  await createPolicyChanges({ db, clock: systemClock, network: 'testnet' }).setFirst({
    document: JSON.stringify(peopleFor(2)),
    why: 'two people',
    by: 'root',
  });
});

afterAll(async () => {
  await withdrawals.close();
});

const SAY = (mutation: string) => `mutation ($input: WithdrawalApprovalInput!) {
  said: ${mutation}(input: $input) {
    __typename
    ... on ApprovalPayload { replayed policy { leave approvalsNeeded approvalsGiven approvals { decision decidedBy person reason } withdrawal { state failure { code detail } } } }
    ... on Error { code message why fix }
  }
}`;

const PENDING = `query { pendingApprovals(first: 10) { edges { node {
  intentHash leave verdict policyVersion approvalsNeeded approvalsGiven expiresAt reasons { rule text }
  withdrawal { withdrawalId receiver amount memo state createdBy account { customer } }
} } } }`;

const request = async (idempotencyKey: string): Promise<string> => {
  const { data } = await withdrawals.api.query(CREATE, { input: { ...INPUT, idempotencyKey } }, as('service'));
  return data.createWithdrawal.withdrawal.withdrawalId;
};

const pending = async (id: string) =>
  (await withdrawals.api.query(PENDING, {}, as('alice'))).data.pendingApprovals.edges
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    .map(({ node }: any) => node)
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    .find((node: any) => node.withdrawal.withdrawalId === id);

const say = async (mutation: string, name: string, withdrawalId: string, intentHash: string) => {
  const input = { withdrawalId, intentHash, reason: 'looked at it' };
  return await withdrawals.api.query(SAY(mutation), { input }, as(name));
};

test('S10: two people approve what the service asked for, and the subscription tells of each step', async () => {
  const { data: log } = await withdrawals.api.query('query { eventLog { startCursor } }');
  const query = `subscription { pendingApprovals(after: "${log.eventLog.startCursor}") { cursor withdrawalId change by policy { leave } } }`;
  const { stream } = await subscribeSse(withdrawals.api.url, { query }, as('alice'));
  const id = await request('approved');
  const shown = await pending(id);
  expect(shown).toMatchObject({
    leave: 'APPROVALS',
    verdict: 'NEEDS',
    policyVersion: 1,
    approvalsNeeded: 2,
    approvalsGiven: 0,
    reasons: [{ rule: 'otherwise', text: 'no rule decides about it: 2 people have to approve' }],
    withdrawal: { state: 'AWAITING_APPROVAL', receiver: INPUT.receiver, amount: '12.5000000000', createdBy: 'service' },
  });

  expect((await say('approveWithdrawal', 'alice', id, '1:00')).data.said).toMatchObject({ code: 'INTENT_CHANGED' });
  expect((await say('approveWithdrawal', 'alice', id, shown.intentHash)).data.said).toMatchObject({
    replayed: false,
    policy: { leave: 'APPROVALS', approvalsGiven: 1 },
  });
  expect((await say('approveWithdrawal', 'alice', id, shown.intentHash)).data.said).toMatchObject({ replayed: true });
  expect((await say('approveWithdrawal', 'bob', id, shown.intentHash)).data.said).toMatchObject({
    policy: { leave: 'GIVEN', approvalsGiven: 2, withdrawal: { state: 'QUEUED' } },
  });

  expect(await pending(id)).toBeUndefined();
  const seen: { change: string; by: string }[] = [];
  while (seen.length < 4) seen.push(JSON.parse((await stream.next())?.data ?? '').data.pendingApprovals);
  expect(seen.map(({ change, by }) => `${change} ${by}`)).toEqual([
    'ASKED policy',
    'APPROVED alice',
    'APPROVED bob',
    'GRANTED policy',
  ]);
  stream.cut();
});

test('one refusal ends it, with who and why', async () => {
  const id = await request('refused');
  const { intentHash } = await pending(id);

  const { data } = await say('rejectWithdrawal', 'bob', id, intentHash);

  expect(data.said.policy.withdrawal).toEqual({
    state: 'REJECTED',
    failure: { code: 'APPROVAL_REFUSED', detail: 'bob: looked at it' },
  });
});

test('Z20: who has customers paid cannot approve, and no key may have both scopes', async () => {
  const id = await request('own');
  const { intentHash } = await pending(id);

  for (const name of ['service', 'operator', 'frontend']) {
    const { errors } = await say('approveWithdrawal', name, id, intentHash);
    expect(errors[0].extensions.code).toBe('FORBIDDEN');
  }
  expect(() => parseApiKey(`both:withdrawals+approve:${'0'.repeat(64)}`)).toThrow('not both');
  expect(parseApiKey(`alice/laptop:approve:${'0'.repeat(64)}`).name).toBe('alice/laptop');
});

test('Z20: a principal with every scope does not approve what it asked for', async () => {
  const { data } = await withdrawals.api.query(CREATE, { input: { ...INPUT, idempotencyKey: 'mine' } });
  const id = data.createWithdrawal.withdrawal.withdrawalId;
  const { intentHash } = await pending(id);

  const said = await say('approveWithdrawal', 'developer', id, intentHash);

  expect(said.data.said).toMatchObject({ code: 'SAME_PERSON', fix: expect.stringContaining('Have another person') });
});

test('Z23: a policy is proposed by one, approved by others, and holds later', async () => {
  const { api } = withdrawals;
  const propose = `mutation ($document: String!) { proposePolicy(input: { document: $document, reason: "fewer" }) {
    ... on PolicyPayload { proposal { proposalId hash state } } ... on Error { code message } } }`;
  const approve = `mutation ($id: BigInt!, $hash: String!) { approvePolicy(input: { proposalId: $id, hash: $hash, reason: "read it" }) {
    ... on PolicyPayload { proposal { state version } } ... on Error { code } } }`;
  expect((await api.query(propose, { document: '{}' })).data.proposePolicy.code).toBe('POLICY_INVALID');
  const proposed = (await api.query(propose, { document: JSON.stringify(peopleFor(1)) }, as('operator'))).data
    .proposePolicy.proposal;
  const variables = { id: proposed.proposalId, hash: proposed.hash };

  expect((await api.query(approve, variables, as('operator'))).errors[0].extensions.code).toBe('FORBIDDEN');
  expect((await api.query(approve, variables, as('alice'))).data.approvePolicy.proposal.state).toBe('OPEN');
  expect((await api.query(approve, variables, as('bob'))).data.approvePolicy.proposal).toEqual({
    state: 'ENACTED',
    version: 2,
  });

  const { data } = await api.query(
    'query { policy { version changeApprovals changeDelaySeconds proposals { state reason judgements { decision decidedBy } } } }',
    {},
    as('frontend'),
  );
  expect(data.policy).toMatchObject({
    version: 1,
    changeApprovals: 2,
    changeDelaySeconds: 3_600,
    proposals: [
      {
        state: 'ENACTED',
        judgements: [
          { decision: 'APPROVE', decidedBy: 'alice' },
          { decision: 'APPROVE', decidedBy: 'bob' },
        ],
      },
      { state: 'IN_FORCE' },
    ],
  });
});
