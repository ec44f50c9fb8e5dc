/**
 * Goal: a customer sees what is his, and to him another's id is one that there is not. Method: two customers with one of everything; each argument of each field that customers may use (taken from the schema: one without a
 * case fails) gets what is Bob's from Alice, and what is nobody's; both answers have to be the same but for what was asked. The answers that she does get are searched for anything of his.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CUSTOMER_FIELDS } from '../../src/schema/customer-view.ts';
import { formatGlobalId } from '../../src/schema/global-id.ts';
import { createSchema } from '../../src/schema/index.ts';
import { AMULET_ADMIN } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { RECEIVER, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const ALICE = { authorization: 'Bearer dev-customer:alice' };
const BOB = { authorization: 'Bearer dev-customer:bob-of-elsewhere' };

type Belongings = {
  readonly owner: string;
  readonly memo: string;
  readonly account: string;
  readonly depositAccount: string;
  readonly depositAccountNode: string;
  readonly transfer: string;
  readonly transferNode: string;
  readonly withdrawal: string;
  readonly withdrawalNode: string;
  readonly key: string;
};

let scene: WithdrawalApi;
let alice: Belongings;
let bob: Belongings;
let nobody: Belongings;
let treasuryNode: string;

async function furnish(owner: string): Promise<Belongings> {
  const { rows } = scene;
  const memo = `memo-of-${owner}`;
  const depositAccount = await rows.depositAccount(memo, owner);
  await rows.booking(`test:${owner}`, owner, '7');
  const transfer = await rows.transfer({ updateId: `update-of-${owner}`, memo });
  await rows.attribution(transfer, owner, depositAccount);
  const key = `key-of-${owner}`;
  const withdrawal = await scene.idOf(key, { account: owner, memo: `for-${owner}` });
  return belongings(owner, { memo, depositAccount, transfer, withdrawal, key });
}

function belongings(
  owner: string,
  has: Pick<Belongings, 'memo' | 'depositAccount' | 'transfer' | 'withdrawal' | 'key'>,
): Belongings {
  return {
    owner,
    ...has,
    account: formatGlobalId('Account', `testnet/${owner}`),
    depositAccountNode: formatGlobalId('DepositAccount', has.depositAccount),
    transferNode: formatGlobalId('Transfer', has.transfer),
    withdrawalNode: formatGlobalId('Withdrawal', has.withdrawal),
  };
}

beforeAll(async () => {
  scene = await startWithdrawalApi();
  alice = await furnish('alice');
  bob = await furnish('bob-of-elsewhere');
  nobody = belongings('nobody-at-all', {
    memo: 'memo-of-nobody',
    depositAccount: `${bob.depositAccount.slice(0, -4)}0000`,
    transfer: `${bob.transfer.slice(0, -4)}0000`,
    withdrawal: `${bob.withdrawal.slice(0, -4)}0000`,
    key: 'key-of-nobody',
  });
  const { data } = await scene.api.query('{ treasuryParties { nodes { id } } }');
  treasuryNode = data.treasuryParties.nodes[0].id;
});

afterAll(async () => {
  await scene.close();
});

const ask = async (query: string, headers = ALICE) => {
  const { status, data, errors } = await scene.api.query(query, {}, headers);
  return {
    status,
    data,
    errors: errors?.map(({ message, extensions }: { message: string; extensions: unknown }) => ({
      message,
      extensions,
    })),
  };
};

const text = JSON.stringify;
const IDS = '{ nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }';
const page = (name: string, argument: string) => `{ ${name}(${argument}) ${IDS} }`;
/** A cursor of Bob's own list, or one of nobody's. */
const cursorOf = async (name: string, whose: Belongings) => {
  if (whose !== bob) return null;
  const { data } = await ask(`{ ${name} { pageInfo { startCursor } } }`, BOB);
  return data[name].pageInfo.startCursor as string;
};
const preflight = (argument: string, value: string, account: string) => {
  const input = {
    account,
    receiver: RECEIVER,
    instrumentAdmin: AMULET_ADMIN,
    instrumentId: 'Amulet',
    amount: '1',
    [argument]: value,
  };
  return `{ withdrawalPreflight(input: { ${Object.entries(input)
    .map(([name, given]) => `${name}: ${text(given)}`)
    .join(', ')} }) { outlook } }`;
};

