/**
 * Where we do not go, whatever a registry's address, its name server or its answers say: real sockets, and a resolver of our own that lies. A request that arrives at a server of this test is one too many.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { createFixedToken } from '../../src/ledger/token-source.ts';
import { createSend, type Lookup } from '../../src/scan/http-send.ts';
import { createRegistries, type RegistriesOptions } from '../../src/scan/registries.ts';
import { silentLogger } from '../simnet/harness.ts';

type Seen = { readonly path: string; readonly authorization: string | undefined };

let seen: Seen[] = [];
let server: Server;
let port: number;
let location: string | null = null;

beforeAll(async () => {
  server = createServer((request, response) => {
    seen.push({ path: request.url ?? '', authorization: request.headers.authorization });
    if (location !== null) response.writeHead(302, { location }).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ adminId: ADMIN }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  seen = [];
  location = null;
});

const ADMIN = 'admin::1220';
const instrument = { admin: ADMIN, id: 'X' };

function registriesAt(url: string, options: Partial<RegistriesOptions> = {}) {
  return createRegistries({
    clock: systemClock,
    random: createSeededRandom(3),
    logger: silentLogger,
    sourceOf: () => ({ strategy: 'rotate', urls: [url] }),
    scan: null,
    validator: null,
    isPrivateAllowed: false,
    callsPerSecondMax: 1_000,
    timeoutMs: 2_000,
    ...options,
  });
}

const INTERNAL = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f000001',
  '017700000001',
  '[::1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '100.64.0.1',
  '[fd12:3456::1]',
];
const NEVER = [
  '169.254.169.254',
  '[::ffff:169.254.169.254]',
  '[fe80::1]',
  '[fd00:ec2::254]',
  '100.100.100.200',
  '0.0.0.0',
  '[::]',
  '224.0.0.1',
  '255.255.255.255',
  '[ff02::1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
];

describe('F4, Z33: a registry at an address of ours', () => {
  it.each([...INTERNAL, ...NEVER])('is not called: %s', async (host) => {
    const error = registriesAt(`https://${host}:${port}`).adminId(instrument);

    await expect(error).rejects.toMatchObject({ code: 'REGISTRY_ADDRESS_REFUSED', retryable: false });
    expect(seen).toEqual([]);
  });

  it.each(NEVER)('is not called where private addresses are allowed either: %s', async (host) => {
    const error = registriesAt(`http://${host}:${port}`, { isPrivateAllowed: true }).adminId(instrument);

    await expect(error).rejects.toMatchObject({ code: 'REGISTRY_ADDRESS_REFUSED' });
  });

  it('is called where private addresses are allowed', async () => {
    expect(await registriesAt(`http://127.0.0.1:${port}`, { isPrivateAllowed: true }).adminId(instrument)).toBe(ADMIN);
  });

  it('is not spoken to without TLS', async () => {
    await expect(registriesAt('http://registry.example').adminId(instrument)).rejects.toMatchObject({
      code: 'REGISTRY_ADDRESS_REFUSED',
      facts: { protocol: 'http:' },
    });
  });

  it.each(['localhost', 'ip6-localhost.', 'localhost.'])('is not called by the name %s', async (host) => {
    const lookup: Lookup = async () => [{ address: '127.0.0.1', family: 4 }];
    const send = createSend({ isPrivateAllowed: false, lookup });

    await expect(registriesAt(`https://${host}:${port}`, { send }).adminId(instrument)).rejects.toMatchObject({
      code: 'REGISTRY_ADDRESS_REFUSED',
    });
    expect(seen).toEqual([]);
  });
});

describe('F4, Z33: a name that is bound again', () => {
  it('after its first answer gains nothing: each connection goes where its own look-up said, and that was checked', async () => {
    const answers = ['127.0.0.1', '169.254.169.254'];
    let lookups = 0;
    const lookup: Lookup = async () => [{ address: answers[Math.min(lookups++, 1)]!, family: 4 }];
    const send = createSend({ isPrivateAllowed: true, lookup });
    const registries = registriesAt(`http://registry.example:${port}`, { send });

    expect(await registries.adminId(instrument)).toBe(ADMIN);
    // On the connection that is open already there is nothing to look up.
    expect(await registries.adminId(instrument)).toBe(ADMIN);
    expect(lookups).toBe(1);
    server.closeAllConnections();

    await expect(registries.adminId(instrument)).rejects.toMatchObject({
      code: 'REGISTRY_ADDRESS_REFUSED',
      facts: { address: '169.254.169.254' },
    });
    expect(seen).toHaveLength(2);
  });

  it.each([
    ['the internal one last', ['93.184.216.34', '127.0.0.1']],
    ['the internal one first', ['127.0.0.1', '93.184.216.34']],
    ['an internal one of another family', ['93.184.216.34', '::1']],
  ])('to several addresses is refused for the worst of them: %s', async (_, addresses) => {
    const lookup: Lookup = async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const send = createSend({ isPrivateAllowed: false, lookup });

    await expect(registriesAt(`https://registry.example:${port}`, { send }).adminId(instrument)).rejects.toMatchObject({
      code: 'REGISTRY_ADDRESS_REFUSED',
    });
    expect(seen).toEqual([]);
  });
});

describe('F4: a redirect', () => {
  it.each(['http://169.254.169.254/latest/meta-data', '/elsewhere', 'https://evil.example/'])(
    'to %s is not followed',
    async (to) => {
      location = to;

      await expect(
        registriesAt(`http://127.0.0.1:${port}`, { isPrivateAllowed: true }).adminId(instrument),
      ).rejects.toMatchObject({ code: 'REGISTRY_REDIRECTED', facts: { status: 302, location: to } });
      expect(seen).toHaveLength(1);
    },
  );
});

describe("Z33: the validator's token", () => {
  const SECRET = 'the-token-of-our-validator';
  const validator = () => ({
    url: `http://127.0.0.1:${port}/api/validator`,
    tokens: createFixedToken(createSecret(SECRET)),
  });

  it('goes to the validator, and to no registry and no Scan, even under the same host', async () => {
    const sources = {
      proxy: { strategy: 'proxy' },
      other: { strategy: 'rotate', urls: [`http://127.0.0.1:${port}`] },
    } as const;
    const registries = registriesAt('', {
      isPrivateAllowed: true,
      sourceOf: (_admin, id) => (id === 'proxied' ? sources.proxy : sources.other),
      validator: validator(),
    });

    await registries.adminId({ admin: ADMIN, id: 'proxied' });
    await registries.adminId({ admin: ADMIN, id: 'other' });

    expect(seen).toEqual([
      { path: '/api/validator/v0/scan-proxy/registry/metadata/v1/info', authorization: `Bearer ${SECRET}` },
      { path: '/registry/metadata/v1/info', authorization: undefined },
    ]);
  });

  it('does not follow a registry that names the address of the proxy as its own', async () => {
    const registries = registriesAt('', {
      isPrivateAllowed: true,
      sourceOf: (_admin, id) =>
        id === 'proxied'
          ? { strategy: 'proxy' }
          : { strategy: 'rotate', urls: [`http://127.0.0.1:${port}/api/validator/v0/scan-proxy`] },
      validator: validator(),
    });

    await registries.adminId({ admin: ADMIN, id: 'proxied' });
    await registries.adminId({ admin: ADMIN, id: 'other' });

    expect(seen.map(({ authorization }) => authorization)).toEqual([`Bearer ${SECRET}`, undefined]);
  });

  it('is in no error and no health', async () => {
    location = 'https://evil.example/';
    const registries = registriesAt('', {
      isPrivateAllowed: true,
      sourceOf: () => ({ strategy: 'proxy' }),
      validator: validator(),
    });

    const error: unknown = await registries.adminId(instrument).catch((thrown: unknown) => thrown);

    const said = JSON.stringify([error, registries.health()], (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect(said).toContain('REGISTRY_REDIRECTED');
    expect(said).not.toContain(SECRET);
  });
});
