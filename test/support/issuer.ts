/** An identity provider over real HTTP: keys that it rotates and takes back, tokens as it signs them, and outages. */
import { generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA';

export type IssuerKey = {
  readonly kid: string;
  readonly alg: Algorithm;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
};

export type TestIssuer = {
  readonly url: string;
  /** How often the keys were asked for. */
  fetches(): number;
  /** Whose keys it publishes. */
  publish(keys: readonly (IssuerKey | Record<string, unknown>)[]): void;
  /** While it is down it answers 503. */
  setDown(isDown: boolean): void;
  /** What it says its name is; null: as it is. */
  setName(name: string | null): void;
  close(): Promise<void>;
};

export function newKey(kid: string, alg: Algorithm = 'RS256', modulusLength = 2_048): IssuerKey {
  if (alg === 'ES256') return { kid, alg, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
  if (alg === 'EdDSA') return { kid, alg, ...generateKeyPairSync('ed25519') };
  return { kid, alg, ...generateKeyPairSync('rsa', { modulusLength }) };
}

export async function startIssuer(keys: readonly IssuerKey[]): Promise<TestIssuer> {
  let published: readonly (IssuerKey | Record<string, unknown>)[] = keys;
  let isDown = false;
  let name: string | null = null;
  let fetches = 0;
  const server = createServer((request, response) => {
    if (request.url === '/keys') fetches++;
    if (isDown) {
      response.writeHead(503).end();
      return;
    }
    const body =
      request.url === '/.well-known/openid-configuration'
        ? { issuer: name ?? url, jwks_uri: `${url}/keys` }
        : { keys: published.map(jwkOf) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    fetches: () => fetches,
    publish: (next) => {
      published = next;
    },
    setDown: (down) => {
      isDown = down;
    },
    setName: (next) => {
      name = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

export function jwkOf(key: IssuerKey | Record<string, unknown>): Record<string, unknown> {
  if (!('publicKey' in key)) return key;
  const { kid, alg, publicKey } = key as IssuerKey;
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signs whatever it is given: `header` and `claims` may be text, so that what no library would write can be written. */
export function signToken(key: IssuerKey, header: Record<string, unknown> | string, claims: unknown): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signatureOf(key, input).toString('base64url')}`;
}

function signatureOf({ alg, privateKey }: IssuerKey, input: string): Buffer {
  const bytes = Buffer.from(input);
  if (alg === 'EdDSA') return signBytes(null, bytes, privateKey);
  if (alg === 'ES256') return signBytes('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (alg === 'PS256') return signBytes('sha256', bytes, { key: privateKey, padding: 6, saltLength: 32 });
  return signBytes('sha256', bytes, privateKey);
}
