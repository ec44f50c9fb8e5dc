/**
 * A participant in a process of its own, so that neither its memory nor its event loop is counted as ours: records simnet's traffic, then serves it over the real gRPC
 * protocol, over and over (replay.ts), up to the length asked for. Argument: JSON of ParticipantOptions. Sends one message when it is ready.
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { PartyManagementServiceService } from '../src/gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { PackageServiceService } from '../src/gen/com/daml/ledger/api/v2/package_service.ts';
import { StateServiceService } from '../src/gen/com/daml/ledger/api/v2/state_service.ts';
import {
  type GetUpdatesRequest,
  GetUpdatesResponse,
  UpdateServiceService,
} from '../src/gen/com/daml/ledger/api/v2/update_service.ts';
import type { ParticipantOptions, ParticipantReady } from './participant.ts';
import { recordTraffic } from './recording.ts';
import { createReplay, type Replay } from './replay.ts';

const CHECKPOINT_MS = 1_000;

const { recordedMin, updates }: ParticipantOptions = JSON.parse(process.argv[2] ?? '{}');
const { messages, ...facts } = await recordTraffic(recordedMin);
const url = await serve(createReplay(messages), updates, facts.participantId);
const ready: ParticipantReady = { ...facts, url, messageBytesMean: mean(messages.map((message) => message.length)) };
process.send?.(ready);

async function serve(replay: Replay, count: number, participantId: string): Promise<string> {
  const server = new Server();
  const ledgerEnd = replay.offsetAt(count - 1);
  const passThrough = (bytes: Buffer): Buffer => bytes;
  const { getUpdates, getUpdateById } = UpdateServiceService;
  const add = (service: Parameters<Server['addService']>[0], methods: UntypedServiceImplementation) =>
    server.addService(service, methods);
  add(
    { getUpdates: { ...getUpdates, responseSerialize: passThrough }, getUpdateById },
    {
      getUpdates: (call: ServerWritableStream<GetUpdatesRequest, Buffer>) => {
        void pump(call, replay, count);
      },
    },
  );
  add(StateServiceService, {
    getLedgerEnd: (_call: unknown, answer: (error: null, response: unknown) => void) =>
      answer(null, { offset: ledgerEnd, synchronizerTimes: [] }),
    getLatestPrunedOffsets: (_call: unknown, answer: (error: null, response: unknown) => void) =>
      answer(null, { participantPrunedUpToInclusive: 0n, allDivulgedContractsPrunedUpToInclusive: 0n }),
  });
  add(PartyManagementServiceService, {
    getParticipantId: (_call: unknown, answer: (error: null, response: unknown) => void) =>
      answer(null, { participantId }),
  });
  add(PackageServiceService, {
    listPackages: (_call: unknown, answer: (error: null, response: unknown) => void) =>
      answer(null, { packageIds: [] }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return `http://127.0.0.1:${port}`;
}

/** All updates after the offset asked for, as fast as the client takes them, then checkpoints. */
async function pump(
  call: ServerWritableStream<GetUpdatesRequest, Buffer>,
  replay: Replay,
  count: number,
): Promise<void> {
  let isGone = false;
  call.on('cancelled', () => {
    isGone = true;
  });
  call.sendMetadata(new Metadata());
  for (let index = replay.countUpTo(call.request.beginExclusive); index < count && !isGone; index += 1) {
    if (!call.write(replay.message(index))) await drained(call);
  }
  while (!isGone) {
    const value = { offset: replay.offsetAt(count - 1), synchronizerTimes: [] };
    call.write(Buffer.from(GetUpdatesResponse.encode({ update: { $case: 'offsetCheckpoint', value } }).finish()));
    await new Promise((resolve) => setTimeout(resolve, CHECKPOINT_MS));
  }
}

function drained(call: ServerWritableStream<GetUpdatesRequest, Buffer>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('cancelled', done);
      resolve();
    };
    call.on('drain', done);
    call.on('cancelled', done);
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
