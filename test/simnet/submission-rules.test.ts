/** What the network enforces between a signature and a commit, under a virtual clock. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Completion } from '../../src/gen/com/daml/ledger/api/v2/completion.ts';
import { SignatureFormat } from '../../src/gen/com/daml/ledger/api/v2/crypto.ts';
import {
  type ExecuteSubmissionRequest,
  HashingSchemeVersion,
  PreparedTransaction,
  type PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { ErrorInfo } from '../../src/gen/google/rpc/error_details.ts';
import { isCantonError } from '../../src/simnet/ledger/canton-error.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { NetworkOptions } from '../../src/simnet/network.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { fingerprintOf } from '../../src/simnet/submission/party-keys.ts';
import { startNetwork, transactionsSeen } from './harness.ts';
import { openWallet, rawPublicKey, signed, transferRequest } from './wallet.ts';

type Wish = Partial<Parameters<typeof transferRequest>[2]>;
const SECOND = 1_000_000n;

/** A treasury with a key and 100 in one holding, and bob, who takes transfers without acceptance. */
function start(options: Partial<NetworkOptions> = {}) {
  const { network, clock } = startNetwork(options);
  const wallet = openWallet(network, 'treasury', ['100']);
  network.preapprove({ instrument: 'amulet', receiver: 'bob', generation: 'new' });
  const node = network.participant('participant1');
  const begin = node.ledgerEnd();
  let commands = 0;
  const prepare = (wish: Wish = {}): Promise<PrepareSubmissionResponse> => {
    commands += 1;
    const commandId = `command-${commands}`;
    const request = { receiver: 'bob', amount: '10', commandId, now: clock.nowMicros(), ...wish };
    return node.api.prepareSubmission(transferRequest(network, wallet, request));
  };
  const execute = (request: ExecuteSubmissionRequest) => node.api.executeSubmission(request);
  /** Code of the completion, or `OK`, of everything since the start, in order. */
  const outcomes = async () => (await completionsOf(node, begin)).map(outcomeOf);
  const bob = (): string => network.balance({ instrument: 'amulet', owner: 'bob' });
  return { network, clock, wallet, node, begin, prepare, execute, outcomes, bob };
}

/** Reads all there are; the stream itself has no end. */
async function completionsOf(node: Participant, beginExclusive: bigint): Promise<Completion[]> {
  const leaving = new AbortController();
  const found: Completion[] = [];
  const reading = (async () => {
    for await (const { completionResponse } of node.api.getCompletions(
      { parties: [], beginExclusive },
      { signal: leaving.signal },
    )) {
      if (completionResponse?.$case === 'completion') found.push(completionResponse.value);
    }
  })();
  await new Promise((resolve) => setImmediate(resolve));
  leaving.abort();
  await reading;
  return found;
}

function outcomeOf({ status }: Completion): string {
  if (status?.code === 0) return 'OK';
  const [info] = status?.details ?? [];
  return info === undefined ? `code ${status?.code}` : ErrorInfo.decode(info.value).reason;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isCantonError(error)) return error.code;
    throw error;
  }
  return 'OK';
}

test('two spends of one holding: locked while the first has no verdict, inactive after it', async () => {
  const { clock, wallet, prepare, execute, outcomes, bob } = start({ delays: { verdictMs: 1_000 } });
  const [first, second, third] = [await prepare(), await prepare(), await prepare()];

  await execute(signed(wallet, first));
  await execute(signed(wallet, second));
  await clock.advance(1_000);
  await execute(signed(wallet, third));
  await clock.advance(1_000);

  expect(await outcomes()).toEqual(['LOCAL_VERDICT_LOCKED_CONTRACTS', 'OK', 'LOCAL_VERDICT_INACTIVE_CONTRACTS']);
  expect(bob()).toBe('10.0000000000');
});

test('what is locked cannot be used by others of the network either, and is free after a rejection', async () => {
  const { network, clock, wallet, prepare, execute, outcomes } = start({ delays: { verdictMs: 5_000 } });
  const last = clock.nowMicros() + SECOND;
  await execute(signed(wallet, await prepare({ maxRecordTimeMicros: last })));
  await clock.advance(0);
  const spend = () => network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '1' });

  expect(spend).toThrow(expect.objectContaining({ code: 'LOCAL_VERDICT_LOCKED_CONTRACTS' }));
  await clock.advance(5_000);
  spend();

  expect(await outcomes()).toEqual(['LOCAL_VERDICT_MAX_RECORD_TIME_EXCEEDED']);
});

