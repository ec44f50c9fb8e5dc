/** Everything that a network serves about its tokens over HTTP: the registries of the instrument admins, one or several instances of each; Scans, which are the registry of Canton Coin; and a validator with its Scan proxy. */
import type { Clock } from '../../env/clock.ts';
import type { Logger } from '../../env/logger.ts';
import { createSeededRandom } from '../../env/random.ts';
import type { Network } from '../network.ts';
import { answerScan, answerScanProxy, type ScanContext } from '../scan/scan-answers.ts';
import { answerRegistry } from './registry-answers.ts';
import { createRegistryFaults } from './registry-faults.ts';
import { type Ask, type RegistryServer, startRegistryServer } from './registry-server.ts';

export type RunningInstance = Omit<RegistryServer, 'url'> & {
  /** Base of its paths: `http://host:port` of a registry, with `/api/scan` of a Scan, with `/api/validator` of a validator. */
  readonly url: string;
};

/** The first instance is what it is by itself. */
export type RunningRegistry = RunningInstance & {
  /** Party id of the instrument admin. */
  readonly admin: string;
  readonly instances: readonly RunningInstance[];
};

export type TokenServices = {
  /** One per instrument admin. */
  readonly registries: readonly RunningRegistry[];
  /** The instances of Canton Coin's registry, as Scans. */
  readonly scans: readonly RunningInstance[];
  readonly validator: RunningInstance;
};

export type TokenServicesOptions = {
  readonly network: Pick<Network, 'tokens' | 'ledger' | 'synchronizerId' | 'party' | 'access' | 'participants'>;
  readonly host: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of each registry; one when left out. */
  readonly registryInstances?: number;
  /** The first instance of each registry, in order of the admins; 0 or left out: any free port. */
  readonly registryPorts?: readonly number[];
  readonly onStarted: (server: RegistryServer) => void;
};

/** The DSO, whose registry are the Scans. */
const SCAN_ADMIN = 'DSO';

/** @throws when a port is taken; what was started by then was told to `onStarted`. */
export async function startTokenServices(options: TokenServicesOptions): Promise<TokenServices> {
  const { network, host, clock, logger, registryInstances = 1, registryPorts = [], onStarted } = options;
  let seed = 0;
  const start = async (answer: (ask: Ask) => unknown, port: number): Promise<RegistryServer> => {
    seed += 1;
    const faults = createRegistryFaults(createSeededRandom(seed));
    const server = await startRegistryServer({ answer, faults, host, port, clock, logger });
    onStarted(server);
    return server;
  };
  const contextOf = (admin: string): ScanContext => ({
    admin,
    tokens: network.tokens.filter(({ instrumentId }) => instrumentId.admin === admin),
    contracts: network.ledger.contracts,
    synchronizerId: network.synchronizerId,
    activeOf: (stakeholder) => network.ledger.contracts.activeOf(stakeholder),
    nowMicros: () => clock.nowMicros(),
    trafficOf: (id) => network.participants.find(({ participantId }) => participantId === id)?.traffic.status() ?? null,
  });
  const dso = network.party(SCAN_ADMIN);

  const registries: RunningRegistry[] = [];
  const admins = [...new Set(network.tokens.map(({ instrumentId }) => instrumentId.admin))];
  for (const [index, admin] of admins.entries()) {
    const context = contextOf(admin);
    const answer = (ask: Ask): unknown => (admin === dso ? answerScan(context, ask) : answerRegistry(context, ask));
    const first = await start(answer, registryPorts[index] ?? 0);
    const instances = [first];
    while (instances.length < registryInstances) instances.push(await start(answer, 0));
    registries.push({ ...first, admin, instances });
  }
  const isKnown = (token: string | undefined): boolean => network.access.isAccepted(token);
  const validator = await start((ask) => answerScanProxy(contextOf(dso), isKnown, ask), 0);
  const scans = registries.find(({ admin }) => admin === dso)?.instances ?? [];
  return {
    registries,
    scans: scans.map((scan) => ({ ...scan, url: `${scan.url}/api/scan` })),
    validator: { ...validator, url: `${validator.url}/api/validator` },
  };
}
