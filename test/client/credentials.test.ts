/** Tokens that are not taken: another one is asked for, once for all who wait, on every transport; and when none is ever taken, that is said. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMemoryKeyStore, graphql, type TokenSource } from '../../client/src/client.ts';
import type { Authenticator } from '../../src/auth/credential.ts';
import { systemClock } from '../../src/env/system.ts';
import { principalOf } from '../../src/schema/principal.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { eventually } from '../support/eventually.ts';
import { INPUT } from '../support/withdrawal-api.ts';
import { CHANGES, collect, type Scene, startScene } from './scene.ts';

const KEY = 'a-key-of-more-than-thirty-two-characters';
const VIEWER = graphql('query TestViewer { viewer { name } }');
let scene: Scene;

beforeAll(async () => {
  const hash = createHash('sha256').update(KEY).digest('hex');
  scene = await startScene({
    apiKeys: [parseApiKey(`exchange:read+subscribe+withdrawals:${hash}`)],
    access: { authenticators: [shortLived()] },
  });
});

afterAll(async () => {
  await scene.close();
});

/** Takes `short-…`, each for half a second from when it is first seen. */
function shortLived(): Authenticator {
  const ends = new Map<string, bigint>();
  return {
    takes: (token) => token.startsWith('short-'),
    prove: async (token) => {
      const now = systemClock.nowMicros();
      const expiresAt = ends.get(token) ?? now + 500_000n;
      ends.set(token, expiresAt);
      if (expiresAt <= now) return null;
      return { principal: principalOf('exchange', ['read', 'subscribe'], { expiresAt }), isStanding: () => true };
    },
  };
}

/** Gives old tokens first. */
function tokens(...given: readonly string[]): { readonly source: TokenSource; readonly rejected: (string | null)[] } {
  const rejected: (string | null)[] = [];
  return {
    rejected,
    source: async (former) => {
      rejected.push(former);
      return given[Math.min(rejected.length, given.length) - 1] ?? null;
    },
  };
}

describe.each(['websocket', 'sse'] as const)('over %s', (transport) => {
  test('Z27: a token that is no longer taken is replaced by the next one, and the loop goes on', async () => {
    const { source, rejected } = tokens('expired-token', 'expired-too', KEY);
    const { eventLog } = await scene
      .client({ token: KEY })
      .query(graphql('query TestStart { eventLog { startCursor } }'));
    await scene.client({ token: KEY }).withdraw(INPUT, { reference: transport, keys: createMemoryKeyStore() });

    const client = scene.client({ transport, token: source });
    const watching = collect(client.watch(CHANGES, {}, { after: eventLog.startCursor }));
    await watching.until(2);
    await watching.leave();

    expect(rejected).toEqual([null, 'expired-token', 'expired-too']);
  });

  test('a loop on which nothing comes outlives any number of tokens: each was taken, and has come to its end', {
    timeout: 60_000,
  }, async () => {
    let given = 0;
    const token = (): string => {
      given += 1;
      return `short-${transport}-${given}`;
    };
    const client = scene.client({ transport, token });
    const watching = collect(client.watch(CHANGES, {}, {}));
    await eventually(() => expect(given).toBeGreaterThan(9), { deadlineMs: 40_000 });

    await scene
      .client({ token: KEY })
      .withdraw(INPUT, { reference: `after-${transport}`, keys: createMemoryKeyStore() });

    expect(await watching.until(2)).toHaveLength(2);
    await watching.leave();
  });

  test('where no token is ever taken the loop ends with that', async () => {
    const watching = scene.client({ transport, token: 'nobody' }).watch(CHANGES, {});

    expect(await watching.next().catch((error: unknown) => error)).toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

test('many who need a token at once ask for one', async () => {
  const { source, rejected } = tokens(KEY);
  const client = scene.client({ token: source });

  const answers = await Promise.all(Array.from({ length: 5 }, async () => await client.query(VIEWER)));

  expect(answers.map(({ viewer }) => viewer.name)).toEqual(Array.from({ length: 5 }, () => 'exchange'));
  expect(rejected).toEqual([null]);
});

test('a mutation whose token has expired is asked again with another one: it had not been done', async () => {
  const { source } = tokens('expired-token', KEY);

  const outcome = await scene
    .client({ token: source })
    .withdraw(INPUT, { reference: 'expired', keys: createMemoryKeyStore() });

  expect(outcome).toMatchObject({ kind: 'ACCEPTED', isReplayed: false });
});
