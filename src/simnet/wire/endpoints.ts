/**
 * The addresses of the network: which participant answers where, and whether anybody does. Addresses are named after the participant that
 * answers there at first.
 */
import { PermanentError } from '../../env/errors.ts';
import { SHUTDOWN } from '../ledger/faults.ts';
import type { Participant } from '../ledger/participant.ts';
import type { Network } from '../network.ts';
import type { GrpcServer } from './grpc-server.ts';

export type EndpointControls = {
  /** @returns who answers at the address named so. */
  serving(endpoint: string): Participant;
  /**
   * Lets `participant` answer at the address from now on, as after a failover behind one name: streams of the former one fail with
   * UNAVAILABLE, whoever calls again meets the other.
   * @throws PermanentError SIMNET_UNKNOWN_PARTICIPANT.
   */
  switch(endpoint: string, participant: string): void;
  /** Cuts every connection and refuses new ones, as when the process is gone. Harmless when it is closed. */
  close(endpoint: string): Promise<void>;
  /** Listens again at the same port. Harmless when it is open. @throws when the port was taken meanwhile. */
  open(endpoint: string): Promise<void>;
};

export type Endpoints = EndpointControls & {
  /** Starts to listen. @returns `host:port`. */
  start(endpoint: string, port: number): Promise<string>;
  stop(): Promise<void>;
};

type Listening = { readonly port: number; server: GrpcServer | undefined };

/** @param listen starts a server that asks `serving` at each call who answers. */
export function createEndpoints(
  network: Pick<Network, 'participant'>,
  listen: (serving: () => Participant, port: number) => Promise<GrpcServer>,
): Endpoints {
  const switched = new Map<string, Participant>();
  const listening = new Map<string, Listening>();
  const serving = (endpoint: string): Participant => switched.get(endpoint) ?? network.participant(endpoint);
  const known = (endpoint: string): Listening => {
    const found = listening.get(endpoint);
    if (found !== undefined) return found;
    throw new PermanentError('SIMNET_UNKNOWN_ENDPOINT', 'No address has that name.', { endpoint });
  };
  const close = async (each: Listening): Promise<void> => {
    const { server } = each;
    each.server = undefined;
    await server?.stop();
  };
  return {
    serving,
    switch: (endpoint, name) => {
      known(endpoint);
      const former = serving(endpoint);
      const participant = network.participant(name);
      switched.set(endpoint, participant);
      if (participant !== former) former.faults.abortStreams(SHUTDOWN);
    },
    close: (endpoint) => close(known(endpoint)),
    open: async (endpoint) => {
      const each = known(endpoint);
      each.server ??= await listen(() => serving(endpoint), each.port);
    },
    start: async (endpoint, port) => {
      const server = await listen(() => serving(endpoint), port);
      listening.set(endpoint, { port: Number(server.address.split(':').at(-1)), server });
      return server.address;
    },
    stop: async () => {
      await Promise.all([...listening.values()].map(close));
    },
  };
}
