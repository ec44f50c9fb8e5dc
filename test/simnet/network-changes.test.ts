/** What happens to whole networks: upgrades, migrations, imports, forks, and clocks that misbehave, as readers over gRPC see it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { timestampToMicros } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Completion } from '../../src/gen/com/daml/ledger/api/v2/completion.ts';
import {
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import type { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { IMPORT_TIME_MICROS } from '../../src/simnet/ledger/imports.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { waitFor } from './harness.ts';
import { detailsOf, drain, refusal, type Served, serve, unary } from './ledger-client.ts';
import { openWallet, signed, transferRequest } from './wallet.ts';

let served: Served;

beforeEach(async () => {
  served = await serve({ checkpoints: { busyMs: 20, idleMs: 20 } });
});

afterEach(async () => {
  await served.stop();
});

const ledgerEnd = async () =>
  (await unary<{ offset: bigint }>((callback) => served.state.getLedgerEnd({}, callback))).offset;

/** All that the treasury may read at the first address. */
async function transactions(): Promise<Transaction[]> {
  const { messages } = await drain(served.getUpdates({ beginExclusive: 0n, endInclusive: await ledgerEnd() }));
  return messages.flatMap(({ update }) => (update?.$case === 'transaction' ? [update.value] : []));
}

async function activeIds(): Promise<Set<string>> {
  const { messages } = await drain<GetActiveContractsResponse>(
    served.state.getActiveContracts(
      GetActiveContractsRequest.fromPartial({
        activeAtOffset: await ledgerEnd(),
        eventFormat: served.treasuryFormat().includeTransactions?.eventFormat,
      }),
    ),
  );
  return new Set(
    messages.flatMap(({ contractEntry }) =>
      contractEntry?.$case === 'activeContract' ? [contractEntry.value.createdEvent?.contractId ?? ''] : [],
    ),
  );
}

async function completionsAfter(beginExclusive: bigint, count: number): Promise<Completion[]> {
  const found: Completion[] = [];
  for await (const { completionResponse } of served.node.api.getCompletions({ beginExclusive, parties: [] })) {
    if (completionResponse?.$case === 'completion') found.push(completionResponse.value);
    if (found.length === count) break;
  }
  return found;
}

const recordTime = (transaction: Transaction | undefined): bigint =>
  timestampToMicros(transaction?.recordTime ?? { seconds: 0n, nanos: 0 });

test('a hard migration leaves the holdings, in imports at the year 1, on a participant that begins at 0', async () => {
  served.pay('3');
  served.pay('4');
  const before = await activeIds();
  const formerEnd = await ledgerEnd();

  const migrated = served.network.migrate({ from: 'participant1', to: { name: 'participant1b' } });
  served.simnet.endpoints.switch('participant1', 'participant1b');
  const imports = await transactions();
  const afterImport = await activeIds();
  const next = served.pay('5');

  expect(migrated.participantId).not.toBe(served.node.participantId);
  expect(new Set(imports.map(recordTime))).toEqual(new Set([IMPORT_TIME_MICROS]));
  expect(imports[0]?.recordTime).toMatchObject({ seconds: -62_135_596_800n, nanos: 0 });
  for (const { commandId, events } of imports) {
    expect(commandId).toBe('');
    expect(new Set(events.map(({ event }) => event?.$case))).toEqual(new Set(['created']));
  }
  expect(afterImport).toEqual(before);
  expect(await ledgerEnd()).toBeLessThan(formerEnd);
  expect((await transactions()).at(-1)?.updateId).toBe(next.updateId);
  expect(served.network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('12.0000000000');
  expect(served.node.ledgerEnd()).toBe(formerEnd);
});

test('a party comes to a further participant by imports, and from then on with all that happens', async () => {
  served.network.importParties({ parties: ['alice'], to: 'participant2', recordTimeMicros: 5n, contractsPerUpdate: 1 });

  const { updateId, offsets } = served.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'bob',
    amount: '1',
  });

  expect(served.network.participant('participant2').isHosted(served.network.party('alice'))).toBe(true);
  expect(offsets['participant2']).toBe(served.network.participant('participant2').offsetOf(updateId));
});

