/**
 * Goal: no token is taken that a well-behaved issuer did not make for us, on any transport. Method: a real issuer over HTTP, and tokens forged by hand: everything that RFC 8725 warns of, and what went wrong in libraries.
 * Each is sent over HTTP, as a subscription over server-sent events and as the first message of a WebSocket; a good token passes on all three, so that a refusal means something.
 */
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { now, startAccessApi, tokenOf } from '../support/access.ts';
import { post, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type IssuerKey, jwkOf, newKey, signToken, startIssuer, type TestIssuer } from '../support/issuer.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connect } from '../support/ws-client.ts';

const rsa = newKey('rsa-1');
const pss = newKey('pss-1', 'PS256');
const ec = newKey('ec-1', 'ES256');
const ed = newKey('ed-1', 'EdDSA');
const weak = newKey('weak-1', 'RS256', 1_024);
const stranger = newKey('rsa-1');

let database: TestDatabase;
let issuer: TestIssuer;
let other: TestIssuer;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.stream({});
  const twice = newKey('twice');
  const secret = { kty: 'oct', kid: 'oct-1', k: Buffer.from('shared').toString('base64url'), alg: 'HS256' };
  issuer = await startIssuer([rsa, pss, ec, ed]);
  issuer.publish([
    ...[rsa, pss, ec, ed, weak, twice, { ...jwkOf(stranger), kid: 'twice' }].map((key) => key),
    secret,
    { ...jwkOf(newKey('enc-1')), use: 'enc' },
    { ...jwkOf(newKey('p384', 'ES256')), crv: 'P-384', kid: 'p384' },
  ]);
  other = await startIssuer([stranger]);
  api = await startAccessApi(database, { issuer });
});

afterAll(async () => {
  await api.stop();
  await issuer.close();
  await other.close();
  await database.close();
});

async function outcomes(token: string): Promise<{ http: number; sse: number; ws: number | string }> {
  const headers = { authorization: `Bearer ${token}` };
  const { status } = await post(api.url, { query: '{ viewer { name } }' }, headers);
  const sse = await subscribeSse(api.url, { query: 'subscription { ingestionProgress { status } }' }, headers);
  sse.stream.cut();
  const client = await connect(api.url);
  client.send({ type: 'connection_init', payload: headers });
  const ws = await Promise.race([client.closed.then(({ code }) => code), client.next().then(({ type }) => type)]).catch(
    async () => (await client.closed).code,
  );
  await client.close();
  return { http: status, sse: sse.status, ws };
}

describe('good tokens', () => {
  test.each([
    ['RS256', rsa],
    ['PS256', pss],
    ['ES256', ec],
    ['EdDSA', ed],
  ])('%s is taken on all transports', async (_name, key) => {
    expect(await outcomes(tokenOf(issuer, key))).toEqual({ http: 200, sse: 200, ws: 'connection_ack' });
  });

  test('an audience among others, the type in full, and a thumbprint beside it', async () => {
    const token = tokenOf(issuer, rsa, { aud: ['x', 'sluice-api'] }, { typ: 'application/AT+JWT', x5t: 'abc' });
    expect(await outcomes(token)).toEqual({ http: 200, sse: 200, ws: 'connection_ack' });
  });
});

