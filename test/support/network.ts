/** A simulated network for a test, and the catalog with which Sluice serves its treasury. */
import { createSeededRandom } from '../../src/env/random.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import type { CatalogConfig } from '../../src/ingestion/catalog.ts';
import { TREASURY } from '../../src/simnet/network.ts';
import { type Simnet, type SimnetOptions, startSimnet } from '../../src/simnet/simnet.ts';

export const NETWORK = 'simnet';

export type TestNetwork = Simnet & {
  readonly catalog: CatalogConfig;
  /** `http://host:port` of a participant's Ledger API, counted from 0. */
  ledgerUrl(index?: number): string;
};

export async function startTestNetwork(seed: string, options: Partial<SimnetOptions> = {}): Promise<TestNetwork> {
  const simnet = await startSimnet({
    seed,
    clock: systemClock,
    random: createSeededRandom(1),
    logger: createSystemLogger('warn'),
    checkpoints: { busyMs: 200, idleMs: 500 },
    ...options,
  });
  const { network, participants } = simnet;
  return {
    ...simnet,
    catalog: {
      network: NETWORK,
      treasuries: [{ name: TREASURY, party: network.party(TREASURY) }],
      instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
    },
    ledgerUrl: (index = 0) => {
      const participant = participants[index];
      if (participant === undefined) throw new Error(`There is no participant ${index}.`);
      return `http://${participant.grpcAddress}`;
    },
  };
}
