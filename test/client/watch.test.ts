/** `watch()` against the real server, through a proxy that cuts, over both transports: what is delivered is the log, whatever happens in between. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClientError, type ConnectionState, graphql, type Resync } from '../../client/src/client.ts';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { renewLogEpoch } from '../../src/db/log-history.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { CHANGES, collect, type Scene, startScene } from './scene.ts';

let scene: Scene;

beforeEach(async () => {
  scene = await startScene();
});

afterEach(async () => {
  await scene.close();
});

const idsOf = (items: readonly { readonly eventId: string | null }[]): readonly (string | null)[] =>
  items.map(({ eventId }) => eventId);

describe.each(['websocket', 'sse'] as const)('over %s', (transport) => {
  test('H1: cut at random while others write, the union of what is delivered is the log, in order and each once', async () => {
    const random = createSeededRandom(11);
    const watching = collect(scene.client({ transport }).watch(CHANGES, {}, { after: null }));
    const first = await scene.create('first');
    await watching.until(2);

    for (let index = 0; index < 25; index += 1) {
      await scene.create(`key-${index}`);
      if (index % 3 === 0) scene.proxy.cut();
      if (index % 7 === 0) scene.proxy.chop(1 + Math.floor(random.next() * 40));
    }
    const taken = await watching.until(52);
    await watching.leave();

    expect(taken[0]?.withdrawalId).toBe(first);
    expect(idsOf(taken)).toEqual(await scene.log(52));
    expect(scene.proxy.accepted()).toBeGreaterThan(3);
  });

  test('"from now on" is one moment: what happens while the first connection is away is delivered', async () => {
    await scene.create('before');
    await scene.numbered(2);
    const states: ConnectionState[] = [];
    const client = scene.client({ transport });
    const watching = collect(client.watch(CHANGES, {}, { onConnection: (state) => states.push(state) }));
    await eventually(() => expect(states.map(({ kind }) => kind)).toContain('CONNECTED'));

    await scene.proxy.refuse();
    await eventually(() => expect(states.map(({ kind }) => kind)).toContain('WAITING'));
    const missed = await scene.create('while away');
    await scene.proxy.admit();
    const taken = await watching.until(2);
    await watching.leave();

    expect(new Set(taken.map(({ withdrawalId }) => withdrawalId))).toEqual(new Set([missed]));
    expect(idsOf(taken)).toEqual((await scene.log(4)).slice(2));
  });

  test('H4: a server that goes away and comes back ends nothing', async () => {
    const watching = collect(scene.client({ transport }).watch(CHANGES, {}));
    await eventually(() => expect(scene.proxy.connections()).toBeGreaterThan(0));
    await scene.create('one');
    await watching.until(2);

    await scene.stopApi();
    await scene.startApi();
    await scene.create('two');
    const taken = await watching.until(4);
    await watching.leave();

    expect(idsOf(taken)).toEqual(await scene.log(4));
  });

  test('H3: after a restore the reader is told where what it knows still holds, drops the rest, and goes on from there', async () => {
    const resyncs: Resync[] = [];
    const known: string[] = [];
    const cursors = new Map<string, number>();
    const client = scene.client({ transport });
    const watching = collect(
      client.watch(
        CHANGES,
        {},
        {
          onResync: (resync) => {
            resyncs.push(resync);
            // What came after the common point is no more.
            known.length = cursors.get('kept') ?? 0;
            return null;
          },
        },
      ),
    );
    await eventually(() => expect(scene.proxy.connections()).toBeGreaterThan(0));
    const kept = await scene.create('kept');
    known.push(...(await watching.until(2)).map(({ eventId }) => eventId ?? ''));
    cursors.set('kept', known.length);
    await scene.stopApi();
    const backup = await scene.copy();
    await scene.startApi();
    const lost = await scene.create('lost');
    known.push(...(await watching.until(4)).slice(2).map(({ eventId }) => eventId ?? ''));

    await scene.stopApi();
    const window = { ttlMicros: 1n, marginMicros: 1n };
    const nowMicros = systemClock.nowMicros();
    await renewLogEpoch(backup.db, { by: 'test', why: 'restored', random: systemRandom, nowMicros, window });
    // A person has looked, and requests are taken again.
    const lifted = { lifted_at: nowMicros, lifted_by: 'test', lift_detail: 'looked' };
    await backup.db.updateTable('money_freeze').set(lifted).execute();
    await scene.startApi(backup);
    await scene.cancel(kept);
    const taken = await watching.until(5);
    await watching.leave();
    known.push(...taken.slice(4).map(({ eventId }) => eventId ?? ''));

    expect(resyncs).toHaveLength(1);
    expect(resyncs[0]).toMatchObject({ code: 'CURSOR_FROM_ANOTHER_LOG', cursor: taken[3]?.cursor });
    expect(resyncs[0]?.resumeCursor).not.toBeNull();
    expect(taken[3]?.withdrawalId).toBe(lost);
    expect(taken[4]).toMatchObject({ withdrawalId: kept, state: 'CANCELLED' });
    expect(known).toEqual(await scene.log(3));
    expect(known).toHaveLength(3);
  });

  test('a connection on which nothing comes any more is given up', async () => {
    const states: ConnectionState[] = [];
    const client = scene.client({ transport, silenceMs: 500 });
    const watching = collect(client.watch(CHANGES, {}, { onConnection: (state) => states.push(state) }));
    await scene.create('one');
    await watching.until(2);

    scene.proxy.silence();
    await eventually(() => expect(states.at(-1)?.kind).not.toBe('CONNECTED'));
    await scene.create('two');
    scene.proxy.speak();
    const taken = await watching.until(4);
    await watching.leave();

    expect(idsOf(taken)).toEqual(await scene.log(4));
  });

  test('a loop is left at once while it waits, and its connection with it', async () => {
    const watching = collect(scene.client({ transport }).watch(CHANGES, {}));
    await scene.create('one');
    await watching.until(2);

    await watching.leave();

    await eventually(() => expect(scene.api().log.tail.stats().waiting).toBe(0));
  });

  test('a cursor that is none, a field that is not there, and a subscription that could not be resumed end the loop', async () => {
    const client = scene.client({ transport });
    const ended = async (items: AsyncIterableIterator<unknown, void, undefined>): Promise<unknown> =>
      await items.next().catch((error: unknown) => error);

    expect(await ended(client.watch(CHANGES, {}, { after: 'nonsense' }))).toMatchObject({
      code: 'ANSWERED_WITH_ERRORS',
      answerCode: 'CURSOR_INVALID',
    });
    const unknown = graphql(
      'subscription TestUnknown($after: Cursor) { withdrawals(after: $after) { cursor nothing } }',
    );
    expect(await ended(client.watch(unknown, {}))).toMatchObject({ code: 'ANSWERED_WITH_ERRORS' });
    const { eventLog } = await client.query(graphql('query TestStart { eventLog { startCursor } }'));
    await scene.create('one');
    const blind = graphql('subscription TestBlind($after: Cursor) { withdrawals(after: $after) { state } }');
    expect(await ended(client.watch(blind, {}, { after: eventLog.startCursor }))).toMatchObject({
      code: 'NOT_RESUMABLE',
    });
  });

  test('without onResync a stale cursor ends the loop', async () => {
    const client = scene.client({ transport });
    const after = formatEventCursor({ epoch: 'abcdef', position: 1n });
    const error = await client
      .watch(CHANGES, {}, { after })
      .next()
      .catch((failure: unknown) => failure);

    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'RESYNC_REQUIRED', answerCode: 'CURSOR_FROM_ANOTHER_LOG' });
  });

  test('a slow reader gets everything', async () => {
    const { eventLog } = await scene.client().query(graphql('query TestStart { eventLog { startCursor } }'));
    for (let index = 0; index < 15; index += 1) await scene.create(`key-${index}`);

    const ids: (string | null)[] = [];
    for await (const change of scene.client({ transport }).watch(CHANGES, {}, { after: eventLog.startCursor })) {
      await systemClock.sleep(10);
      ids.push(change.eventId);
      if (ids.length === 30) break;
    }

    expect(ids).toEqual(await scene.log(30));
  });
});