test('a spent input is refused at prepare already', async () => {
  const { network, wallet, prepare } = start();
  const inputs = holdingsOf(network.ledger.contracts, wallet.party, network.instrument('amulet'));
  network.merge({ instrument: 'amulet', owner: 'treasury' });

  const code = await codeOf(prepare({ inputs: inputs.map(({ contractId }) => contractId) }));

  expect(code).toBe('CONTRACT_NOT_ACTIVE');
});

test.each([
  { lateMicros: 0n, outcome: 'OK' },
  { lateMicros: 1n, outcome: 'LOCAL_VERDICT_MAX_RECORD_TIME_EXCEEDED' },
])('the last record time is inclusive: $lateMicros µs past it is $outcome', async ({ lateMicros, outcome }) => {
  const { clock, wallet, prepare, execute, outcomes, node, begin } = start({ delays: { sequencingMs: 2_000 } });
  const sequencedAt = clock.nowMicros() + 2n * SECOND;
  const response = await prepare({ maxRecordTimeMicros: sequencedAt - lateMicros });

  await execute(signed(wallet, response));
  await clock.advance(2_000);

  expect(await outcomes()).toEqual([outcome]);
  const [transaction] = await transactionsSeen(node, [wallet.party], { after: begin });
  expect(transaction?.recordTime?.seconds).toBe(outcome === 'OK' ? sequencedAt / SECOND : undefined);
});

test('sequencing more than a minute after the ledger time is rejected', async () => {
  const { clock, wallet, prepare, execute, outcomes } = start({ delays: { sequencingMs: 60_001 } });

  await execute(signed(wallet, await prepare()));
  await clock.advance(60_001);

  expect(await outcomes()).toEqual(['LOCAL_VERDICT_LEDGER_TIME_OUT_OF_BOUND']);
});

test.each([
  { hours: 24, lateMs: 0, outcome: 'OK' },
  { hours: 24, lateMs: 1, outcome: 'LOCAL_VERDICT_PREPARATION_TIME_OUT_OF_BOUND' },
])('a signature may come $hours hours after preparation, and $lateMs ms later is $outcome', async (each) => {
  const { clock, wallet, prepare, execute, outcomes } = start();
  const response = await prepare({ executeBeforeMicros: clock.nowMicros() + 48n * 3_600n * SECOND });

  await clock.advance(each.hours * 3_600_000 + each.lateMs);
  await execute(signed(wallet, response));

  expect(await outcomes()).toEqual([each.outcome]);
});

test('after the deadline of the transfer execute itself refuses', async () => {
  const { clock, wallet, prepare, execute, outcomes } = start();
  const response = await prepare({ executeBeforeMicros: clock.nowMicros() + 10n * SECOND });

  await clock.advance(10_000);

  expect(await codeOf(execute(signed(wallet, response)))).toBe('LEDGER_TIME_OUTSIDE_BOUNDS');
  expect(await outcomes()).toEqual([]);
});

test('the same prepared transaction commits once, under any command bookkeeping', async () => {
  const { wallet, prepare, execute, outcomes, bob, network, node } = start({ deduplicationMs: undefined });
  const request = signed(wallet, await prepare());
  const other = network.participant('participant2');

  await execute(request);
  await execute(request);
  const elsewhere = await codeOf(other.api.executeSubmissionAndWait(request));

  expect(elsewhere).toBe('MEDIATOR_RECEIVED_MALFORMED_MESSAGE');
  expect(await outcomes()).toEqual(['OK', 'MEDIATOR_RECEIVED_MALFORMED_MESSAGE']);
  expect(bob()).toBe('10.0000000000');
  expect(node.ledgerEnd()).toBeGreaterThan(0n);
});

test('a command id is refused for 30 s after it was accepted, and never because it was rejected', async () => {
  const { clock, wallet, prepare, execute, outcomes } = start();
  const again = (wish: Wish = {}) => prepare({ commandId: 'same', ...wish });
  const rejected = await again({ maxRecordTimeMicros: clock.nowMicros() - SECOND });

  await execute(signed(wallet, rejected));
  await clock.advance(0);
  await execute(signed(wallet, await again()));
  await clock.advance(29_000);
  await execute(signed(wallet, await again()));
  await clock.advance(2_000);
  await execute(signed(wallet, await again()));
  await clock.advance(0);

  expect(await outcomes()).toEqual(['LOCAL_VERDICT_MAX_RECORD_TIME_EXCEEDED', 'OK', 'DUPLICATE_COMMAND', 'OK']);
});