/** By `field(argument)`: a question with what is `whose`. */
const CASES: Readonly<Record<string, (whose: Belongings) => string>> = {
  'node(id)': ({ withdrawalNode }) => `{ node(id: ${text(withdrawalNode)}) { __typename id } }`,
  'nodes(ids)': ({ account, depositAccountNode, transferNode, withdrawalNode }) =>
    `{ nodes(ids: ${text([account, depositAccountNode, transferNode, withdrawalNode])}) { __typename id } }`,
  'depositAccounts(account)': ({ owner }) => page('depositAccounts', `account: ${text(owner)}`),
  'depositAccounts(memo)': ({ memo }) => page('depositAccounts', `memo: ${text(memo)}`),
  'transfer(transferId)': ({ transfer }) => `{ transfer(transferId: ${text(transfer)}) { id } }`,
  'transfers(account)': ({ owner }) => page('transfers', `account: ${text(owner)}`),
  'transfers(filter)': ({ memo }) => page('transfers', `filter: { memo: ${text(memo)} }`),
  'account(customer)': ({ owner }) => `{ account(customer: ${text(owner)}) { id } }`,
  'accountJournal(customer)': ({ owner }) =>
    `{ accountJournal(customer: ${text(owner)}) { nodes { amount } pageInfo { hasNextPage } } }`,
  'withdrawal(withdrawalId)': ({ withdrawal }) => `{ withdrawal(withdrawalId: ${text(withdrawal)}) { id } }`,
  'withdrawal(idempotencyKey)': ({ key }) => `{ withdrawal(idempotencyKey: ${text(key)}) { id } }`,
  'withdrawals(filter)': ({ owner }) => page('withdrawals', `filter: { account: ${text(owner)} }`),
  'withdrawalPreflight(input)': ({ owner }) => preflight('account', owner, owner),
};

/** Arguments that name nothing of anybody, with the reason. */
const HARMLESS =
  /^(from|to|first|last|before|after|isAccepted|kind|direction|status|treasury|cause|instrument|states|isFinal|orderBy|order)$/;

describe('Z25: another customer’s id is one that there is not', () => {
  test('every argument by which a customer can name something has a case', () => {
    const fields = createSchema().getQueryType()?.getFields() ?? {};
    const found = (CUSTOMER_FIELDS['Query'] ?? []).flatMap((name) =>
      (fields[name]?.args ?? [])
        .filter((argument) => !HARMLESS.test(argument.name))
        .map((argument) => `${name}(${argument.name})`),
    );

    expect(found.filter((name) => CASES[name] === undefined && !name.startsWith('freshness('))).toEqual([]);
  });

  const isThere = (name: string): boolean =>
    createSchema().getQueryType()?.getFields()[name.split('(')[0] ?? ''] !== undefined;

  test.each(Object.keys(CASES).filter(isThere))('%s', async (name) => {
    const question = CASES[name];
    if (question === undefined) throw new Error('No case.');

    const ofHers = await ask(question(alice));
    const ofBobs = await ask(question(bob));
    const ofNobodys = await ask(question(nobody));

    expect(ofBobs).toEqual(ofNobodys);
    expect(text(ofBobs)).not.toContain(bob.withdrawal);
    // Her own key of it is the exchange’s, not hers.
    if (name !== 'withdrawal(idempotencyKey)') expect(ofHers).not.toEqual(ofBobs);
  });

  test('each kind of node is hers or null, and a treasury is null though it is there', async () => {
    for (const kind of ['account', 'depositAccountNode', 'transferNode', 'withdrawalNode'] as const) {
      const node = async (id: string) => (await ask(`{ node(id: ${text(id)}) { id } }`)).data.node;
      expect(await node(alice[kind]), kind).toEqual({ id: alice[kind] });
      expect(await node(bob[kind]), kind).toBeNull();
    }
    expect((await ask(`{ node(id: ${text(treasuryNode)}) { id } }`)).data.node).toBeNull();
    expect(
      (await ask(`{ node(id: ${text(treasuryNode)}) { id } }`, { authorization: 'Bearer dev-frontend' })).data.node,
    ).not.toBeNull();
  });

  test.each(['accounts', 'depositAccounts', 'transfers', 'withdrawals'])(
    'a cursor of Bob’s list of %s shows Alice nothing of his',
    async (name) => {
      const cursor = await cursorOf(name, bob);
      for (const argument of ['after', 'before']) {
        const { data } = await ask(`{ ${name}(${argument}: ${text(cursor)}) { nodes { id } } }`);
        expect(text(data)).not.toContain(bob.withdrawalNode);
        for (const { id } of data[name].nodes) {
          expect([alice.account, alice.depositAccountNode, alice.transferNode, alice.withdrawalNode]).toContain(id);
        }
      }
    },
  );
});

