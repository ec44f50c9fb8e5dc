/** Tokens that end: from a file that changes, and from a token endpoint. Against the simulated network's own, which participants check. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { StateServiceService } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { openChannel } from '../../src/ledger/channel.ts';
import { createFileToken } from '../../src/ledger/file-token.ts';
import { createOAuthToken, type RenewedToken } from '../../src/ledger/oauth-token.ts';
import { TOKEN_PATH } from '../../src/simnet/wire/token-endpoint.ts';
import { createVirtualClock } from '../support/clock.ts';
import { startTestNetwork, type TestNetwork } from '../support/network.ts';

const logger = createSystemLogger('silent');
const SECRET = 'hunter2';

let simnet: TestNetwork;
let directory: string;
let asked = 0;
/** What the next answers of the token endpoint are to be; null: its own. */
let answer: (() => Promise<Response>) | null = null;

beforeEach(async () => {
  simnet = await startTestNetwork('tokens');
  directory = await mkdtemp(join(tmpdir(), 'sluice-token-'));
  asked = 0;
  answer = null;
});

afterEach(async () => {
  await simnet.stop();
  await rm(directory, { recursive: true });
});

function oauth(clock = systemClock): RenewedToken {
  return createOAuthToken({
    url: `${simnet.controlUrl}${TOKEN_PATH}`,
    clientId: 'sluice',
    clientSecret: createSecret(SECRET),
    audience: null,
    scope: 'daml_ledger_api',
    fetch: async (url, init) => {
      asked += 1;
      return answer === null ? await fetch(url, init) : await answer();
    },
    clock,
    random: systemRandom,
    logger,
  });
}

const json = (body: unknown) => async () => new Response(JSON.stringify(body), { status: 200 });
const down = async () => {
  throw new TypeError('fetch failed');
};

test('calls go on over the end of many tokens, without one being refused', async () => {
  simnet.network.access.setUser({ id: 'sluice' });
  simnet.network.access.setTokenLifetime(3_000);
  simnet.network.access.demandTokens(true);
  const tokens = oauth();
  const channel = openChannel({ url: simnet.ledgerUrl(), tokens });
  const ending = new AbortController();
  const renewing = tokens.run(ending.signal);

  const until = systemClock.nowMicros() + 7_000_000n;
  while (systemClock.nowMicros() < until) {
    await channel.call(StateServiceService.getLedgerEnd, {});
    await systemClock.sleep(50);
  }
  ending.abort();
  await renewing;
  channel.close();

  expect(asked).toBeGreaterThanOrEqual(3);
  expect(asked).toBeLessThan(8);
});

test('many calls at once that need a token make one request', async () => {
  answer = json({ access_token: 'one', expires_in: 60 });
  const tokens = oauth();

  const all = await Promise.all(Array.from({ length: 50 }, () => tokens.token()));

  expect(new Set(all.map((token) => token.reveal()))).toEqual(new Set(['one']));
  expect(asked).toBe(1);
});

test('a token is renewed while it is still good; while the provider is away it goes on to its end, and not beyond', async () => {
  const clock = createVirtualClock();
  const tokens = oauth(clock);
  answer = json({ access_token: 'first', expires_in: 300 });
  expect((await tokens.token()).reveal()).toBe('first');

  await clock.advance(150_000);
  await tokens.token();
  expect(asked).toBe(1);
  answer = json({ access_token: 'second', expires_in: '300' });
  await clock.advance(60_000);
  expect((await tokens.token()).reveal()).toBe('first');
  await clock.advance(0);
  expect((await tokens.token()).reveal()).toBe('second');
  expect(asked).toBe(2);

  answer = down;
  for (let second = 0; second < 290; second += 10) {
    await clock.advance(10_000);
    expect((await tokens.token()).reveal()).toBe('second');
  }
  await clock.advance(10_000);
  // Bounded tries, with pauses between.
  expect(asked).toBeLessThan(2 + 3 * 20);
  const late = tokens.token();
  late.catch(() => undefined);
  await clock.advance(10_000);
  await expect(late).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE', retryable: true });
});

test('it is also renewed when nobody asks', async () => {
  const clock = createVirtualClock();
  const tokens = oauth(clock);
  answer = json({ access_token: 'first', expires_in: 300 });
  const ending = new AbortController();
  const running = tokens.run(ending.signal);
  await clock.advance(0);
  answer = json({ access_token: 'second', expires_in: 300 });

  await clock.advance(210_000);

  expect(asked).toBe(2);
  expect((await tokens.token()).reveal()).toBe('second');
  expect(asked).toBe(2);
  ending.abort();
  await running;
  await clock.advance(10_000);
  expect(clock.sleepersCount()).toBe(0);
});

test('a token that was refused is not used again', async () => {
  const tokens = oauth();
  answer = json({ access_token: 'first' });
  const first = await tokens.token();
  answer = json({ access_token: 'second' });

  tokens.refused(first);
  const second = await tokens.token();
  tokens.refused(first);

  expect(second.reveal()).toBe('second');
  expect(await tokens.token()).toBe(second);
});

test.each([
  ['a refusal', async () => new Response(`{"error":"invalid_client","sent":"${SECRET}"}`, { status: 401 })],
  ['no JSON', async () => new Response(`<html>${SECRET}`, { status: 200 })],
  ['no token', json({ token_type: 'Bearer' })],
  ['a life that is none', json({ access_token: 'x', expires_in: -1 })],
  ['an endless answer', async () => new Response('x'.repeat(100_000), { status: 200 })],
  ['nothing', down],
])('%s is tried a few times and then told, and the secret is in no word of it', async (_, given) => {
  const tokens = oauth();
  answer = given;

  const error = await tokens.token().catch((thrown: unknown) => thrown);

  expect(error).toMatchObject({ code: 'TOKEN_UNAVAILABLE', retryable: true });
  expect(asked).toBe(3);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
  expect(inspect(tokens, { depth: 9, showHidden: true })).not.toContain(SECRET);
});

test('a token file is read again when it changes; emptied or gone, the last token goes on', async () => {
  const path = join(directory, 'token');
  const clock = createVirtualClock();
  const tokens = createFileToken({ path, clock, logger });
  await expect(tokens.token()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE', retryable: true });

  await writeFile(path, 'first\n');
  expect((await tokens.token()).reveal()).toBe('first');
  await writeFile(path, 'second\n');
  expect((await tokens.token()).reveal()).toBe('first');
  await clock.advance(1_000);
  expect((await tokens.token()).reveal()).toBe('second');
  await writeFile(path, '');
  await clock.advance(1_000);
  expect((await tokens.token()).reveal()).toBe('second');
  await rm(path);
  await clock.advance(1_000);
  const last = await tokens.token();
  expect(last.reveal()).toBe('second');
  expect(`${last} ${inspect(last)}`).not.toContain('second');

  await writeFile(path, 'third');
  tokens.refused(last);
  expect((await tokens.token()).reveal()).toBe('third');
});