test('a command id that is under way is refused at once', async () => {
  const { clock, wallet, prepare, execute } = start({ delays: { sequencingMs: 1_000 } });
  const [first, second] = [await prepare({ commandId: 'same' }), await prepare({ commandId: 'same' })];

  await execute(signed(wallet, first));
  const code = await codeOf(execute(signed(wallet, second)));
  await clock.advance(1_000);

  expect(code).toBe('SUBMISSION_ALREADY_IN_FLIGHT');
});

test('only the registered key signs, in its own format, with its own fingerprint', async () => {
  const { network, wallet, prepare, execute } = start();
  const response = await prepare();
  const changed = (change: (signature: { format: number; signature: Uint8Array; signedBy: string }) => void) => {
    const request = signed(wallet, response);
    for (const { signatures } of request.partySignatures?.signatures ?? []) signatures.forEach(change);
    return codeOf(execute(request));
  };
  const stranger = generateKeyPairSync('ed25519');
  const withoutParty = signed(wallet, response);
  withoutParty.partySignatures = { signatures: [] };

  expect(
    await changed((signature) => {
      signature.format = SignatureFormat.SIGNATURE_FORMAT_DER;
    }),
  ).toBe('FAILED_TO_EXECUTE_TRANSACTION');
  expect(
    await changed((signature) => {
      signature.signature = sign(null, response.preparedTransactionHash, stranger.privateKey);
    }),
  ).toBe('INVALID_EXTERNAL_SIGNATURE');
  expect(
    await changed((signature) => {
      signature.signedBy = fingerprintOf(rawPublicKey(stranger.publicKey));
    }),
  ).toBe('INVALID_EXTERNAL_SIGNATURE');
  expect(await codeOf(execute(withoutParty))).toBe('FAILED_TO_EXECUTE_TRANSACTION');
  network.revokeKey('treasury', wallet.fingerprint);
  expect(await codeOf(execute(signed(wallet, response)))).toBe('INVALID_EXTERNAL_SIGNATURE');
});

test('a party made with a key is named after it', () => {
  const { network } = start();
  const raw = Uint8Array.from({ length: 32 }, (_, index) => index);
  // The check value that Canton's documentation of fingerprints leads to.
  const fingerprint = '122093aa96c5554371f0d1fd471ce282f3b590ab0758f35c124924c8e3715910bbe1';

  expect(network.allocateParty({ hint: 'external', on: ['participant1'], publicKey: raw })).toBe(
    `external::${fingerprint}`,
  );
});

test('another scheme, another synchronizer serial, or other bytes are not what was signed', async () => {
  const { network, wallet, prepare, execute, outcomes } = start();
  const response = await prepare();
  const otherScheme = {
    ...signed(wallet, response),
    hashingSchemeVersion: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
  };
  const notBytes = { ...signed(wallet, response), preparedTransaction: new Uint8Array([255, 255, 255]) };
  const changed = PreparedTransaction.decode(response.preparedTransaction);
  if (changed.metadata !== undefined) changed.metadata.transactionUuid = 'another';
  const otherBytes = {
    ...signed(wallet, response),
    preparedTransaction: PreparedTransaction.encode(changed).finish(),
  };

  expect(await codeOf(execute(otherScheme))).toBe('INVALID_EXTERNAL_SIGNATURE');
  expect(await codeOf(execute(notBytes))).toBe('FAILED_TO_EXECUTE_TRANSACTION');
  expect(await codeOf(execute(otherBytes))).toBe('INVALID_EXTERNAL_SIGNATURE');
  network.upgradeSynchronizer();
  expect(await codeOf(execute(signed(wallet, response)))).toBe('FAILED_TO_EXECUTE_TRANSACTION');
  expect(await outcomes()).toEqual([]);
});

test('a transaction that no command makes is rejected even with a valid signature', async () => {
  const { wallet, prepare, execute, outcomes, bob } = start();
  const response = await prepare();
  const changed = PreparedTransaction.decode(response.preparedTransaction);
  for (const { versionedNode } of changed.transaction?.nodes ?? []) {
    const type = versionedNode?.value.nodeType;
    if (type?.$case === 'create') type.value.signatories = type.value.signatories.slice(1);
  }

  await execute(signed(wallet, { ...response, preparedTransaction: PreparedTransaction.encode(changed).finish() }));

  expect(await outcomes()).toEqual(['LOCAL_VERDICT_FAILED_MODEL_CONFORMANCE_CHECK']);
  expect(bob()).toBe('0.0000000000');
});

