/** The registry client against the simulated registries, over real sockets: what they answer, and what happens when they misbehave. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { credentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { transferArgument } from '../../src/custody/transfer-argument.ts';
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import {
  InteractiveSubmissionServiceClient,
  PrepareSubmissionRequest,
  type PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { choiceContextValue } from '../../src/scan/choice-context.ts';
import { createSend } from '../../src/scan/http-send.ts';
import { createRegistryClient, type RegistryClient } from '../../src/scan/registry-client.ts';
import { createRegistryHttp, type RegistryHttpOptions } from '../../src/scan/registry-http.ts';
import { createdEventBlob } from '../../src/simnet/ledger/projection.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import type { RegistryFault } from '../../src/simnet/registry/registry-faults.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import type { TransferRecord } from '../../src/tokens/transfer-record.ts';
import { silentLogger } from '../simnet/harness.ts';
import { unary } from '../simnet/ledger-client.ts';
import { openWallet, signed } from '../simnet/wallet.ts';

const send = createSend({ isPrivateAllowed: true });
let simnet: Simnet;

beforeAll(async () => {
  simnet = await startSimnet({
    seed: 'registry',
    clock: systemClock,
    random: createSeededRandom(4),
    logger: silentLogger,
  });
  for (const instrument of ['amulet', 'usd', 'note']) {
    simnet.network.tap({ instrument, owner: 'treasury', amount: '10' });
    simnet.network.preapprove({ instrument, receiver: 'bob' });
  }
});
afterAll(() => simnet.stop());
afterEach(() => {
  for (const { faults } of simnet.registries) faults.clear();
});

const registryOf = (instrument: string) =>
  simnet.registries.find(({ admin }) => admin === simnet.network.instrument(instrument).admin)!;

function client(instrument: string, options: Partial<RegistryHttpOptions> = {}): RegistryClient {
  return createRegistryClient(
    createRegistryHttp({ baseUrl: registryOf(instrument).url, send, clock: systemClock, ...options }),
  );
}

function transfer(instrument: string, receiver: string): TransferRecord {
  const { network } = simnet;
  const now = systemClock.nowMicros();
  const sender = network.party('treasury');
  return {
    sender,
    receiver: network.party(receiver),
    amount: parseAmount('2.5'),
    instrument: network.instrument(instrument),
    requestedAt: now - 60_000_000n,
    executeBefore: now + 3_600_000_000n,
    inputHoldings: holdingsOf(network.ledger.contracts, sender, network.instrument(instrument)).map(
      ({ contractId }) => contractId,
    ),
    meta: new Map([['splice.lfdecentralizedtrust.org/reason', 'memo']]),
  };
}

async function failure(promise: Promise<unknown>): Promise<RetryableError | PermanentError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof RetryableError || error instanceof PermanentError) return error;
  throw new Error('It did not fail as it should.', { cause: error });
}

describe('a transfer factory', () => {
  it.each([
    { instrument: 'amulet', receiver: 'bob', kind: 'direct' },
    { instrument: 'amulet', receiver: 'carol', kind: 'offer' },
    { instrument: 'amulet', receiver: 'treasury', kind: 'self' },
    { instrument: 'usd', receiver: 'bob', kind: 'direct' },
    { instrument: 'note', receiver: 'carol', kind: 'offer' },
  ])(
    'of $instrument says $kind for $receiver, with all contracts disclosed',
    async ({ instrument, receiver, kind }) => {
      const answer = await client(instrument).transferFactory(transfer(instrument, receiver));

      expect(answer.transferKind).toBe(kind);
      const disclosed = new Map(answer.disclosedContracts.map((contract) => [contract.contractId, contract]));
      const named = [...answer.choiceContext.values()].flatMap(({ sum }) => {
        const inner = sum?.$case === 'variant' ? sum.value.value?.sum : undefined;
        return inner?.$case === 'contractId' ? [inner.value] : [];
      });
      expect([...disclosed.keys()].sort()).toEqual([...new Set([answer.factoryId, ...named])].sort());
      for (const contract of disclosed.values()) {
        const known = simnet.network.ledger.contracts.find(contract.contractId)!.contract;
        expect(contract.templateId).toEqual(known.templateId);
        expect(Buffer.compare(contract.createdEventBlob, createdEventBlob(known))).toBe(0);
        expect(contract.synchronizerId).toBe(simnet.network.synchronizerId);
      }
      const context = choiceContextValue(answer.choiceContext).sum;
      const planned = simnet.network.tokens
        .find(({ name }) => name === instrument)!
        .planTransfer({ sender: simnet.network.party('treasury'), receiver: simnet.network.party(receiver) } as never, {
          generation: 'new',
          asOffer: false,
        });
      expect(new Map(answer.choiceContext)).toEqual(planned.context);
      expect(context?.$case === 'record' && context.value.recordId?.entityName).toBe('ChoiceContext');
    },
  );

  it('is not found for an instrument that the registry does not have', async () => {
    const asked = { ...transfer('amulet', 'bob'), instrument: { ...simnet.network.instrument('amulet'), id: 'Other' } };

    const error = await failure(client('amulet').transferFactory(asked));

    expect(error).toMatchObject({ code: 'REGISTRY_STATUS', retryable: true, facts: { status: 404 } });
  });

  it('is refused to the admin of another registry', async () => {
    const error = await failure(client('usd').transferFactory(transfer('amulet', 'bob')));

    expect(error).toMatchObject({ code: 'REGISTRY_STATUS', facts: { status: 400 } });
  });
});

describe('the answers of a registry', () => {
  it.each(['amulet', 'usd', 'note'])(
    'are what a transfer of %s needs to be prepared and executed',
    async (instrument) => {
      const { network, participants } = simnet;
      const wallet = openWallet(network, 'treasury', []);
      const record = transfer(instrument, 'bob');
      const { factoryId, choiceContext, disclosedContracts } = await client(instrument).transferFactory(record);
      const submissions = new InteractiveSubmissionServiceClient(
        participants[0]!.grpcAddress,
        credentials.createInsecure(),
      );
      const choiceArgument = transferArgument({
        kind: 'DIRECT',
        implementation: 'OTHER',
        ...record,
        inputs: record.inputHoldings.map((contractId) => ({ contractId, amount: record.amount })),
        factory: factoryId,
        choiceContext,
        commandId: instrument,
        synchronizerId: network.synchronizerId,
        physicalSynchronizerId: null,
        maxRecordTime: record.executeBefore,
      });
      const request = PrepareSubmissionRequest.fromPartial({
        userId: 'exchange',
        commandId: instrument,
        actAs: [wallet.party],
        disclosedContracts: disclosedContracts.slice(),
        commands: [
          {
            command: {
              $case: 'exercise',
              value: {
                templateId: {
                  packageId: '#splice-api-token-transfer-instruction-v1',
                  moduleName: 'Splice.Api.Token.TransferInstructionV1',
                  entityName: 'TransferFactory',
                },
                contractId: factoryId,
                choice: 'TransferFactory_Transfer',
                choiceArgument,
              },
            },
          },
        ],
      });

      try {
        const prepared = await unary<PrepareSubmissionResponse>((callback) =>
          submissions.prepareSubmission(request, callback),
        );
        await unary((callback) => submissions.executeSubmissionAndWait(signed(wallet, prepared), callback));
      } finally {
        submissions.close();
      }

      expect(network.balance({ instrument, owner: 'bob' })).toBe('2.5000000000');
    },
  );
});

describe('the context of an offer', () => {
  it('discloses the locked holding to whoever ends it, and is gone with the offer', async () => {
    const { network } = simnet;
    const { instructionCid } = network.transfer({
      instrument: 'amulet',
      sender: 'treasury',
      receiver: 'carol',
      amount: '1',
    });
    if (instructionCid === undefined) throw new Error('No offer was made.');
    const locked = holdingsOf(network.ledger.contracts, network.party('treasury'), network.instrument('amulet')).find(
      ({ isLocked }) => isLocked,
    );

    const accept = await client('amulet').instructionContext(instructionCid, 'accept');
    const withdraw = await client('amulet').instructionContext(instructionCid, 'withdraw');
    network.withdraw({ instructionCid });
    const error = await failure(client('amulet').instructionContext(instructionCid, 'accept'));

    expect(accept.disclosedContracts.map(({ contractId }) => contractId)).toContain(locked?.contractId);
    expect(withdraw.choiceContext.get('expire-lock')?.sum).toMatchObject({
      value: { constructor: 'AV_Bool', value: { sum: { value: true } } },
    });
    expect(error).toMatchObject({ code: 'REGISTRY_STATUS', facts: { status: 404 } });
  });
});

describe('the metadata of a registry', () => {
  it('names its admin and its instruments', async () => {
    const usd = simnet.network.instrument('usd');

    expect(await client('usd').adminId()).toBe(usd.admin);
    expect(await client('usd').instruments()).toMatchObject([
      { id: 'USDX', name: 'Usd', symbol: 'USDX', decimals: 10 },
    ]);
    expect(await client('usd').instrument('USDX')).toMatchObject({ id: 'USDX' });
    expect(await failure(client('usd').instrument('../info'))).toMatchObject({ facts: { status: 404 } });
  });
});

describe('a registry that misbehaves', () => {
  const faults: readonly { readonly fault: RegistryFault; readonly code: string; readonly retryable: boolean }[] = [
    { fault: { kind: 'hang' }, code: 'REGISTRY_TIMEOUT', retryable: true },
    { fault: { kind: 'trickle' }, code: 'REGISTRY_TIMEOUT', retryable: true },
    { fault: { kind: 'huge', bytes: 2 * 1024 * 1024 }, code: 'REGISTRY_ANSWER_TOO_LARGE', retryable: true },
    { fault: { kind: 'notJson' }, code: 'REGISTRY_ANSWER_INVALID', retryable: true },
    { fault: { kind: 'status', status: 502 }, code: 'REGISTRY_STATUS', retryable: true },
    { fault: { kind: 'status', status: 500 }, code: 'REGISTRY_STATUS', retryable: false },
    { fault: { kind: 'status', status: 403 }, code: 'REGISTRY_STATUS', retryable: false },
    { fault: { kind: 'redirect', location: 'http://127.0.0.1:1/' }, code: 'REGISTRY_REDIRECTED', retryable: false },
    { fault: { kind: 'mutate', fields: { transferKind: 'gift' } }, code: 'REGISTRY_ANSWER_INVALID', retryable: true },
    { fault: { kind: 'mutate', fields: { factoryId: '../x' } }, code: 'REGISTRY_ANSWER_INVALID', retryable: true },
  ];

  it.each(faults)('is an error of its kind: $fault', async ({ fault, code, retryable }) => {
    registryOf('amulet').faults.set({ next: 1, fault });

    const error = await failure(client('amulet', { timeoutMs: 300 }).transferFactory(transfer('amulet', 'bob')));

    expect(error).toMatchObject({ code, retryable });
    expect(error.retryable).toBe(retryable);
  });

  it('is asked no longer than the caller wants', async () => {
    registryOf('amulet').faults.set({ next: 1, fault: { kind: 'hang' } });
    const leaving = new AbortController();
    const asking = failure(client('amulet').adminId(leaving.signal));

    leaving.abort();

    expect(await asking).toMatchObject({ code: 'REGISTRY_ABORTED', retryable: true });
  });

  it('is unreachable when nobody listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));

    const error = await failure(client('amulet', { baseUrl: `http://127.0.0.1:${port}` }).adminId());

    expect(error).toMatchObject({ code: 'REGISTRY_UNREACHABLE', retryable: true });
  });

  it.each(['file:///etc/passwd', 'ftp://host/', 'http://user:secret@host/', 'not a url', 'https://host/?key=1'])(
    'is not even asked under the URL %s',
    (baseUrl) => {
      expect(() => client('amulet', { baseUrl })).toThrow('Not a plain http or https URL.');
    },
  );
});
