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
import { UserManagementServiceService } from '../../gen/com/daml/ledger/api/v2/admin/user_management_service.ts';
import { CommandCompletionServiceService } from '../../gen/com/daml/ledger/api/v2/command_completion_service.ts';
import { EventQueryServiceService } from '../../gen/com/daml/ledger/api/v2/event_query_service.ts';
import { InteractiveSubmissionServiceService } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { PackageServiceService } from '../../gen/com/daml/ledger/api/v2/package_service.ts';
import { StateServiceService } from '../../gen/com/daml/ledger/api/v2/state_service.ts';
import { UpdateServiceService } from '../../gen/com/daml/ledger/api/v2/update_service.ts';
import { VersionServiceService } from '../../gen/com/daml/ledger/api/v2/version_service.ts';
import { Status } from '../../gen/google/rpc/status.ts';
import type { AdminApi } from '../admin/admin-api.ts';
import { GRPC_CODE, isCantonError, statusOf } from '../ledger/canton-error.ts';
import { SHUTDOWN } from '../ledger/faults.ts';
import type { CallOptions, LedgerApi } from '../ledger/ledger-api.ts';
import type { Participant } from '../ledger/participant.ts';

export type GrpcServer = {
  /** `host:port`. */
  readonly address: string;
  /** Ends all streams as a participant that shuts down does, and closes every connection. */
  stop(): Promise<void>;
};

export type GrpcServerOptions = {
  /** The participant that answers, asked for at every call: an address may come to lead to another one. */
  readonly serving: () => Participant;
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
export async function startGrpcServer({ serving, host, port, clock, logger }: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });

  const failure = (error: unknown): ServerError => {
    if (isCantonError(error)) {
      const status = statusOf(error.refusal);
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(status).finish()));
      return { code: status.code, details: status.message, metadata };
    }
    logger.error('A call failed inside the simulated participant.', {
      participant: serving().name,
      error: messageOf(error),
    });
    return { code: GRPC_CODE.internal, details: 'An error occurred.', metadata: new Metadata() };
  };

  const unary =
    <Request, Response>(handler: (api: LedgerApi, request: Request, options: CallOptions) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      const controller = new AbortController();
      call.on('cancelled', () => controller.abort());
      handler(serving().api, call.request, optionsOf(call, controller.signal)).then(
        (response) => {
          if (!controller.signal.aborted) callback(null, response);
        },
        (error: unknown) => callback(failure(error)),
      );
    };

  const administering =
    <Request, Response>(handler: (admin: AdminApi, request: Request, options: CallOptions) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      handler(serving().admin, call.request, optionsOf(call, new AbortController().signal)).then(
        (response) => callback(null, response),
        (error: unknown) => callback(failure(error)),
      );
    };

  const streaming =
    <Request, Response>(handler: (api: LedgerApi, request: Request, options: CallOptions) => AsyncIterable<Response>) =>
    (call: ServerWritableStream<Request, Response>): void => {
      const controller = new AbortController();
      call.on('cancelled', () => controller.abort());
      pump(handler(serving().api, call.request, optionsOf(call, controller.signal)), call, controller.signal).then(
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
    getUpdates: streaming((api, request, options) => api.getUpdates(request, options)),
    getUpdatesPage: unary((api, request, options) => api.getUpdatesPage(request, options)),
    getUpdateByOffset: unary((api, request, options) => api.getUpdateByOffset(request, options)),
    getUpdateById: unary((api, request, options) => api.getUpdateById(request, options)),
  });
  add(StateServiceService, {
    getActiveContracts: streaming((api, request, options) => api.getActiveContracts(request, options)),
    getActiveContractsPage: unary((api, request, options) => api.getActiveContractsPage(request, options)),
    getConnectedSynchronizers: unary((api, request, options) => api.getConnectedSynchronizers(request, options)),
    getLedgerEnd: unary((api, _request, options) => api.getLedgerEnd(options)),
    getLatestPrunedOffsets: unary((api, _request, options) => api.getLatestPrunedOffsets(options)),
  });
  add(InteractiveSubmissionServiceService, {
    prepareSubmission: unary((api, request, options) => api.prepareSubmission(request, options)),
    executeSubmission: unary((api, request, options) => api.executeSubmission(request, options)),
    executeSubmissionAndWait: unary((api, request, options) => api.executeSubmissionAndWait(request, options)),
    getPreferredPackages: unary((api, request, options) => api.getPreferredPackages(request, options)),
  });
  add(CommandCompletionServiceService, {
    completionStream: streaming((api, request, options) => api.completionStream(request, options)),
    getCompletions: streaming((api, request, options) => api.getCompletions(request, options)),
  });
  add(EventQueryServiceService, {
    getEventsByContractId: unary((api, request, options) => api.getEventsByContractId(request, options)),
  });
  add(VersionServiceService, {
    getLedgerApiVersion: unary((api, _request, options) => api.getLedgerApiVersion(options)),
  });
  add(PackageServiceService, {
    listPackages: unary((api, _request, options) => api.listPackages(options)),
    getPackageStatus: unary((api, request, options) => api.getPackageStatus(request, options)),
  });
  add(PartyManagementServiceService, {
    getParticipantId: unary((api, _request, options) => api.getParticipantId(options)),
    getParties: unary((api, request, options) => api.getParties(request, options)),
    listKnownParties: unary((api, _request, options) => api.listKnownParties(options)),
    generateExternalPartyTopology: administering((admin, request, options) =>
      admin.generateExternalPartyTopology(request, options),
    ),
    allocateExternalParty: administering((admin, request, options) => admin.allocateExternalParty(request, options)),
  });
  add(UserManagementServiceService, {
    createUser: administering((admin, request, options) => admin.createUser(request, options)),
    getUser: administering((admin, request, options) => admin.getUser(request, options)),
    grantUserRights: administering((admin, request, options) => admin.grantUserRights(request, options)),
    listUserRights: administering((admin, request, options) => admin.listUserRights(request, options)),
  });

  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, actual) =>
      error === null ? resolve(actual) : reject(error),
    );
  });

  return {
    address: `${host}:${bound}`,
    stop: async () => {
      serving().faults.abortStreams(SHUTDOWN);
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const grace = new AbortController();
      await Promise.race([closed, clock.sleep(CLOSE_GRACE_MS, grace.signal)]);
      grace.abort();
      server.forceShutdown();
      await closed;
    },
  };
}

function optionsOf({ metadata }: { readonly metadata: Metadata }, signal: AbortSignal): CallOptions {
  const [authorization = ''] = metadata.get('authorization');
  const [, token] = /^Bearer (.+)$/i.exec(authorization.toString()) ?? [];
  const [traceParent] = metadata.get('traceparent');
  return {
    signal,
    ...(token === undefined ? {} : { token }),
    ...(traceParent === undefined ? {} : { traceParent: traceParent.toString() }),
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
