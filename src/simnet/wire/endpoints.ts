/** Which participant answers at which address. Addresses are named after the participant that answers there at first. */
import { SHUTDOWN } from '../ledger/faults.ts';
import type { Participant } from '../ledger/participant.ts';
import type { Network } from '../network.ts';

export type Endpoints = {
  /** @returns who answers at the address named so. */
  serving(endpoint: string): Participant;
  /**
   * Lets `participant` answer at the address from now on, as after a failover behind one name: streams of the former one fail with
   * UNAVAILABLE, whoever calls again meets the other.
   * @throws PermanentError SIMNET_UNKNOWN_PARTICIPANT.
   */
  switch(endpoint: string, participant: string): void;
};

export function createEndpoints(network: Pick<Network, 'participant'>): Endpoints {
  const switched = new Map<string, Participant>();
  const serving = (endpoint: string): Participant => switched.get(endpoint) ?? network.participant(endpoint);
  return {
    serving,
    switch: (endpoint, name) => {
      const former = serving(endpoint);
      const participant = network.participant(name);
      switched.set(network.participant(endpoint).name, participant);
      if (participant !== former) former.faults.abortStreams(SHUTDOWN);
    },
  };
}