test('prepare takes one command of known parties on this synchronizer, with what it needs disclosed', async () => {
  const { network, wallet, node, clock, prepare } = start();
  const request = transferRequest(network, wallet, { receiver: 'bob', amount: '1', now: clock.nowMicros() });
  const code = (change: Partial<typeof request>) => codeOf(node.api.prepareSubmission({ ...request, ...change }));
  const [disclosed] = request.disclosedContracts;

  expect(await code({ commands: [...request.commands, ...request.commands] })).toBe('FAILED_TO_PREPARE_TRANSACTION');
  expect(await code({ commands: [] })).toBe('MISSING_FIELD');
  expect(await code({ commandId: '' })).toBe('MISSING_FIELD');
  expect(await code({ actAs: ['nobody::1220'] })).toBe('UNKNOWN_SUBMITTERS');
  expect(await code({ actAs: [network.party('bob')] })).toBe('DAML_AUTHORIZATION_ERROR');
  expect(await code({ synchronizerId: 'other::1220' })).toBe('INVALID_PRESCRIBED_SYNCHRONIZER_ID');
  expect(await code({ disclosedContracts: [] })).toBe('CONTRACT_NOT_FOUND');
  expect(
    await code({
      disclosedContracts: request.disclosedContracts.map((contract) => ({ ...contract, synchronizerId: 'other' })),
    }),
  ).toBe('DISCLOSED_CONTRACTS_SYNCHRONIZER_ID_MISMATCH');
  expect(
    await code({
      disclosedContracts: request.disclosedContracts.map((contract) =>
        contract === disclosed ? { ...contract, createdEventBlob: new Uint8Array([1]) } : contract,
      ),
    }),
  ).toBe('INVALID_ARGUMENT');
  expect(await codeOf(prepare({ amount: '1000' }))).toBe('DAML_FAILURE');
});

test('a command may leave out labels and types; the prepared transaction has them', async () => {
  const { network, wallet, node, clock } = start();
  const request = transferRequest(network, wallet, { receiver: 'bob', amount: '1', now: clock.nowMicros() });
  const command = request.commands[0]?.command;
  if (command?.$case !== 'exercise') throw new Error('No exercise.');
  const strip = (value: typeof command.value.choiceArgument): typeof value => {
    if (value?.sum?.$case !== 'record') return value;
    const fields = value.sum.value.fields.map((field) => ({ label: '', value: strip(field.value) }));
    return { sum: { $case: 'record', value: { recordId: undefined, fields } } };
  };
  const full = command.value.choiceArgument;
  command.value.choiceArgument = strip(full);

  const { preparedTransaction } = await node.api.prepareSubmission(request);

  const root = PreparedTransaction.decode(preparedTransaction).transaction?.nodes[0]?.versionedNode?.value.nodeType;
  expect(root?.$case === 'exercise' && root.value.chosenValue).toEqual(full);
});

test('more than 100 inputs are too many', async () => {
  const { network, prepare } = start();
  for (let index = 0; index < 100; index += 1) network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });

  const error = await prepare().catch((thrown: unknown) => thrown);

  expect(isCantonError(error) && error.refusal.metadata?.['error_id']).toBe(
    'splice.lfdecentralizedtrust.org/maximum-inputs-exceeded',
  );
});

test('an offer of a token that prints the time into its contract keeps that time', async () => {
  const { network, clock, wallet, node } = start();
  network.tap({ instrument: 'note', owner: 'treasury', amount: '5' });
  const response = await node.api.prepareSubmission(
    transferRequest(network, wallet, { receiver: 'carol', amount: '1', instrument: 'note', now: clock.nowMicros() }),
  );
  const { metadata } = PreparedTransaction.decode(response.preparedTransaction);

  await clock.advance(59_000);
  const code = await codeOf(node.api.executeSubmissionAndWait(signed(wallet, response)));

  expect(metadata?.minLedgerEffectiveTime).toBe(metadata?.maxLedgerEffectiveTime);
  expect(code).toBe('OK');
});

test('prepared on one participant, executed on the other: both see it, the other one knows the command', async () => {
  const { network, wallet, prepare } = start();
  const other = network.participant('participant2');
  const response = await prepare({ commandId: 'elsewhere' });

  const { updateId } = await other.api.executeSubmissionAndWait(signed(wallet, response));

  const seen = await Promise.all(
    network.participants.map(async (participant) => {
      const transactions = await transactionsSeen(participant, [wallet.party]);
      return transactions.find((transaction) => transaction.updateId === updateId);
    }),
  );
  expect(seen.map((transaction) => transaction?.commandId)).toEqual(['', 'elsewhere']);
  expect(seen.map((transaction) => transaction?.externalTransactionHash?.length)).toEqual([32, 32]);
});
