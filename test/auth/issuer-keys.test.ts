/**
 * Goal: an issuer that is down costs nobody who is known and gives nobody new; keys come and go in time; nobody can have us call it in a storm. Method: a real issuer over HTTP, and a clock that the test moves.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFetchKeys } from '../../src/auth/fetch-keys.ts';
import { COOLDOWN_SECONDS, createIssuerKeys, type IssuerKeys } from '../../src/auth/issuer-keys.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { createSend } from '../../src/scan/http-send.ts';
import { createVirtualClock, type VirtualClock } from '../support/clock.ts';
import { eventually } from '../support/eventually.ts';
import { newKey, startIssuer, type TestIssuer } from '../support/issuer.ts';

const AGE_SECONDS = 300;
const STALE_SECONDS = 3_600;
const first = newKey('first');
const second = newKey('second', 'ES256');

let issuer: TestIssuer;
let clock: VirtualClock;
let keys: IssuerKeys;
let ending: AbortController;
let running: Promise<void>;

const open = (isPrivateAllowed = true): IssuerKeys =>
  createIssuerKeys({
    issuer: issuer.url,
    fetchKeys: createFetchKeys({ issuer: issuer.url, keysUrl: null, send: createSend({ isPrivateAllowed }) }),
    ageSeconds: AGE_SECONDS,
    staleSeconds: STALE_SECONDS,
    clock,
    logger: createSystemLogger('silent'),
    signal: ending.signal,
  });

beforeEach(async () => {
  issuer = await startIssuer([first]);
  clock = createVirtualClock();
  ending = new AbortController();
  keys = open();
  running = keys.run();
  await eventually(() => expect(keys.isKnown('first')).toBe(true));
});

afterEach(async () => {
  ending.abort();
  await running;
  await issuer.close();
  expect(clock.sleepersCount()).toBe(0);
});

const isTaken = async (key: { readonly kid: string; readonly alg: string }): Promise<boolean> =>
  (await keys.find(key)) !== null;

/** Lets the loop come to its next look, and that look to its end. */
async function untilFetched(seconds: number): Promise<void> {
  const before = issuer.fetches();
  await clock.advance(seconds * 1_000);
  await eventually(() => expect(issuer.fetches()).toBeGreaterThan(before));
  await eventually(() => expect(keys.ageSeconds()).toBeLessThan(COOLDOWN_SECONDS));
}

test('H8: a new key is picked up by its first token, and ten thousand unknown ones cause one fetch in 30 s', async () => {
  issuer.publish([first, second]);
  await clock.advance(COOLDOWN_SECONDS * 1_000);
  const before = issuer.fetches();

  const storm = await Promise.all(
    Array.from({ length: 10_000 }, async (_, index) => await isTaken({ kid: `made-up-${index}`, alg: 'RS256' })),
  );

  expect(storm).not.toContain(true);
  expect(issuer.fetches() - before).toBe(1);
  expect(await isTaken(second)).toBe(true);
  await clock.advance((COOLDOWN_SECONDS - 1) * 1_000);
  expect(await isTaken({ kid: 'made-up', alg: 'RS256' })).toBe(false);
  expect(issuer.fetches() - before).toBe(1);
});

test('H8: a key that was taken back is refused within the age of keys, though nobody asked for another', async () => {
  issuer.publish([second]);
  expect(await isTaken(first)).toBe(true);

  await untilFetched(AGE_SECONDS);

  expect(await isTaken(first)).toBe(false);
  expect(keys.isKnown('first')).toBe(false);
  expect(await isTaken(second)).toBe(true);
});

test('H8: a key that gives its name to another one is taken back, with what it opened', async () => {
  const found = await keys.find(first);
  issuer.publish([first, second]);
  await untilFetched(AGE_SECONDS);
  expect(found?.isStanding()).toBe(true);

  issuer.publish([newKey('first'), second]);
  await untilFetched(AGE_SECONDS);

  expect(found?.isStanding()).toBe(false);
  expect((await keys.find(first))?.isStanding()).toBe(true);
});

test('H8: an issuer that publishes nothing any more is taken by its word', async () => {
  issuer.publish([]);
  await untilFetched(AGE_SECONDS);

  expect(await isTaken(first)).toBe(false);
});

test('H7: while the issuer is down the known key works up to the bound, an unknown one does not, and both recover', async () => {
  issuer.setDown(true);
  await clock.advance((STALE_SECONDS - 60) * 1_000);
  expect(await isTaken(first)).toBe(true);
  expect(await isTaken(second)).toBe(false);
  expect(keys.ageSeconds()).toBeGreaterThan(AGE_SECONDS);

  await clock.advance(120_000);
  expect(await isTaken(first)).toBe(false);
  expect(keys.isKnown('first')).toBe(false);

  issuer.setDown(false);
  await untilFetched(COOLDOWN_SECONDS);
  expect(await isTaken(first)).toBe(true);
});

describe('what an issuer says that is not believed', () => {
  test('H7: keys of another issuer’s name', async () => {
    issuer.setName('https://other.example');
    issuer.publish([second]);
    await clock.advance(AGE_SECONDS * 1_000);

    expect(await isTaken(second)).toBe(false);
    expect(await isTaken(first)).toBe(true);
  });

  test('Z33: an issuer inside our network, where none may be', async () => {
    const refused = open(false);

    expect(await refused.find(first)).toBeNull();
    expect(refused.ageSeconds()).toBeNull();
  });

  test('keys of another algorithm than the token says', async () => {
    expect(await keys.find({ kid: 'first', alg: 'ES256' })).toBeNull();
  });
});
