/** Clients of one participant's gRPC server, and what tests do with calls: read them to the end, and take errors apart. */
import { type ClientReadableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { EventQueryServiceClient } from '../../src/gen/com/daml/ledger/api/v2/event_query_service.ts';
import { PackageServiceClient } from '../../src/gen/com/daml/ledger/api/v2/package_service.ts';
import { StateServiceClient } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import type { UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  GetUpdatesRequest,
  type GetUpdatesResponse,
  UpdateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { VersionServiceClient } from '../../src/gen/com/daml/ledger/api/v2/version_service.ts';
import { ErrorInfo, RequestInfo, RetryInfo } from '../../src/gen/google/rpc/error_details.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Network } from '../../src/simnet/network.ts';
import type { OperationResult } from '../../src/simnet/operation-requests.ts';
import { type Simnet, type SimnetOptions, startSimnet } from '../../src/simnet/simnet.ts';
import { formatFor, silentLogger } from './harness.ts';

type UpdatesRequest = Parameters<typeof GetUpdatesRequest.fromPartial>[0];

/** A running network in which alice has 1000 of Canton Coin, and clients of its first participant. */
export type Served = {
  readonly simnet: Simnet;
  readonly network: Network;
  readonly node: Participant;
  readonly address: string;
  readonly updates: UpdateServiceClient;
  readonly state: StateServiceClient;
  readonly events: EventQueryServiceClient;
  readonly versions: VersionServiceClient;
  readonly packages: PackageServiceClient;
  treasuryFormat(): UpdateFormat;
  /** Alice pays the treasury. */
  pay(amount?: string): OperationResult;
  /** As the treasury, with what the request says instead. */
  getUpdates(request: UpdatesRequest): ClientReadableStream<GetUpdatesResponse>;
  /** The error with which GetUpdates ends. */
  streamRefusal(request: UpdatesRequest): Promise<ServiceError>;
  stop(): Promise<void>;
};

export async function serve(options: Partial<SimnetOptions> = {}): Promise<Served> {
  const simnet = await startSimnet({
    seed: 'grpc',
    clock: systemClock,
    random: createSeededRandom(2),
    logger: silentLogger,
    ...options,
  });
  const { network } = simnet;
  const address = simnet.participants[0]?.grpcAddress ?? '';
  const secure = credentials.createInsecure();
  const clients = {
    updates: new UpdateServiceClient(address, secure),
    state: new StateServiceClient(address, secure),
    events: new EventQueryServiceClient(address, secure),
    versions: new VersionServiceClient(address, secure),
    packages: new PackageServiceClient(address, secure),
  };
  const treasuryFormat = (): UpdateFormat => formatFor([network.party('treasury')]);
  const getUpdates = (request: UpdatesRequest): ClientReadableStream<GetUpdatesResponse> =>
    clients.updates.getUpdates(GetUpdatesRequest.fromPartial({ updateFormat: treasuryFormat(), ...request }));
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });
  return {
    simnet,
    network,
    node: network.participant('participant1'),
    address,
    ...clients,
    treasuryFormat,
    pay: (amount = '1') => network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount }),
    getUpdates,
    streamRefusal: async (request) => {
      const { error } = await drain(getUpdates(request));
      if (error === undefined) throw new Error('It was not refused.');
      return error;
    },
    stop: async () => {
      for (const client of Object.values(clients)) client.close();
      await simnet.stop();
    },
  };
}

export function unary<Response>(
  call: (callback: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => call((error, response) => (error ? reject(error) : resolve(response))));
}

/** Reads a stream until it ends or fails. */
export function drain<Message>(
  stream: ClientReadableStream<Message>,
): Promise<{ messages: Message[]; error: ServiceError | undefined }> {
  const messages: Message[] = [];
  return new Promise((resolve) => {
    stream.on('data', (message: Message) => messages.push(message));
    stream.once('error', (error) => resolve({ messages, error: error as unknown as ServiceError }));
    stream.once('end', () => resolve({ messages, error: undefined }));
  });
}

/** The error with which a unary call ends. */
export async function refusal(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('It was not refused.');
}

/** The details of an error in their order, decoded. */
export function detailsOf(error: ServiceError) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const details = Status.decode(bytes as Buffer);
  const types = details.details.map(({ typeUrl }) => typeUrl.split('.').at(-1));
  const find = (type: string): Uint8Array => details.details[types.indexOf(type)]?.value ?? new Uint8Array();
  return {
    types,
    status: details,
    info: ErrorInfo.decode(find('ErrorInfo')),
    retry: RetryInfo.decode(find('RetryInfo')),
    request: RequestInfo.decode(find('RequestInfo')),
  };
}

export function transactionIds(messages: readonly GetUpdatesResponse[]): string[] {
  return messages.flatMap(({ update }) => (update?.$case === 'transaction' ? [update.value.updateId] : []));
}
