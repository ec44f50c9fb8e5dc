/**
 * The Ledger API of a participant over real gRPC: HTTP/2 sockets, flow control, deadlines, and Canton's error details in the trailers.
 * It holds nothing of its own; every answer comes from the in-process API.
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Clock } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import { PartyManagementServiceService } from '../../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { CommandCompletionServiceService } from '../../gen/com/daml/ledger/api/v2/command_completion_service.ts';
import { EventQueryServiceService } from '../../gen/com/daml/ledger/api/v2/event_query_service.ts';
import { InteractiveSubmissionServiceService } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { PackageServiceService } from '../../gen/com/daml/ledger/api/v2/package_service.ts';
import { StateServiceService } from '../../gen/com/daml/ledger/api/v2/state_service.ts';
import { UpdateServiceService } from '../../gen/com/daml/ledger/api/v2/update_service.ts';
import { VersionServiceService } from '../../gen/com/daml/ledger/api/v2/version_service.ts';
import { Status } from '../../gen/google/rpc/status.ts';
import { GRPC_CODE, isCantonError, statusOf } from '../ledger/canton-error.ts';
import type { CallOptions } from '../ledger/ledger-api.ts';
import type { Participant } from '../ledger/participant.ts';

export type GrpcServer = {
  /** `host:port`. */
  readonly address: string;
  /** Ends all streams as a participant that shuts down does, and closes every connection. */
  stop(): Promise<void>;
};

export type GrpcServerOptions = {
  readonly participant: Participant;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
};

const MESSAGE_BYTES_MAX = 10 * 1024 * 1024; // Canton's inbound default.
const CLOSE_GRACE_MS = 500; // For clients to read the last trailers; then their connections are cut.

type ServerError = { code: number; details: string; metadata: Metadata };

/** @throws when the port is taken. */
export async function startGrpcServer({
  participant,
  host,
  port,
  clock,
  logger,
}: GrpcServerOptions): Promise<GrpcServer> {
  const { api } = participant;
  const server = new Server({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });

  const failure = (error: unknown): ServerError => {
    if (isCantonError(error)) {
      const status = statusOf(error.refusal);
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(status).finish()));
      return { code: status.code, details: status.message, metadata };
    }
    logger.error('A call failed inside the simulated participant.', {
      participant: participant.name,
      error: messageOf(error),
    });
    return { code: GRPC_CODE.internal, details: 'An error occurred.', metadata: new Metadata() };
  };

  const unary =
    <Request, Response>(handler: (request: Request, options: CallOptions) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      const controller = new AbortController();
      call.on('cancelled', () => controller.abort());
      handler(call.request, { signal: controller.signal }).then(
        (response) => {
          if (!controller.signal.aborted) callback(null, response);
        },
        (error: unknown) => callback(failure(error)),
      );
    };

  const streaming =
    <Request, Response>(handler: (request: Request, options: CallOptions) => AsyncIterable<Response>) =>
    (call: ServerWritableStream<Request, Response>): void => {
      const controller = new AbortController();
      call.on('cancelled', () => controller.abort());
      pump(handler(call.request, { signal: controller.signal }), call, controller.signal).then(
        () => call.end(),
        (error: unknown) => {
          if (!controller.signal.aborted) call.emit('error', failure(error));
        },
      );
    };

  const add = (service: ServiceDefinition, implementation: UntypedServiceImplementation): void =>
    server.addService(service, implementation);

  // Methods left out answer UNIMPLEMENTED, as on a node of an older line.
  add(UpdateServiceService, {
    getUpdates: streaming(api.getUpdates),
    getUpdateByOffset: unary(api.getUpdateByOffset),
    getUpdateById: unary(api.getUpdateById),
  });
  add(StateServiceService, {
    getActiveContracts: streaming(api.getActiveContracts),
    getConnectedSynchronizers: unary(api.getConnectedSynchronizers),
    getLedgerEnd: unary((_request, options) => api.getLedgerEnd(options)),
    getLatestPrunedOffsets: unary((_request, options) => api.getLatestPrunedOffsets(options)),
  });
  add(InteractiveSubmissionServiceService, {
    prepareSubmission: unary(api.prepareSubmission),
    executeSubmission: unary(api.executeSubmission),
    executeSubmissionAndWait: unary(api.executeSubmissionAndWait),
    getPreferredPackages: unary(api.getPreferredPackages),
  });
  add(CommandCompletionServiceService, {
    completionStream: streaming(api.completionStream),
    getCompletions: streaming(api.getCompletions),
  });
  add(EventQueryServiceService, { getEventsByContractId: unary(api.getEventsByContractId) });
  add(VersionServiceService, { getLedgerApiVersion: unary((_request, options) => api.getLedgerApiVersion(options)) });
  add(PackageServiceService, {
    listPackages: unary((_request, options) => api.listPackages(options)),
    getPackageStatus: unary(api.getPackageStatus),
  });
  add(PartyManagementServiceService, {
    getParticipantId: unary((_request, options) => api.getParticipantId(options)),
    getParties: unary(api.getParties),
    listKnownParties: unary((_request, options) => api.listKnownParties(options)),
  });

  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, actual) =>
      error === null ? resolve(actual) : reject(error),
    );
  });

  return {
    address: `${host}:${bound}`,
    stop: async () => {
      participant.faults.abortStreams({
        code: 'ABORTED_DUE_TO_SHUTDOWN',
        category: 'transientServerFailure',
        text: 'request aborted due to shutdown',
      });
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const grace = new AbortController();
      await Promise.race([closed, clock.sleep(CLOSE_GRACE_MS, grace.signal)]);
      grace.abort();
      server.forceShutdown();
      await closed;
    },
  };
}

/** Writes one message after the other, each only when the client has room for it: HTTP/2 flow control is the backpressure. */
async function pump<Request, Response>(
  messages: AsyncIterable<Response>,
  call: ServerWritableStream<Request, Response>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) return;
    if (!call.write(message)) await drained(call, signal);
  }
}

function drained(
  call: { once(event: 'drain', listener: () => void): unknown; off(event: 'drain', listener: () => void): unknown },
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
