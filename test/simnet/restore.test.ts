/** A participant restored from a backup, or replaced by another one at the same address, as a client over gRPC meets it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { timestampToMicros } from '../../src/env/clock.ts';
import type { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { waitFor } from './harness.ts';
import { detailsOf, drain, refusal, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve({ checkpoints: { busyMs: 20, idleMs: 20 } });
});

afterEach(async () => {
  await served.stop();
});

const ledgerEnd = async (): Promise<bigint> =>
  (await unary<{ offset: bigint }>((callback) => served.state.getLedgerEnd({}, callback))).offset;

const byId = (updateId: string) =>
  unary<{ update?: { value: { offset: bigint; updateId: string } } | undefined }>((callback) =>
    served.updates.getUpdateById({ updateId, updateFormat: served.treasuryFormat() }, callback),
  );

/** What the treasury is sent until the ledger end: update id → offset. */
async function history(): Promise<Map<string, bigint>> {
  const { messages } = await drain(served.getUpdates({ beginExclusive: 0n, endInclusive: await ledgerEnd() }));
  return new Map(
    messages.flatMap(({ update }) =>
      update?.$case === 'transaction' ? [[update.value.updateId, update.value.offset]] : [],
    ),
  );
}

test('a restored participant misses what came after its backup, and says so as Canton does', async () => {
  const first = served.pay();
  const backup = served.node.ledgerEnd();
  const second = served.pay();
  const end = served.node.ledgerEnd();
  const open = drain(served.getUpdates({ beginExclusive: 0n }));
  await waitFor(() => served.node.faults.openStreams() === 1);

  const restored = served.node.restore({ to: backup, catchUp: 'held' });

  expect(restored).toEqual({ ledgerEnd: backup, behind: 1 });
  expect((await open).error?.code).toBe(14);
  expect(await ledgerEnd()).toBe(backup);
  const refused = await served.streamRefusal({ beginExclusive: end });
  expect(refused.code).toBe(11);
  expect(detailsOf(refused).info).toMatchObject({ reason: 'OFFSET_AFTER_LEDGER_END', metadata: { category: '12' } });
  expect(detailsOf(refused).retry.retryDelay).toMatchObject({ seconds: 1n, nanos: 0 });
  expect(detailsOf(await refusal(byId(second.updateId))).info.reason).toBe('UPDATE_NOT_FOUND');
  expect((await byId(first.updateId)).update?.value.offset).toBe(first.offsets['participant1']);
});