test('a logical upgrade stops the network for a while and keeps offsets, history and the logical id', async () => {
  const { updateId, offsets } = served.pay();
  const before = served.network.synchronizerId;
  const times: bigint[] = [];
  const call = served.getUpdates({ beginExclusive: await ledgerEnd() });
  call.on('error', () => undefined);
  call.on('data', ({ update }) => {
    const [time] = update?.$case === 'offsetCheckpoint' ? update.value.synchronizerTimes : [];
    if (time?.recordTime !== undefined) times.push(timestampToMicros(time.recordTime));
  });

  served.network.synchronizer.beginUpgrade();
  const begin = times.length + 1;
  await waitFor(() => times.length > begin + 3);
  const paused = times.slice(begin);
  expect(() => served.pay()).toThrow(expect.objectContaining({ code: 'SEQUENCER_SUBMISSION_AFTER_UPGRADE_TIME' }));
  served.network.synchronizer.completeUpgrade();
  const next = served.pay();
  await waitFor(() => (times.at(-1) ?? 0n) > (paused[0] ?? 0n));
  call.cancel();

  expect(new Set(paused).size).toBe(1);
  expect((await transactions()).find((transaction) => transaction.updateId === updateId)?.offset).toBe(
    offsets['participant1'],
  );
  expect((await transactions()).at(-1)).toMatchObject({ updateId: next.updateId, synchronizerId: before });
});

test('what is under way when an upgrade begins times out, and what was prepared before it is refused after it', async () => {
  const wallet = openWallet(served.network, 'carol', ['1', '1', '1']);
  served.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  const holdings = holdingsOf(served.network.ledger.contracts, wallet.party, served.network.instrument('amulet'));
  const prepare = (index: number) =>
    served.node.api.prepareSubmission(
      transferRequest(served.network, wallet, {
        receiver: 'bob',
        amount: '1',
        now: systemClock.nowMicros(),
        inputs: [holdings[index]?.contractId ?? ''],
        commandId: String(index),
      }),
    );
  const [first, second, third] = [await prepare(0), await prepare(1), await prepare(2)];
  const begin = served.node.ledgerEnd();
  served.network.setDelays({ verdictMs: 50 });
  await served.node.api.executeSubmission(signed(wallet, first));

  served.network.synchronizer.beginUpgrade({ isInconsistent: true });
  await served.node.api.executeSubmission(signed(wallet, second));
  const early = await prepare(2);
  const tooEarly = await refusal(served.node.api.executeSubmission(signed(wallet, early)));
  await waitFor(() => served.node.ledgerEnd() >= begin + 2n);
  const outcomes = await completionsAfter(begin, 2);
  served.network.synchronizer.completeUpgrade();
  const tooLate = await refusal(served.node.api.executeSubmission(signed(wallet, third)));
  await served.node.api.executeSubmission(signed(wallet, early));
  await waitFor(() => served.network.balance({ instrument: 'amulet', owner: 'bob' }) === '1.0000000000');

  expect(outcomes.map(({ status }) => status?.message.split('(')[0]).sort()).toEqual([
    'MEDIATOR_SAYS_TX_TIMED_OUT',
    'SEQUENCER_SUBMISSION_AFTER_UPGRADE_TIME',
  ]);
  expect(String(tooEarly)).toContain('was prepared for synchronizer');
  expect(String(tooLate)).toContain('was prepared for synchronizer');
});

test('a fork takes the newest transactions back everywhere, with what they had spent', async () => {
  const kept = served.pay('1');
  const atKept = await activeIds();
  const lost = [served.pay('2'), served.pay('3')].map(({ updateId }) => updateId);

  const forgotten = served.network.fork(2);

  expect(forgotten).toEqual([...lost].reverse());
  expect(await activeIds()).toEqual(atKept);
  expect(served.network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('1.0000000000');
  expect(served.network.balance({ instrument: 'amulet', owner: 'alice' })).toBe('999.0000000000');
  const missing = await refusal(
    unary((callback) =>
      served.updates.getUpdateById({ updateId: lost[0] ?? '', updateFormat: served.treasuryFormat() }, callback),
    ),
  );
  expect(detailsOf(missing).info.reason).toBe('UPDATE_NOT_FOUND');
  served.pay('7');
  expect((await transactions()).length).toBeGreaterThan(1);
  expect(served.network.participant('participant2').offsetOf(kept.updateId)).toBeDefined();
  expect(served.network.participant('participant2').offsetOf(lost[0] ?? '')).toBeUndefined();
});

test('updates can share a record time, and time can go back', async () => {
  served.network.synchronizer.shareNextTime(3);
  for (let index = 0; index < 4; index += 1) served.pay();
  served.network.synchronizer.jumpTime(-3_600_000_000n);
  served.pay();

  const times = (await transactions()).map(recordTime).slice(-5);

  expect(times[1]).toBe(times[0]);
  expect(times[2]).toBe(times[0]);
  expect(times[3]).toBeGreaterThan(times[2] ?? 0n);
  expect((times[3] ?? 0n) - (times[4] ?? 0n)).toBeGreaterThan(3_590_000_000n);
});
