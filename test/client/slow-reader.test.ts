/** A reader that is slower than what comes costs the client a bounded number of items, and loses none: the connection is given up, and resumed when all are read. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { graphql } from '../../client/src/client.ts';
import { createCredentials } from '../../client/src/credentials.ts';
import { textOf } from '../../client/src/operation.ts';
import { ownPlatform } from '../../client/src/platform.ts';
import { watch } from '../../client/src/watch.ts';
import { createWebSockets } from '../../client/src/web-socket.ts';
import { systemClock } from '../../src/env/system.ts';
import { CHANGES, type Scene, startScene } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await startScene();
});

afterAll(async () => {
  await scene.close();
});

test('H2: beyond what may wait the subscription is given up, and goes on after the last item that was read', async () => {
  const start = graphql('query TestStart { eventLog { startCursor } }');
  const { eventLog } = await scene.client().query(start);
  for (let index = 0; index < 20; index += 1) await scene.create(`key-${index}`);
  await scene.numbered(40);
  const platform = ownPlatform();
  const url = `ws://127.0.0.1:${scene.proxy.port}/graphql`;
  const sockets = createWebSockets({ url, platform, credentials: createCredentials(() => null), waitingCountMax: 5 });
  const given: string[] = [];
  const stopping = new AbortController();

  const ids: unknown[] = [];
  const items = watch(
    {
      subscribe: sockets.subscribe,
      platform,
      backoff: { delayMsMin: 1, delayMsMax: 10 },
      readHead: async () => eventLog.startCursor,
    },
    { query: textOf(CHANGES), variables: {} },
    {
      after: eventLog.startCursor,
      signal: stopping.signal,
      onConnection: (state) => {
        if (state.kind === 'WAITING') given.push(state.error.message);
      },
    },
  );
  for await (const item of items) {
    await systemClock.sleep(5);
    if (typeof item === 'object' && item !== null && 'eventId' in item) ids.push(item.eventId);
    if (ids.length === 40) break;
  }
  stopping.abort();
  sockets.close();

  expect(given).toContain('The reader is slower than what comes.');
  expect(ids).toEqual(await scene.log(40));
});
