/** Prepare, sign, execute over real gRPC sockets, and what the ledger then shows. */
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import {
  CommandCompletionServiceClient,
  type CompletionStreamResponse,
} from '../../src/gen/com/daml/ledger/api/v2/command_completion_service.ts';
import {
  type ExecuteSubmissionRequest,
  type ExecuteSubmissionResponse,
  GetPreferredPackagesRequest,
  HashingSchemeVersion,
  InteractiveSubmissionServiceClient,
  PreparedTransaction,
  type PrepareSubmissionRequest,
  type PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { preparedHash } from '../../src/simnet/submission/prepared-hash.ts';
import { transactionsSeen } from './harness.ts';
import { detailsOf, refusal, type Served, serve, unary } from './ledger-client.ts';
import { openWallet, signed, transferRequest, type Wallet } from './wallet.ts';

let served: Served;
let wallet: Wallet;
let interactive: InteractiveSubmissionServiceClient;
let completions: CommandCompletionServiceClient;

beforeAll(async () => {
  served = await serve();
  wallet = openWallet(served.network, 'treasury', ['100']);
  served.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  interactive = new InteractiveSubmissionServiceClient(served.address, credentials.createInsecure());
  completions = new CommandCompletionServiceClient(served.address, credentials.createInsecure());
});

afterAll(async () => {
  interactive.close();
  completions.close();
  await served.stop();
});

const prepare = (request: PrepareSubmissionRequest): Promise<PrepareSubmissionResponse> =>
  unary((callback) => interactive.prepareSubmission(request, callback));
const execute = (request: ExecuteSubmissionRequest): Promise<ExecuteSubmissionResponse> =>
  unary((callback) => interactive.executeSubmission(request, callback));

/** Reads completions from `beginExclusive` until the first one. */
function firstCompletion(
  stream: ReturnType<CommandCompletionServiceClient['completionStream']>,
): Promise<NonNullable<CompletionStreamResponse['completionResponse']>['value']> {
  return new Promise((resolve, reject) => {
    stream.on('data', ({ completionResponse }: CompletionStreamResponse) => {
      if (completionResponse?.$case !== 'completion') return;
      stream.cancel();
      resolve(completionResponse.value);
    });
    stream.on('error', (error: Error & { code?: number }) => {
      if (error.code !== 1) reject(error);
    });
  });
}

describe('a signed transfer over gRPC', () => {
  it('is prepared, hashed, signed, executed, and seen on the update stream with the signed hash', async () => {
    const begin = served.node.ledgerEnd();
    const now = systemClock.nowMicros();
    const request = transferRequest(served.network, wallet, {
      receiver: 'bob',
      amount: '12.5',
      commandId: 'withdrawal-1',
      maxRecordTimeMicros: now + 60_000_000n,
      scheme: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
      now,
    });

    const response = await prepare(request);
    const prepared = PreparedTransaction.decode(response.preparedTransaction);
    const hash = preparedHash(prepared, 'V3');
    expect(Buffer.from(response.preparedTransactionHash).equals(hash)).toBe(true);
    expect(prepared.metadata?.synchronizerId).toBe(`${served.network.synchronizerId}::35-0`);
    expect(response.costEstimation?.totalTrafficCostEstimation).toBeGreaterThan(0n);
    await execute(signed(wallet, response));

    const stream = completions.completionStream({
      userId: 'exchange',
      parties: [wallet.party],
      beginExclusive: begin,
    });
    const completion = await firstCompletion(stream);
    const [transaction, ...others] = await transactionsSeen(served.node, [wallet.party], { after: begin });
    expect(others).toEqual([]);
    expect(transaction?.commandId).toBe('withdrawal-1');
    expect(Buffer.from(transaction?.externalTransactionHash ?? []).equals(hash)).toBe(true);
    expect(transaction?.paidTrafficCost).toBe(response.costEstimation?.confirmationRequestTrafficCostEstimation);
    expect(completion).toMatchObject({
      commandId: 'withdrawal-1',
      updateId: transaction?.updateId,
      offset: transaction?.offset,
      submissionId: 'submission-1',
      status: { code: 0 },
    });
    expect(served.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('12.5000000000');
  });

  it('commits the tree that was shown: same nodes, and contract ids that begin with the ones shown', async () => {
    const begin = served.node.ledgerEnd();
    const request = transferRequest(served.network, wallet, {
      receiver: 'bob',
      amount: '1',
      commandId: 'withdrawal-2',
      now: systemClock.nowMicros(),
    });

    const response = await prepare(request);
    await unary((callback) => interactive.executeSubmissionAndWait(signed(wallet, response), callback));

    const [transaction] = await transactionsSeen(served.node, [wallet.party], { after: begin });
    const shown = PreparedTransaction.decode(response.preparedTransaction).transaction?.nodes ?? [];
    const seen = (transaction?.events ?? []).map(({ event }) => [event?.value.nodeId, event?.value.contractId]);
    expect(seen.length).toBeGreaterThan(3);
    for (const [nodeId, contractId] of seen) {
      const node = shown.find((candidate) => candidate.nodeId === String(nodeId))?.versionedNode?.value.nodeType;
      expect(node?.$case === 'create' || node?.$case === 'exercise').toBe(true);
      const shownId = node?.$case === 'create' || node?.$case === 'exercise' ? node.value.contractId : '?';
      expect(String(contractId).startsWith(shownId)).toBe(true);
    }
    const created = shown.filter(({ versionedNode }) => versionedNode?.value.nodeType?.$case === 'create');
    expect(created.length).toBeGreaterThan(1);
  });

  it('is refused with its details when the signature is for another hash', async () => {
    const request = transferRequest(served.network, wallet, {
      receiver: 'bob',
      amount: '1',
      commandId: 'withdrawal-3',
      now: systemClock.nowMicros(),
    });
    const execution = signed(wallet, await prepare(request));
    const signature = execution.partySignatures?.signatures[0]?.signatures[0];
    if (signature !== undefined)
      signature.signature = signature.signature.map((value, at) => (at === 0 ? value ^ 1 : value));

    const error = await refusal(execute(execution));

    expect(error.code).toBe(3);
    expect(detailsOf(error).info.reason).toBe('INVALID_EXTERNAL_SIGNATURE');
    expect(detailsOf(error).info.metadata['definite_answer']).toBe('true');
  });

  it('names the newest packages', async () => {
    const request = GetPreferredPackagesRequest.fromPartial({
      packageVettingRequirements: [{ parties: [wallet.party], packageName: 'splice-amulet' }],
    });

    const { packageReferences } = await unary<{ packageReferences: { packageVersion: string }[] }>((callback) =>
      interactive.getPreferredPackages(request, callback),
    );

    expect(packageReferences).toMatchObject([{ packageName: 'splice-amulet', packageVersion: '0.1.21' }]);
  });
});