test('Z25: all that Alice can be told holds nothing of Bob, of the treasury or of those who asked', async () => {
  const account = `id network customer balances { amount instrument { id admin instrumentId name } } held { amount }
    depositAccounts { id memo state addresses { party memo qrPayload } account { customer } }`;
  const answer = await ask(`{
    viewer { name client scopes expiresAt account { ${account} } }
    accounts { nodes { ${account} } edges { cursor node { id } } }
    depositAccounts { nodes { depositAccountId replacedBy { id } } }
    transfers { nodes { transferId amount memo kind direction status counterparty attribution { account { customer } depositAccount { memo } } } }
    withdrawals { nodes { withdrawalId state isFinal amount receiver memo account { customer } failure { code } transfer { id } offer { status } } }
    instruments { nodes { name } }
  }`);

  expect(answer.errors).toBeUndefined();
  expect(answer.data.accounts.nodes).toHaveLength(1);
  expect(answer.data.accounts.nodes[0].balances).toMatchObject([{ amount: expect.any(String) }]);
  expect(answer.data.transfers.nodes).toHaveLength(1);
  expect(answer.data.withdrawals.nodes).toHaveLength(1);
  expect(answer.data.viewer).toMatchObject({ scopes: ['own'], account: { customer: 'alice' } });
  const told = text(answer.data);
  expect(told).not.toContain('bob-of-elsewhere');
  for (const secret of [bob.withdrawal, bob.transfer, bob.depositAccount, alice.key, 'developer'])
    expect(told).not.toContain(secret);
});

describe('Z25: subscriptions', () => {
  const FOLLOW = (id: string) =>
    `subscription { withdrawalUpdated(withdrawalId: ${text(id)}) { state withdrawal { id } } }`;
  const first = async (id: string) => {
    const client = await connectAcknowledged(scene.api.url, ALICE.authorization);
    client.send({ id: 'f', type: 'subscribe', payload: { query: FOLLOW(id) } });
    const message = await client.next();
    await client.close();
    return message;
  };

  test('Alice follows her own withdrawal, and Bob’s is one that there is not, on both transports', async () => {
    expect(await first(alice.withdrawal)).toMatchObject({
      type: 'next',
      payload: { data: { withdrawalUpdated: { withdrawal: { id: alice.withdrawalNode } } } },
    });
    expect(await first(bob.withdrawal)).toEqual(await first(nobody.withdrawal));
    expect(text(await first(bob.withdrawal))).toContain('WITHDRAWAL_UNKNOWN');

    const { stream } = await subscribeSse(scene.api.url, { query: FOLLOW(bob.withdrawal) }, ALICE);
    expect((await stream.next())?.data).toContain('WITHDRAWAL_UNKNOWN');
    stream.cut();
  });

  test.each([
    'deposits { eventId }',
    `withdrawals(account: "alice") { withdrawalId }`,
    'pendingApprovals { withdrawalId }',
    'ingestionProgress { status }',
  ])('she may not follow %s', async (field) => {
    const client = await connectAcknowledged(scene.api.url, ALICE.authorization);
    client.send({ id: 'f', type: 'subscribe', payload: { query: `subscription { ${field} }` } });

    expect(text(await client.next())).toContain('FORBIDDEN');
    await client.close();
  });
});

describe('what a customer may not do', () => {
  test('Z26: no mutation, and nothing is changed', async () => {
    const before = await scene.database.db.selectFrom('withdrawal').select('id').execute();
    const { data, errors } = await ask(
      `mutation { cancelWithdrawal(input: { withdrawalId: ${text(alice.withdrawal)} }) { __typename } }`,
    );
    expect(data).toBeNull();
    expect(errors[0].extensions.code).toBe('FORBIDDEN');
    expect(await scene.database.db.selectFrom('withdrawal').select('id').execute()).toEqual(before);
  });

  test.each(['holdings', 'balances', 'treasuryParties', 'tokens', 'freezes', 'halts', 'pendingApprovals', 'offers'])(
    'nor see %s',
    async (name) => {
      const { errors } = await ask(`{ ${name} { pageInfo { hasNextPage } } }`);
      expect(errors[0].extensions.code).toBe('FORBIDDEN');
    },
  );

  test.each([
    'attempts { number }',
    'treasury { party }',
    'createdBy',
    'idempotencyKey',
    'policy { verdict }',
    'waitsFor',
    'stops { why }',
  ])('nor, of her own withdrawal, %s', async (field) => {
    const { errors } = await ask(`{ withdrawal(withdrawalId: ${text(alice.withdrawal)}) { ${field} } }`);
    expect(errors[0].extensions.code).toBe('FORBIDDEN');
  });
});

test('an auditor sees what operators and the desk see, and changes nothing', async () => {
  const headers = { authorization: 'Bearer dev-auditor' };
  const { errors } = await ask(
    '{ quarantinedUpdates { nodes { id } } deskCases { nodes { id } } withdrawals { nodes { id createdBy } } }'.replaceAll(
      '{ id }',
      '{ __typename }',
    ),
    headers,
  );
  expect(errors).toBeUndefined();

  const halted = await ask('mutation { haltMoney(input: { why: "x" }) { __typename } }', headers);
  expect(halted.errors[0].extensions.code).toBe('FORBIDDEN');
  expect(await scene.database.db.selectFrom('halt').selectAll().execute()).toEqual([]);
});