test('catching up brings the same updates at other offsets, step by step, then what came meanwhile', async () => {
  const before = [served.pay(), served.pay(), served.pay()];
  const [first] = before;

  served.node.restore({ to: (first?.offsets['participant1'] ?? 0n) - 1n, catchUp: 'held' });
  const meanwhile = served.pay();

  expect(meanwhile.offsets['participant1']).toBeUndefined();
  expect(served.node.intake.behind()).toBe(4);
  expect(served.node.intake.step(1)).toBe(1);
  expect([...(await history()).keys()].slice(-1)).toEqual([first?.updateId]);
  served.node.intake.release();
  expect(served.node.intake.behind()).toBe(0);
  const after = await history();
  expect([...after.keys()].slice(-4)).toEqual([...before, meanwhile].map(({ updateId }) => updateId));
  for (const { updateId, offsets } of before) expect(after.get(updateId)).not.toBe(offsets['participant1']);
  expect(served.network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('4.0000000000');
});

test('a new update comes below a position that only checkpoints had reached', async () => {
  const last = served.pay();
  const backup = served.node.ledgerEnd();
  const reached = served.node.skipOffsets(20n);
  const checkpoints: GetUpdatesResponse[] = [];
  const call = served.getUpdates({ beginExclusive: backup });
  call.on('error', () => undefined);
  call.on('data', (message: GetUpdatesResponse) => checkpoints.push(message));
  await waitFor(() => checkpoints.length > 0);
  call.cancel();

  served.node.restore({ to: backup });
  const next = served.pay();
  served.node.skipOffsets(40n);

  const [seen] = checkpoints;
  expect(seen?.update?.$case === 'offsetCheckpoint' && seen.update.value.offset).toBe(reached);
  expect((await byId(last.updateId)).update?.value.offset).toBe(last.offsets['participant1']);
  expect(next.offsets['participant1']).toBeLessThan(reached);
  const { messages } = await drain(served.getUpdates({ beginExclusive: reached, endInclusive: await ledgerEnd() }));
  expect(transactionIds(messages)).toEqual([]);
});

test('a participant that catches up claims no record time beyond its work, and no command', async () => {
  const first = served.pay();
  const second = served.pay();
  served.node.restore({ updatesBack: 1, catchUp: 'held' });
  const messages: GetUpdatesResponse[] = [];
  const call = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
  call.on('error', () => undefined);
  call.on('data', (message: GetUpdatesResponse) => messages.push(message));
  const reported = (message: GetUpdatesResponse | undefined): bigint | undefined => {
    const time =
      message?.update?.$case === 'offsetCheckpoint' ? message.update.value.synchronizerTimes[0]?.recordTime : undefined;
    return time && timestampToMicros(time);
  };

  await waitFor(() => messages.length >= 2);
  const held = messages.map(reported);
  served.node.intake.release();
  await waitFor(() => (reported(messages.at(-1)) ?? 0n) > second.recordTimeMicros);
  call.cancel();

  expect(new Set(held)).toEqual(new Set([first.recordTimeMicros]));
});

test('what a fork lost never comes again, while the ledger goes on', async () => {
  const kept = served.pay();
  const lost = served.pay();

  served.node.restore({ updatesBack: 1, losesTail: true });
  const next = served.pay();

  expect([...(await history()).keys()].slice(-2)).toEqual([kept.updateId, next.updateId]);
  expect(detailsOf(await refusal(byId(lost.updateId))).info.reason).toBe('UPDATE_NOT_FOUND');
});

test('a restore can keep the offsets, and refuses to go where there is nothing', async () => {
  served.pay();
  served.pay();
  const before = await history();

  served.node.restore({ updatesBack: 2, numbering: 'same' });

  expect(await history()).toEqual(before);
  expect(() => served.node.restore({ to: served.node.ledgerEnd() + 1n })).toThrow('no state at that offset');
});

test('the active contracts of a restored participant are those of its backup', async () => {
  served.pay('3');
  const backup = served.node.ledgerEnd();
  served.pay('4');
  const active = async (offset: bigint) => {
    const { messages } = await drain(
      served.state.getActiveContracts({
        activeAtOffset: offset,
        eventFormat: served.treasuryFormat().includeTransactions?.eventFormat,
        streamContinuationToken: undefined,
      }),
    );
    return messages.map(({ contractEntry }) =>
      contractEntry?.$case === 'activeContract' ? contractEntry.value.createdEvent?.contractId : undefined,
    );
  };
  const atBackup = await active(backup);
  const full = await active(await ledgerEnd());

  served.node.restore({ to: backup, catchUp: 'held' });

  expect(await active(await ledgerEnd())).toEqual(atBackup);
  served.node.intake.release();
  expect(await active(await ledgerEnd())).toEqual(full);
  expect(await active(backup)).toEqual(atBackup);
});

test('a client that calls again at the same address meets the other participant', async () => {
  const { updateId, offsets } = served.pay();
  const open = drain(served.getUpdates({ beginExclusive: 0n }));
  await waitFor(() => served.node.faults.openStreams() === 1);

  served.simnet.endpoints.switch('participant1', 'participant2');

  expect((await open).error?.code).toBe(14);
  expect(await ledgerEnd()).toBe(served.network.participant('participant2').ledgerEnd());
  const found = (await byId(updateId)).update?.value.offset;
  expect(found).toBe(offsets['participant2']);
  expect(found).not.toBe(offsets['participant1']);
});
