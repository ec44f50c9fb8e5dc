/** Following withdrawals through the API: one from its present state to its end, and all of them, resumable after any cursor. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { as, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';
import { connectAcknowledged, type WsClient } from '../support/ws-client.ts';

let withdrawals: WithdrawalApi;
let api: WithdrawalApi['api'];
let rows: WithdrawalApi['rows'];
let idOf: WithdrawalApi['idOf'];
let apply: WithdrawalApi['apply'];
let untilSequenced: WithdrawalApi['untilSequenced'];

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  ({ api, rows, idOf, apply, untilSequenced } = withdrawals);
});

afterAll(async () => {
  await withdrawals.close();
});

const FOLLOW = `subscription ($id: String, $after: Cursor) {
  withdrawalUpdated(withdrawalId: $id, after: $after) { cursor eventId state isFinal updateId failureCode withdrawal { state } }
}`;
type Update = {
  readonly cursor: string;
  readonly eventId: string | null;
  readonly state: string;
  readonly isFinal: boolean;
  readonly withdrawal: { readonly state: string };
};

async function follow(id: string, after: string | null = null): Promise<WsClient> {
  const client = await connectAcknowledged(api.url);
  client.send({ id: 'f', type: 'subscribe', payload: { query: FOLLOW, variables: { id, after } } });
  return client;
}

async function nextUpdate(client: WsClient): Promise<Update> {
  const message = await client.next();
  expect(message.type).toBe('next');
  return (message.payload as { data: { withdrawalUpdated: Update } }).data.withdrawalUpdated;
}

describe('withdrawalUpdated', () => {
  test('tells the present state at once, then every change, and completes after the final one', async () => {
    const id = await idOf('follow');
    const client = await follow(id);

    // Asked for right after the mutation, while its events may still be in the outbox.
    expect(await nextUpdate(client)).toMatchObject({ eventId: null, state: 'QUEUED', isFinal: false });
    await apply(id, { kind: 'ATTEMPT_OPENED' });
    expect(await nextUpdate(client)).toMatchObject({ eventId: expect.any(String), state: 'IN_FLIGHT' });
    await apply(
      id,
      { kind: 'TRANSFER_SEEN' },
      { evidence: { transferId: await rows.transfer({ updateId: 'paid-1', direction: 'OUT' }), updateId: 'paid-1' } },
    );
    expect(await nextUpdate(client)).toMatchObject({
      state: 'COMPLETED',
      isFinal: true,
      updateId: 'paid-1',
      withdrawal: { state: 'COMPLETED' },
    });
    expect(await client.next()).toMatchObject({ id: 'f', type: 'complete' });
    await client.close();
    const { data } = await api.query(
      `{ withdrawal(withdrawalId: "${id}") { updateId transfer { status direction } } }`,
    );
    expect(data.withdrawal).toEqual({ updateId: 'paid-1', transfer: { status: 'COMPLETED', direction: 'OUT' } });
    await rows.transfer({ updateId: 'other', direction: 'OUT' });
    const transfers = await api.query('{ transfers(first: 10) { nodes { updateId withdrawal { withdrawalId } } } }');
    expect(transfers.data.transfers.nodes).toEqual(
      expect.arrayContaining([
        { updateId: 'paid-1', withdrawal: { withdrawalId: id } },
        { updateId: 'other', withdrawal: null },
      ]),
    );
  });

  test('never goes back behind the state it began with, and has no gap, whenever it begins', async () => {
    for (let round = 0; round < 15; round++) {
      const id = await idOf(`race-${round}`);
      const changing = (async () => {
        await apply(id, { kind: 'ATTEMPT_OPENED' });
        await apply(id, { kind: 'OFFER_SEEN' });
        await apply(id, { kind: 'OFFER_ACCEPTED' });
      })();
      await systemClock.sleep(round);
      const client = await follow(id);
      const seen: string[] = [];
      while (seen.at(-1) !== 'COMPLETED') seen.push((await nextUpdate(client)).state);
      await changing;

      const order = ['QUEUED', 'IN_FLIGHT', 'OFFERED', 'COMPLETED'];
      expect(seen).toEqual(order.slice(order.indexOf(seen[0] ?? '')));
      await client.close();
    }
  });

  test.each([['WebSocket'], ['SSE']])(
    'resumes after any cursor over %s, and completes at once after the last',
    async (transport) => {
      const id = await idOf(`resume-${transport}`);
      await apply(id, { kind: 'ATTEMPT_OPENED' });
      await apply(id, { kind: 'ATTEMPT_DEAD', next: 'RETRY', isCancelRequested: false });
      await apply(id, { kind: 'DEADLINE_PASSED' }, { failure: { code: 'DEADLINE_PASSED', detail: 'Too late.' } });
      await untilSequenced();
      const { startCursor } = (await api.query('{ eventLog { startCursor } }')).data.eventLog;

      const all = await readOver(transport, id, startCursor);

      // No attempt has a row here, so both times in the queue are one event: the second one is not told again.
      expect(all.map(({ state }) => state)).toEqual(['REQUESTED', 'QUEUED', 'IN_FLIGHT', 'FAILED']);
      expect(new Set(all.map(({ eventId }) => eventId)).size).toBe(all.length);
      for (const [index, { cursor }] of all.entries()) {
        expect(await readOver(transport, id, cursor)).toEqual(all.slice(index + 1));
      }
      expect(await readOver(transport, id, null)).toEqual([
        expect.objectContaining({ eventId: null, state: 'FAILED', isFinal: true, failureCode: 'DEADLINE_PASSED' }),
      ]);
    },
  );

  async function readOver(transport: string, id: string, after: string | null): Promise<Update[]> {
    const taken: Update[] = [];
    if (transport === 'WebSocket') {
      const client = await follow(id, after);
      for (let message = await client.next(); message.type !== 'complete'; message = await client.next()) {
        taken.push((message.payload as { data: { withdrawalUpdated: Update } }).data.withdrawalUpdated);
      }
      await client.close();
      return taken;
    }
    const { stream } = await subscribeSse(api.url, { query: FOLLOW, variables: { id, after } });
    for (let event = await stream.next(); event?.event === 'next'; event = await stream.next()) {
      taken.push(JSON.parse(event.data).data.withdrawalUpdated);
    }
    stream.cut();
    return taken;
  }

  test('finds it by the own key of who asked for it', async () => {
    const id = await idOf('by-key');
    const query = 'subscription ($key: String) { withdrawalUpdated(idempotencyKey: $key) { withdrawalId state } }';
    const read = async (headers: Record<string, string>): Promise<Record<string, unknown>> => {
      const { stream } = await subscribeSse(api.url, { query, variables: { key: 'by-key' } }, headers);
      const data = JSON.parse((await stream.next())?.data ?? '');
      stream.cut();
      return data;
    };

    expect(await read({})).toEqual({ data: { withdrawalUpdated: { withdrawalId: id, state: 'QUEUED' } } });
    expect(await read(as('service'))).toMatchObject({ errors: [{ extensions: { code: 'WITHDRAWAL_UNKNOWN' } }] });
  });

  test('of an unknown one, or after a cursor of another log, is refused', async () => {
    const id = await idOf('cursors');
    const foreign = formatEventCursor({ epoch: 'abcdef', position: 1n });
    for (const [wanted, after, code] of [
      ['wd_none', null, 'WITHDRAWAL_UNKNOWN'],
      ['\u0000', null, 'WITHDRAWAL_UNKNOWN'],
      [id, foreign, 'CURSOR_FROM_ANOTHER_LOG'],
      [id, 'bm9uZQ', 'CURSOR_INVALID'],
      [null, null, 'WITHDRAWAL_NOT_NAMED'],
    ] as const) {
      const { stream } = await subscribeSse(api.url, { query: FOLLOW, variables: { id: wanted, after } });
      expect(JSON.parse((await stream.next())?.data ?? '').errors[0].extensions.code).toBe(code);
      stream.cut();
    }
  });

  test('a follower who leaves while nothing happens leaves nothing behind', async () => {
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
    const client = await follow(await idOf('leaving'));
    await nextUpdate(client);
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

    client.socket.terminate();

    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  });
});

test('the feed of all withdrawals tells every change of each, resumable', async () => {
  await untilSequenced();
  const { headCursor } = (await api.query('{ eventLog { headCursor } }')).data.eventLog;
  const first = await idOf('feed-1');
  await untilSequenced();
  const second = await idOf('feed-2');
  const query = 'subscription ($after: Cursor) { withdrawals(after: $after) { cursor withdrawalId state isFinal } }';

  const read = async (after: string, count: number) => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'w', type: 'subscribe', payload: { query, variables: { after } } });
    const taken: { cursor: string; withdrawalId: string; state: string }[] = [];
    while (taken.length < count) {
      const { payload } = await client.next();
      taken.push((payload as { data: { withdrawals: (typeof taken)[number] } }).data.withdrawals);
    }
    await client.close();
    return taken;
  };
  const all = await read(headCursor, 4);

  expect(all.map((update) => [update.withdrawalId, update.state])).toEqual([
    [first, 'REQUESTED'],
    [first, 'QUEUED'],
    [second, 'REQUESTED'],
    [second, 'QUEUED'],
  ]);
  expect(await read(all[1]?.cursor ?? '', 2)).toEqual(all.slice(2));
});

test('the feed tells only what is asked for: some states, or ends alone', async () => {
  await untilSequenced();
  const { headCursor } = (await api.query('{ eventLog { headCursor } }')).data.eventLog;
  const paid = await idOf('narrow-1');
  await apply(paid, { kind: 'ATTEMPT_OPENED' });
  await apply(paid, { kind: 'TRANSFER_SEEN' });
  const open = await idOf('narrow-2');
  await apply(open, { kind: 'ATTEMPT_OPENED' });
  await apply(await idOf('narrow-3'), { kind: 'DEADLINE_PASSED' });
  const read = async (wanted: string, count: number) => {
    const query = `subscription ($after: Cursor) { withdrawals(after: $after, ${wanted}) { state } }`;
    const { stream } = await subscribeSse(api.url, { query, variables: { after: headCursor } });
    const taken: unknown[] = [];
    while (taken.length < count) taken.push(JSON.parse((await stream.next())?.data ?? '').data.withdrawals.state);
    stream.cut();
    return taken;
  };

  expect(await read('isFinal: true', 2)).toEqual(['COMPLETED', 'FAILED']);
  expect(await read('states: [IN_FLIGHT, FAILED]', 3)).toEqual(['IN_FLIGHT', 'IN_FLIGHT', 'FAILED']);
  expect(await read('isFinal: false, states: [IN_FLIGHT, FAILED]', 2)).toEqual(['IN_FLIGHT', 'IN_FLIGHT']);
});

test('the feed tells only of one customer, or of what one treasury pays', async () => {
  const OTHER = `other::1220${'cd'.repeat(32)}`;
  await withdrawals.rows.treasury(OTHER);
  await untilSequenced();
  const { headCursor } = (await api.query('{ eventLog { headCursor } }')).data.eventLog;
  const treasuryParty = 'treasury::1220bb';
  const [mine, theirs, elsewhere] = [
    await idOf('of-fred', { account: 'fred', treasuryParty }),
    await idOf('of-gina', { account: 'gina', treasuryParty }),
    await idOf('of-fred-too', { account: 'fred', treasuryParty: OTHER }),
  ];
  const { data } = await api.query('{ treasuryParties(first: 10) { nodes { id party } } }');
  const idOfParty = (party: string): string =>
    data.treasuryParties.nodes.find((node: { party: string }) => node.party === party).id;
  const read = async (wanted: string, count: number) => {
    const query = `subscription ($after: Cursor) { withdrawals(after: $after, states: [QUEUED], ${wanted}) { withdrawalId } }`;
    const { stream } = await subscribeSse(api.url, { query, variables: { after: headCursor } });
    const taken: unknown[] = [];
    while (taken.length < count)
      taken.push(JSON.parse((await stream.next())?.data ?? '').data.withdrawals.withdrawalId);
    stream.cut();
    return taken;
  };

  expect(await read('account: "fred"', 2)).toEqual([mine, elsewhere]);
  expect(await read(`treasury: "${idOfParty(treasuryParty)}"`, 2)).toEqual([mine, theirs]);
  expect(await read(`account: "fred", treasury: "${idOfParty(OTHER)}"`, 1)).toEqual([elsewhere]);
  const { stream } = await subscribeSse(api.url, {
    query: 'subscription { withdrawals(treasury: "nonsense") { state } }',
  });
  expect((await stream.next())?.data).toContain('ID_INVALID');
  stream.cut();
});

test('a follower who leaves the feed while nothing happens leaves nothing behind', async () => {
  await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  const client = await connectAcknowledged(api.url);
  client.send({
    id: 'w',
    type: 'subscribe',
    payload: { query: 'subscription { withdrawals(isFinal: true) { state } }' },
  });
  await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

  client.socket.terminate();

  await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
});
