/**
 * The simulated network as something that runs: the in-process network, a gRPC server per participant, a control endpoint, and, if asked
 * for, customers who keep depositing. One call starts all of it and one stops it.
 */
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { createNetwork, type Network, type NetworkOptions } from './network.ts';
import { startGrpcServer } from './wire/grpc-server.ts';

export type SimnetOptions = Omit<NetworkOptions, 'seed' | 'clock' | 'random'> & {
  /** Party ids and the synchronizer's id follow from it alone. */
  readonly seed: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where the servers listen; loopback when left out. */
  readonly host?: string;
  /** One per participant, in order; 0 or left out: any free port. */
  readonly grpcPorts?: readonly number[];
};

export type RunningParticipant = {
  readonly name: string;
  readonly participantId: string;
  /** `host:port` of its Ledger API. */
  readonly grpcAddress: string;
};

export type Simnet = {
  readonly network: Network;
  readonly participants: readonly RunningParticipant[];
  /** Ends streams, closes every socket. Safe to call twice. */
  stop(): Promise<void>;
};

const LOOPBACK = '127.0.0.1';

/** @throws when a port is taken; what was started by then is stopped. */
export async function startSimnet(options: SimnetOptions): Promise<Simnet> {
  const { clock, logger, host = LOOPBACK } = options;
  const network = createNetwork(options);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(stops.splice(0).map((stopOne) => stopOne()));
  };
  try {
    const participants: RunningParticipant[] = [];
    for (const [index, participant] of network.participants.entries()) {
      const server = await startGrpcServer({ participant, host, port: options.grpcPorts?.[index] ?? 0, clock, logger });
      stops.push(server.stop);
      participants.push({
        name: participant.name,
        participantId: participant.participantId,
        grpcAddress: server.address,
      });
    }
    return { network, participants, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