const b64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const claims = (over: Record<string, unknown> = {}) => ({
  iss: issuer.url,
  aud: 'sluice-api',
  sub: 'ann',
  iat: now(),
  exp: now() + 300,
  roles: ['operator'],
  ...over,
});
const header = (over: Record<string, unknown> = {}) => ({ alg: 'RS256', kid: 'rsa-1', typ: 'at+jwt', ...over });
const hmac = (alg: string, secret: string | Buffer, over: Record<string, unknown> = {}): string => {
  const input = `${b64(header({ alg, ...over }))}.${b64(claims())}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
};
const unsigned = (alg: unknown, signature = ''): string => `${b64(header({ alg }))}.${b64(claims())}.${signature}`;
const withHeader = (over: Record<string, unknown>, key: IssuerKey = rsa): string =>
  signToken(key, header(over), claims());
const withClaims = (over: Record<string, unknown>): string => signToken(rsa, header(), claims(over));
const without = (name: string): string =>
  signToken(rsa, header(), Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name)));
const publicPem = (): string => String(rsa.publicKey.export({ type: 'spki', format: 'pem' }));

/** Made when they are sent: they are of this moment. */
const FORGED: Readonly<Record<string, () => string>> = {
  'alg none': () => unsigned('none'),
  'alg None': () => unsigned('None'),
  'alg NONE': () => unsigned('NONE'),
  'alg nOnE': () => unsigned('nOnE'),
  'alg none with a signature': () => unsigned('none', signToken(rsa, header(), claims()).split('.')[2]),
  'alg empty': () => unsigned('', 'A'.repeat(64)),
  'alg missing': () => signToken(rsa, { kid: 'rsa-1', typ: 'at+jwt' }, claims()),
  'alg null': () => withHeader({ alg: null }),
  'alg a list': () => withHeader({ alg: ['RS256'] }),
  'alg in lower case': () => withHeader({ alg: 'rs256' }),
  'HS256 with the public key as PEM': () => hmac('HS256', publicPem()),
  'HS256 with the public key as DER': () => hmac('HS256', rsa.publicKey.export({ type: 'spki', format: 'der' })),
  'HS256 with the modulus': () => hmac('HS256', String(rsa.publicKey.export({ format: 'jwk' }).n)),
  'HS256 with nothing': () => hmac('HS256', ''),
  'HS512 by name': () => hmac('HS512', publicPem()),
  'HS256 with a shared key that is published': () => hmac('HS256', 'shared', { kid: 'oct-1' }),
  'RS512, which nobody agreed on': () => withHeader({ alg: 'RS512' }),
  ES256K: () => withHeader({ alg: 'ES256K' }),
  'another algorithm of the same key': () => withHeader({ alg: 'PS256' }),
  'the algorithm of another kind of key': () => withHeader({ alg: 'ES256' }),
  'jwk: a key of its own': () => withHeader({ jwk: jwkOf(stranger) }, stranger),
  'jku: keys from elsewhere': () => withHeader({ jku: `${other.url}/keys` }, stranger),
  'x5u: a certificate from elsewhere': () => withHeader({ x5u: `${other.url}/cert` }, stranger),
  'x5c: a certificate of its own': () => withHeader({ x5c: ['MIIB'] }, stranger),
  'kid missing': () => signToken(rsa, { alg: 'RS256', typ: 'at+jwt' }, claims()),
  'kid of a file': () => withHeader({ kid: '../../../../dev/null' }),
  'kid with SQL': () => withHeader({ kid: "x' UNION SELECT 'a" }),
  'kid of a prototype': () => withHeader({ kid: '__proto__' }),
  'kid a number': () => withHeader({ kid: 1 }),
  'kid with U+0000': () => withHeader({ kid: 'rsa-1\0' }),
  'kid unknown': () => withHeader({ kid: 'rsa-99' }),
  'kid of two keys': () => withHeader({ kid: 'twice' }, stranger),
  'a key for encryption': () => withHeader({ kid: 'enc-1' }),
  'a weak RSA key': () => withHeader({ kid: 'weak-1' }, weak),
  'a key of another curve': () => withHeader({ kid: 'p384', alg: 'ES256' }, ec),
  'another’s key by our key’s name': () => withHeader({}, stranger),
  'iss of another issuer': () => withClaims({ iss: other.url }),
  'iss with a slash more': () => withClaims({ iss: `${issuer.url}/` }),
  'iss missing': () => without('iss'),
  'iss a list': () => withClaims({ iss: [issuer.url] }),
  'aud of another service': () => withClaims({ aud: 'another' }),
  'aud missing': () => without('aud'),
  'aud as a part of ours': () => withClaims({ aud: 'sluice' }),
  'aud an object': () => withClaims({ aud: { 0: 'sluice-api' } }),
  'typ missing': () => signToken(rsa, { alg: 'RS256', kid: 'rsa-1' }, claims()),
  'typ JWT: what an ID token says': () => withHeader({ typ: 'JWT' }),
  'typ of a logout token': () => withHeader({ typ: 'logout+jwt' }),
  'typ of a DPoP proof': () => withHeader({ typ: 'dpop+jwt' }),
  'an ID token by its nonce': () => withClaims({ nonce: 'n' }),
  'an ID token by its at_hash': () => withClaims({ at_hash: 'x' }),
  'an ID token by its own word': () => withClaims({ typ: 'ID' }),
  'exp missing': () => without('exp'),
  'exp long past': () => withClaims({ iat: now() - 600, exp: now() - 300 }),
  'exp a text': () => withClaims({ exp: String(now() + 300) }),
  'exp without end': () => signToken(rsa, header(), JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999')),
  'exp negative': () => withClaims({ exp: -1 }),
  'iat missing': () => without('iat'),
  'iat to come': () => withClaims({ iat: now() + 60, exp: now() + 300 }),
  'iat older than we take, though exp is to come': () => withClaims({ iat: now() - 4_000, exp: now() + 300 }),
  'iat in milliseconds': () => withClaims({ iat: now() * 1_000, exp: now() * 1_000 + 300_000 }),
  'nbf to come': () => withClaims({ nbf: now() + 60 }),
  'nbf a text': () => withClaims({ nbf: '0' }),
  'b64 false with crit': () => withHeader({ b64: false, crit: ['b64'] }),
  'b64 false without': () => withHeader({ b64: false }),
  'crit of nothing known': () => withHeader({ crit: ['exp'] }),
  'crit empty': () => withHeader({ crit: [] }),
  zip: () => withHeader({ zip: 'DEF' }),
  'two sub': () => signToken(rsa, header(), JSON.stringify(claims()).replace('{', '{"sub":"root",')),
  'two roles, one of them escaped': () =>
    signToken(rsa, header(), JSON.stringify(claims({ roles: [] })).replace('{', '{"r\\u006fles":["admin"],')),
  'two alg in the header': () => signToken(rsa, '{"alg":"none","alg":"RS256","kid":"rsa-1","typ":"at+jwt"}', claims()),
  'sub missing': () => without('sub'),
  'sub a number': () => withClaims({ sub: 1 }),
  'sub that is Sluice itself': () => withClaims({ sub: 'screening' }),
  'sub with a colon, as Sluice’s own names have': () => withClaims({ sub: 'sluice:desk' }),
  'sub with a slash, as keys of a person have': () => withClaims({ sub: 'alice/laptop' }),
  'no role': () => withClaims({ roles: [] }),
  'a role that is none': () => withClaims({ roles: ['root', 'read', 'everything'] }),
  'both sides of an approval': () => withClaims({ roles: ['service', 'approver'] }),
  'a customer who is more': () => withClaims({ roles: ['customer', 'operator'], account: 'a' }),
  'a customer without account': () => withClaims({ roles: ['customer'] }),
  'a customer of all accounts': () => withClaims({ roles: ['customer'], account: '' }),
  'a customer of several accounts': () => withClaims({ roles: ['customer'], account: ['a', 'b'] }),
  'claims that are a list': () => signToken(rsa, header(), [claims()]),
  'claims that are no JSON': () => signToken(rsa, header(), 'sub=ann'),
  'claims with a thousand brackets': () => signToken(rsa, header(), `${'['.repeat(1_000)}${']'.repeat(1_000)}`),
  'a signature changed by one bit': () => {
    const token = tokenOf(issuer, rsa);
    const at = token.length - 20;
    return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
  },
  'claims changed after signing': () => {
    const [first, , signature] = tokenOf(issuer, rsa).split('.');
    return `${first}.${b64(claims({ roles: ['admin'] }))}.${signature}`;
  },
  'an ECDSA signature of zeros': () =>
    `${b64(header({ alg: 'ES256', kid: 'ec-1' }))}.${b64(claims())}.${Buffer.alloc(64).toString('base64url')}`,
  'base64 with a sign': () => tokenOf(issuer, rsa).replace('.', '=.'),
  'four parts': () => `${tokenOf(issuer, rsa)}.x`,
  'five parts, as encrypted ones have': () => `${tokenOf(issuer, rsa)}.x.y`,
  'a token too long': () => withClaims({ padding: 'x'.repeat(9_000) }),
  'nothing between the dots': () => '..',
};

describe('Z24: forged and misused tokens', () => {
  test('there are more than forty', () => {
    expect(Object.keys(FORGED).length).toBeGreaterThanOrEqual(40);
  });

  test.each(Object.keys(FORGED))('%s: refused over HTTP, server-sent events and WebSocket', async (name) => {
    const { http, sse, ws } = await outcomes(FORGED[name]?.() ?? '');

    expect({ http, sse }).toEqual({ http: 401, sse: 401 });
    expect(ws).toBe(4403);
  });

  test('Z33: nothing was fetched from where tokens pointed, and unknown keys caused no storm at the issuer', () => {
    expect(other.fetches()).toBe(0);
    expect(issuer.fetches()).toBeLessThanOrEqual(3);
  });

  test('Z29: nothing of a token is in a log', () => {
    expect(JSON.stringify(api.lines)).not.toContain('eyJ');
  });
});
