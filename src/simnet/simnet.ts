/**
 * The simulated network as something that runs: the in-process network, a gRPC server per participant, a control endpoint, and, if asked
 * for, customers who keep depositing. One call starts all of it and one stops it.
 */
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { createSeededRandom } from '../env/random.ts';
import { type Customer, type CustomerActivity, createCustomers } from './customers.ts';
import { createNetwork, type Network, type NetworkOptions } from './network.ts';
import { createReceivers, type Receivers } from './receivers.ts';
import { startTokenServices, type TokenServices } from './registry/token-services.ts';
import { startControlServer } from './wire/control-server.ts';
import { createEndpoints, type EndpointControls } from './wire/endpoints.ts';
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
  /** 0 or left out: any free port. */
  readonly controlPort?: number;
  /** One per instrument admin, in order of the instruments; 0 or left out: any free port. */
  readonly registryPorts?: readonly number[];
  /** Of each registry, and so how many Scans; one when left out. */
  readonly registryInstances?: number;
  /** Left out: nobody deposits. */
  readonly customers?: CustomersSpec;
};

export type CustomersSpec = {
  readonly count: number;
  /** Mean time between two deposits of anybody. */
  readonly intervalMs: number;
  readonly instruments?: readonly string[];
  /** Deposits and ends of offers after which they stop. */
  readonly activitiesMax?: number;
  /** The treasury's own software accepts offers whose memo is known: then customers only take back the others. */
  readonly isTreasuryAccepting?: boolean;
  readonly onActivity?: (activity: CustomerActivity) => void;
};

export type RunningParticipant = {
  readonly name: string;
  readonly participantId: string;
  /** `host:port` at which it answers, until the endpoint is switched to another one. */
  readonly grpcAddress: string;
};

export type Simnet = TokenServices & {
  readonly network: Network;
  readonly participants: readonly RunningParticipant[];
  /** Which participant answers at which address, and whether anybody does. */
  readonly endpoints: EndpointControls;
  /** `http://host:port` of the control endpoint. */
  readonly controlUrl: string;
  readonly customers: readonly Customer[];
  /** Who answers offers by himself. */
  readonly receivers: Pick<Receivers, 'set'>;
  /** Lets the customers start depositing, once. Without it they wait, so that their accounts can be opened first. */
  startCustomers(): void;
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
    network.close();
    await Promise.all(stops.splice(0).map((stopOne) => stopOne()));
  };
  try {
    const participants: RunningParticipant[] = [];
    const endpoints = createEndpoints(network, (serving, port) =>
      startGrpcServer({ serving, host, port, clock, logger }),
    );
    stops.push(endpoints.stop);
    for (const [index, { name, participantId }] of network.participants.entries()) {
      const grpcAddress = await endpoints.start(name, options.grpcPorts?.[index] ?? 0);
      participants.push({ name, participantId, grpcAddress });
    }
    const services = await startTokenServices({
      network,
      host,
      clock,
      logger,
      onStarted: ({ close }) => stops.push(close),
      ...(options.registryInstances === undefined ? {} : { registryInstances: options.registryInstances }),
      ...(options.registryPorts === undefined ? {} : { registryPorts: options.registryPorts }),
    });
    const spec = options.customers;
    const traffic =
      spec &&
      createCustomers({
        ...spec,
        network,
        clock,
        random: createSeededRandom(Math.floor(options.random.next() * 0x1_0000_0000)),
        logger,
      });
    const customers = traffic?.customers ?? [];
    const receivers = createReceivers({ network, clock, logger });
    const closing = new AbortController();
    const answering = receivers.run(closing.signal);
    stops.push(async () => {
      closing.abort();
      await answering;
    });
    const grpcAddresses = new Map(participants.map(({ name, grpcAddress }) => [name, grpcAddress]));
    const control = await startControlServer({
      network,
      customers,
      receivers,
      grpcAddresses,
      endpoints,
      ...services,
      host,
      port: options.controlPort ?? 0,
      logger,
    });
    stops.push(control.stop);
    let isStarted = false;
    const startCustomers = (): void => {
      if (isStarted || spec === undefined || traffic === undefined) return;
      isStarted = true;
      const leaving = new AbortController();
      const { intervalMs, activitiesMax } = spec;
      const run = traffic.run({
        intervalMs,
        signal: leaving.signal,
        ...(activitiesMax === undefined ? {} : { activitiesMax }),
      });
      stops.push(async () => {
        leaving.abort();
        await run;
      });
    };
    return {
      network,
      participants,
      endpoints,
      ...services,
      controlUrl: control.url,
      customers,
      receivers,
      startCustomers,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
