/** What a misbehaving participant does to submissions, and what stays true on the ledger. */
import { expect, test } from 'vitest';
import { checkIntent } from '../../src/custody/intent-check.ts';
import type { Completion } from '../../src/gen/com/daml/ledger/api/v2/completion.ts';
import {
  HashingSchemeVersion,
  PreparedTransaction,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { isCantonError } from '../../src/simnet/ledger/canton-error.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { preparedHash } from '../../src/simnet/submission/prepared-hash.ts';
import type { PrepareLie, SubmissionFaultSettings } from '../../src/simnet/submission/submission-faults.ts';
import { startNetwork } from './harness.ts';
import { openWallet, signed, transferRequest } from './wallet.ts';

const ALREADY_EXISTS = 6; // gRPC; the second one is a duplicate command.

function start(settings: SubmissionFaultSettings, funds: readonly string[] = ['100']) {
  const { network, clock } = startNetwork({ submissionFaults: settings });
  const wallet = openWallet(network, 'treasury', funds);
  network.preapprove({ instrument: 'amulet', receiver: 'bob', generation: 'new' });
  const node = network.participant('participant1');
  const begin = node.ledgerEnd();
  const prepare = (commandId: string, inputs?: readonly string[]) =>
    node.api.prepareSubmission(
      transferRequest(network, wallet, {
        receiver: 'bob',
        amount: '1',
        commandId,
        now: clock.nowMicros(),
        scheme: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
        maxRecordTimeMicros: clock.nowMicros() + 600_000_000n,
        ...(inputs === undefined ? {} : { inputs }),
      }),
    );
  const bob = (): string => network.balance({ instrument: 'amulet', owner: 'bob' });
  return { network, clock, wallet, node, begin, prepare, bob };
}

async function completions(node: ReturnType<typeof start>['node'], beginExclusive: bigint): Promise<Completion[]> {
  const leaving = new AbortController();
  const found: Completion[] = [];
  const stream = node.api.completionStream(
    { userId: 'exchange', parties: node.hostedParties().slice(), beginExclusive },
    { signal: leaving.signal },
  );
  const reading = (async () => {
    for await (const { completionResponse } of stream) {
      if (completionResponse?.$case === 'completion') found.push(completionResponse.value);
    }
  })();
  await new Promise((resolve) => setImmediate(resolve));
  leaving.abort();
  await reading;
  return found;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'OK',
    (error: unknown) => (isCantonError(error) ? error.code : String(error)),
  );

test('a lost answer of execute: the caller hears UNAVAILABLE, the transfer happened', async () => {
  const { wallet, node, prepare, bob } = start({ loseExecuteAnswers: { next: 1 } });

  const code = await codeOf(node.api.executeSubmission(signed(wallet, await prepare('a'))));

  expect(code).toBe('SERVICE_NOT_RUNNING');
  expect(bob()).toBe('1.0000000000');
});

test('a lost answer of prepare changes nothing, and the next one arrives', async () => {
  const { prepare } = start({ losePrepareAnswers: { next: 1 } });

  expect(await codeOf(prepare('a'))).toBe('SERVICE_NOT_RUNNING');
  expect(await codeOf(prepare('a'))).toBe('OK');
});

test('a silent loss ends when the caller gives up', async () => {
  const { wallet, node, prepare, bob } = start({ loseExecuteAnswers: { next: 1 }, lostAnswerIs: 'silence' });
  const leaving = new AbortController();
  let isAnswered = false;

  const call = codeOf(
    node.api.executeSubmission(signed(wallet, await prepare('a')), { signal: leaving.signal }),
  ).finally(() => {
    isAnswered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isAnswered).toBe(false);
  leaving.abort();

  expect(await call).toBe('SERVICE_NOT_RUNNING');
  expect(bob()).toBe('1.0000000000');
});

test('a dropped execute is answered OK and leaves no trace; the next one goes through', async () => {
  const { wallet, node, begin, prepare, bob } = start({ dropExecutes: { next: 1 } });
  const request = signed(wallet, await prepare('a'));

  expect(await codeOf(node.api.executeSubmission(request))).toBe('OK');
  expect(await completions(node, begin)).toEqual([]);
  expect(bob()).toBe('0.0000000000');
  expect(await codeOf(node.api.executeSubmissionAndWait(request))).toBe('OK');
  expect(bob()).toBe('1.0000000000');
});

test('a duplicated execute moves the money once', async () => {
  const { wallet, node, begin, prepare, bob } = start({ duplicateExecutes: { next: 1 } });

  await node.api.executeSubmission(signed(wallet, await prepare('a')));

  expect((await completions(node, begin)).map(({ status }) => status?.code)).toEqual([0, ALREADY_EXISTS]);
  expect(bob()).toBe('1.0000000000');
});

test('answers that are late are late of what has been done', async () => {
  const { clock, wallet, node, prepare, bob } = start({});
  const request = signed(wallet, await prepare('a'));
  node.faults.submissions.set({ delayAnswersMs: 100 });

  let isAnswered = false;
  const answered = node.api.executeSubmission(request).then(() => {
    isAnswered = true;
  });
  await clock.advance(0); // It is carried out, and its answer begins to wait.
  await clock.advance(99);
  expect({ isAnswered, bob: bob() }).toEqual({ isAnswered: false, bob: '1.0000000000' });
  await clock.advance(1);
  await answered;
});

test('a delay holds back sequencing', async () => {
  const { clock, wallet, node, prepare, bob } = start({ delaySequencingMs: 5_000 });

  await node.api.executeSubmission(signed(wallet, await prepare('a')));
  await clock.advance(4_999);
  expect(bob()).toBe('0.0000000000');
  await clock.advance(1);

  expect(bob()).toBe('1.0000000000');
});

test('of half of the answers lost, drawn with the seed, every transfer happened', async () => {
  const funds = Array.from({ length: 40 }, () => '1');
  const run = async () => {
    const { network, wallet, node, prepare, bob } = start({ loseExecuteAnswers: { share: 0.5 } }, funds);
    const codes: string[] = [];
    for (const { contractId } of holdingsOf(network.ledger.contracts, wallet.party, network.instrument('amulet'))) {
      codes.push(await codeOf(node.api.executeSubmission(signed(wallet, await prepare(contractId, [contractId])))));
    }
    return { codes, bob: bob() };
  };

  const { codes, bob } = await run();

  const lost = codes.filter((code) => code !== 'OK').length;
  expect(lost).toBeGreaterThan(8);
  expect(lost).toBeLessThan(32);
  expect(bob).toBe('40.0000000000');
  expect((await run()).codes).toEqual(codes);
});

test.each<{ lie: 'inverted' | 'missing' | 'otherCommand'; seen: readonly unknown[] }>([
  { lie: 'inverted', seen: [{ commandId: 'a', updateId: '', status: { code: 5 } }] },
  { lie: 'missing', seen: [] },
  { lie: 'otherCommand', seen: [{ commandId: 'a-other', status: { code: 0 } }] },
])('a completion that is $lie does not change what happened', async ({ lie, seen }) => {
  const { wallet, node, begin, prepare, bob } = start({ lieInCompletions: { next: 1, lie } });

  await node.api.executeSubmission(signed(wallet, await prepare('a')));

  const found = await completions(node, begin);
  expect(found.length).toBe(seen.length);
  expect(found).toMatchObject(seen);
  expect(bob()).toBe('1.0000000000');
});

test.each(['DUPLICATE_COMMAND', 'SUBMISSION_ALREADY_IN_FLIGHT'] as const)(
  'E24: %s for a command that was never seen before: refused, and submitted or not as told',
  async (lie) => {
    for (const isTaken of [false, true]) {
      const { wallet, node, prepare, bob } = start({ lieInDeduplication: { next: 1, lie, isTaken } });
      const [first, second] = [await prepare('a'), await prepare('b')];

      expect(await codeOf(node.api.executeSubmission(signed(wallet, first)))).toBe(lie);
      await new Promise((resolve) => setImmediate(resolve));
      expect(bob()).toBe(isTaken ? '1.0000000000' : '0.0000000000');
      expect(await codeOf(node.api.executeSubmission(signed(wallet, second)))).toBe('OK');
    }
  },
);

test('E24: a participant that forgets what it has seen takes the same command again, and the money moves once', async () => {
  const { wallet, node, prepare, bob } = start({ lieInDeduplication: { share: 1, lie: 'forgotten' } });
  const [first, second] = [await prepare('a'), await prepare('a')];

  expect(await codeOf(node.api.executeSubmissionAndWait(signed(wallet, first)))).toBe('OK');
  expect(await codeOf(node.api.executeSubmissionAndWait(signed(wallet, second)))).not.toBe('DUPLICATE_COMMAND');
  expect(bob()).toBe('1.0000000000');
});

const lies: readonly { readonly lie: PrepareLie; readonly refusal: string; readonly commits: boolean }[] = [
  { lie: { kind: 'receiver', receiver: 'carol' }, refusal: 'INTENT_', commits: true },
  { lie: { kind: 'amount', amount: '2' }, refusal: 'INTENT_', commits: true },
  { lie: { kind: 'hash' }, refusal: 'HASH_DIFFERS_FROM_NODE', commits: true },
  { lie: { kind: 'maxRecordTime', micros: undefined }, refusal: 'INTENT_TIME', commits: true },
  { lie: { kind: 'maxRecordTime', micros: 4_000_000_000_000_000n }, refusal: 'INTENT_TIME', commits: true },
  { lie: { kind: 'extraNode' }, refusal: 'INTENT_', commits: false },
];

test.each(lies)('a node that lies about $lie is found out by the client, not by its hash', async (each) => {
  const { network, clock, wallet, node, prepare } = start({ lieInPrepare: { next: 1, lie: each.lie } });
  const [holding] = holdingsOf(network.ledger.contracts, wallet.party, network.instrument('amulet'));
  if (holding === undefined) throw new Error('No holding.');
  const now = clock.nowMicros();
  const request = transferRequest(network, wallet, { receiver: 'bob', amount: '1', now });
  const command = request.commands[0]?.command;
  const token = network.tokens.find(({ name }) => name === 'amulet');
  const context = token?.planTransfer({ sender: wallet.party, receiver: network.party('bob') } as never, {
    generation: 'new',
    asOffer: false,
  }).context;

  const response = await prepare('a');

  const own = preparedHash(PreparedTransaction.decode(response.preparedTransaction), 'V3');
  expect(Buffer.compare(own, response.preparedTransactionHash) === 0).toBe(each.lie.kind !== 'hash');
  const check = () =>
    checkIntent(
      {
        kind: 'DIRECT',
        implementation: 'SPLICE_AMULET',
        sender: wallet.party,
        receiver: network.party('bob'),
        instrument: network.instrument('amulet'),
        amount: 10_000_000_000n as never,
        meta: new Map([['splice.lfdecentralizedtrust.org/reason', 'memo-1']]),
        requestedAt: now - 60_000_000n,
        executeBefore: now + 3_600_000_000n,
        inputs: [{ contractId: holding.contractId, amount: holding.amountUnits as never }],
        factory: command?.$case === 'exercise' ? command.value.contractId : '',
        choiceContext: context ?? new Map(),
        commandId: 'a',
        synchronizerId: network.synchronizerId,
        physicalSynchronizerId: null,
        maxRecordTime: now + 600_000_000n,
      },
      {
        preparedTransaction: response.preparedTransaction,
        scheme: 'V3',
        nodeHash: response.preparedTransactionHash,
      },
      { recordTime: now, toleranceMicros: 600_000_000n },
    );
  expect(check).toThrow(expect.objectContaining({ code: expect.stringMatching(new RegExp(`^${each.refusal}`)) }));
  // Whoever signs without looking gets what was shown, where the ledger allows it at all.
  expect(await codeOf(node.api.executeSubmissionAndWait(signed(wallet, response)))).toBe(
    each.commits ? 'OK' : 'LOCAL_VERDICT_FAILED_MODEL_CONFORMANCE_CHECK',
  );
});

test('cleared, the participant behaves', async () => {
  const { network, wallet, node, prepare, bob } = start({
    loseExecuteAnswers: { share: 1 },
    dropExecutes: { share: 1 },
  });
  for (const { faults } of network.participants) faults.submissions.clear();

  expect(await codeOf(node.api.executeSubmissionAndWait(signed(wallet, await prepare('a'))))).toBe('OK');
  expect(bob()).toBe('1.0000000000');
});
