/** Goal: what a token says of its bearer is what he may do, and his connections end with it. Method: a real issuer, tokens of a few seconds, real sockets and streams. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { now, startAccessApi, tokenOf } from '../support/access.ts';
import { post, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { newKey, startIssuer, type TestIssuer } from '../support/issuer.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const key = newKey('k');
let database: TestDatabase;
let issuer: TestIssuer;
let api: TestApi;
let mapped: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.stream({});
  issuer = await startIssuer([key]);
  api = await startAccessApi(database, { issuer });
  mapped = await startAccessApi(database, {
    issuer,
    settings: {
      SLUICE_OIDC_ISSUERS: `staff=${issuer.url}`,
      SLUICE_OIDC_TOKEN_TYPE: 'JWT',
      SLUICE_OIDC_ROLES_CLAIM: 'realm_access.roles',
      SLUICE_OIDC_ROLES: 'treasury-team=operator,retail=customer',
      SLUICE_OIDC_NAME_CLAIM: 'preferred_username',
      SLUICE_OIDC_ACCOUNT_CLAIM: 'exchange.account',
    },
  });
});

afterAll(async () => {
  await api.stop();
  await mapped.stop();
  await issuer.close();
  await database.close();
});

const VIEWER = '{ viewer { name client scopes expiresAt account { customer network } } }';
const viewerOf = async (of: TestApi, token: string) =>
  await post(of.url, { query: VIEWER }, { authorization: `Bearer ${token}` });

describe('what a token means', () => {
  test.each([
    ['service', ['books', 'deposits', 'read', 'subscribe', 'withdrawals']],
    ['operator', ['deposits', 'desk', 'operate', 'read', 'subscribe']],
    ['approver', ['approve', 'read', 'subscribe']],
    ['auditor', ['audit', 'read', 'subscribe']],
    ['admin', ['admin', 'deposits', 'desk', 'operate', 'read', 'subscribe']],
  ])('the role %s', async (role, scopes) => {
    const { data } = await viewerOf(api, tokenOf(issuer, key, { roles: [role, 'of-another-application'] }));

    expect(data.viewer).toMatchObject({ name: 'ann', client: 'ann', scopes, account: null });
  });

  test('a customer is bound to the account of his token', async () => {
    const { data } = await viewerOf(api, tokenOf(issuer, key, { roles: 'customer', account: 'carol' }));

    expect(data.viewer).toMatchObject({ scopes: ['own'], account: { customer: 'carol', network: 'testnet' } });
  });

  test('claims, roles and names as the configuration says', async () => {
    const claims = { preferred_username: 'ann', roles: ['admin'], realm_access: { roles: ['treasury-team', 'x'] } };
    const { data } = await viewerOf(mapped, tokenOf(issuer, key, claims, { typ: 'JWT' }));
    expect(data.viewer).toMatchObject({
      name: 'staff.ann',
      scopes: ['deposits', 'desk', 'operate', 'read', 'subscribe'],
    });

    const customer = { preferred_username: 'c', realm_access: { roles: ['retail'] }, exchange: { account: 'carol' } };
    expect((await viewerOf(mapped, tokenOf(issuer, key, customer, { typ: 'JWT' }))).data.viewer.account.customer).toBe(
      'carol',
    );
  });

  test('Z24: where tokens say JWT an ID token is told by its claims, and the names of our roles mean nothing', async () => {
    const claims = { preferred_username: 'ann', realm_access: { roles: ['treasury-team'] } };
    for (const over of [{ nonce: 'n' }, { at_hash: 'h' }, { typ: 'ID' }, { typ: 'Refresh' }]) {
      expect((await viewerOf(mapped, tokenOf(issuer, key, { ...claims, ...over }, { typ: 'JWT' }))).status).toBe(401);
    }
    const own = { ...claims, realm_access: { roles: ['operator'] } };
    expect((await viewerOf(mapped, tokenOf(issuer, key, own, { typ: 'JWT' }))).status).toBe(401);
    expect((await viewerOf(mapped, tokenOf(issuer, key, claims))).status).toBe(401);
  });
});

test('Z24: an issuer of customers makes customers, whatever roles its tokens name, and no role of another issuer’s', async () => {
  const retail = await startIssuer([newKey('k', 'ES256')]);
  const retailKey = newKey('r', 'ES256');
  retail.publish([retailKey]);
  const both = await startAccessApi(database, {
    issuer,
    settings: {
      SLUICE_OIDC_ISSUERS: `staff=${issuer.url},retail=${retail.url}`,
      SLUICE_OIDC_CUSTOMER_ISSUERS: 'retail',
    },
  });
  const ofRetail = (claims: Record<string, unknown>) => tokenOf(retail, retailKey, claims);

  expect((await viewerOf(both, tokenOf(issuer, key))).data.viewer).toMatchObject({ name: 'staff.ann' });
  for (const role of ['service', 'operator', 'approver', 'auditor', 'admin']) {
    expect((await viewerOf(both, ofRetail({ roles: [role] }))).status, role).toBe(401);
  }
  const { data } = await viewerOf(both, ofRetail({ roles: ['admin', 'customer'], account: 'carol' }));
  expect(data.viewer).toMatchObject({ name: 'retail.ann', scopes: ['own'], account: { customer: 'carol' } });
  // Signed by one and said to be by the other: neither key is the other's.
  expect((await viewerOf(both, tokenOf(issuer, retailKey))).status).toBe(401);

  await both.stop();
  await retail.close();
});

test('H9: a token of a few seconds ends its socket and its stream, and a new one comes in at once', async () => {
  const query = 'subscription { ingestionProgress { status } }';
  // As much as is past already leaves a few seconds, the leeway included.
  const brief = tokenOf(issuer, key, { iat: now() - 300, exp: now() + 1 });
  const socket = await connectAcknowledged(api.url, `Bearer ${brief}`);
  socket.send({ id: 's', type: 'subscribe', payload: { query } });
  expect((await socket.next()).type).toBe('next');
  const { stream } = await subscribeSse(api.url, { query }, { authorization: `Bearer ${brief}` });
  expect(await stream.next()).not.toBeNull();
  const longer = await connectAcknowledged(api.url, `Bearer ${tokenOf(issuer, key)}`);

  expect(await socket.closed).toMatchObject({ code: 4403, reason: 'TOKEN_EXPIRED' });
  let last = await stream.next();
  for (let next = last; next !== null; next = await stream.next()) last = next;
  expect(last?.event).not.toBe('complete');
  expect((await viewerOf(api, brief)).status).toBe(401);
  expect(longer.socket.readyState).toBe(longer.socket.OPEN);
  await longer.close();
  await (await connectAcknowledged(api.url, `Bearer ${tokenOf(issuer, key)}`)).close();
});

test('the header of the upgrade is taken as the first message is, and a socket without either is closed', async () => {
  const { connect } = await import('../support/ws-client.ts');
  const headers = { authorization: `Bearer ${tokenOf(issuer, key)}` };
  const upgraded = await connect(api.url, { headers });
  upgraded.send({ type: 'connection_init' });
  expect((await upgraded.next()).type).toBe('connection_ack');
  await upgraded.close();

  const bare = await connect(api.url);
  bare.send({ type: 'connection_init' });
  expect((await bare.closed).code).toBe(4401);
  expect((await post(api.url, { query: VIEWER })).status).toBe(401);
});
