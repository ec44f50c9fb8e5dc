/** Scan and the validator's Scan proxy, simulated, over real sockets: both say the same of the DSO, its rounds and who takes Canton Coin without being asked. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { createFixedToken } from '../../src/ledger/token-source.ts';
import { createRegistries, type RegistriesOptions, sourcesOf } from '../../src/scan/registries.ts';
import { disclosedContractOf } from '../../src/scan/scan-client.ts';
import type { ScanReads } from '../../src/scan/scan-reads.ts';
import { createdEventBlob } from '../../src/simnet/ledger/projection.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { silentLogger } from '../simnet/harness.ts';

let simnet: Simnet;
const random = createSeededRandom(8);

beforeAll(async () => {
  simnet = await startSimnet({
    seed: 'scan',
    clock: systemClock,
    random,
    logger: silentLogger,
    registryInstances: 4,
    users: [{ id: 'exchange' }],
  });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
});
afterAll(() => simnet.stop());
afterEach(() => {
  simnet.validator.faults.clear();
  for (const { faults } of simnet.scans) faults.clear();
});

function open(options: Partial<RegistriesOptions>): ScanReads {
  const { scan } = createRegistries({
    clock: systemClock,
    random,
    logger: silentLogger,
    sourceOf: sourcesOf([]),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
    ...options,
  });
  if (scan === null) throw new Error('No Scan is configured.');
  return scan;
}

const urls = () => simnet.scans.map(({ url }) => url);
const throughProxy = () => {
  const { token } = simnet.network.access.issueToken({ user: 'exchange' });
  return open({ validator: { url: simnet.validator.url, tokens: createFixedToken(createSecret(token)) } });
};
const ways: readonly (readonly [string, () => ScanReads])[] = [
  ['the proxy', throughProxy],
  ['a rotation of Scans', () => open({ scan: { strategy: 'rotate', urls: urls() } })],
  ['a quorum of Scans', () => open({ scan: { strategy: 'quorum', urls: urls(), faultsMax: 1 } })],
];

describe.each(ways)('through %s', (_, scan) => {
  it('the DSO is named, with its rules and the rounds', async () => {
    const { network } = simnet;
    const dso = await scan().dso();
    const rounds = await scan().miningRounds();
    const rules = await scan().amuletRules();

    expect(await scan().dsoParty()).toBe(network.party('DSO'));
    expect(dso).toMatchObject({ dsoParty: network.party('DSO'), votingThreshold: 3, amuletRules: rules });
    expect(rules.templateId).toMatch(/:Splice\.AmuletRules:AmuletRules$/);
    expect(network.ledger.contracts.find(rules.contractId)?.isActive).toBe(true);
    expect(rounds.issuing).toEqual([]);
    expect(rounds.open.map(({ contractId }) => contractId)).toEqual([dso.latestMiningRound.contractId]);
  });

  it('a preapproval is found, with what it takes to disclose it, and none where there is none', async () => {
    const { network } = simnet;

    const found = await scan().transferPreapproval(network.party('bob'));
    const none = await scan().transferPreapproval(network.party('carol'));

    expect(none).toBeNull();
    expect(found).toMatchObject({ dso: network.party('DSO'), receiver: network.party('bob') });
    const { contract } = network.ledger.contracts.find(found?.contract.contractId ?? '') ?? {};
    if (contract === undefined || found === null) throw new Error('The preapproval is not on the ledger.');
    expect(disclosedContractOf(found.contract)).toMatchObject({
      templateId: contract.templateId,
      contractId: contract.contractId,
      synchronizerId: network.synchronizerId,
    });
    expect(Buffer.compare(found.contract.createdEventBlob, createdEventBlob(contract))).toBe(0);
    expect(found.expiresAt).toBeGreaterThan(systemClock.nowMicros());
  });
});

describe.each(ways)('through %s', (_, scan) => {
  it('the traffic of a participant is read, and of one that is not known nothing', async () => {
    const { network } = simnet;
    const { participantId, traffic } = network.participant('participant1');
    const member = { synchronizerId: network.synchronizerId, participantId };

    expect(await scan().memberTraffic(member)).toBeNull();
    traffic.meter({ baseBytes: 0n, windowSeconds: 1_200n, extraBytes: 500_000n });
    traffic.drain(300_000n);
    expect(await scan().memberTraffic(member)).toEqual({ totalConsumed: 200_000n, totalLimit: 500_000n });
    expect(await scan().memberTraffic({ ...member, synchronizerId: 'other::1220' })).toBeNull();
    traffic.unmeter();
  });
});

describe('the proxy', () => {
  it('serves the registry of Canton Coin to those it knows, and to no one else', async () => {
    const instrument = simnet.network.instrument('amulet');
    const sourceOf = sourcesOf([{ admin: instrument.admin, instrumentId: null, source: { strategy: 'proxy' } }]);
    const { token } = simnet.network.access.issueToken({ user: 'exchange' });
    const at = (text: string) =>
      createRegistries({
        clock: systemClock,
        random,
        logger: silentLogger,
        sourceOf,
        scan: null,
        validator: { url: `${simnet.validator.url}/`, tokens: createFixedToken(createSecret(text)) },
        isPrivateAllowed: false,
        callsPerSecondMax: 1_000,
      });

    expect(await at(token).adminId(instrument)).toBe(instrument.admin);
    await expect(at('nobody').adminId(instrument)).rejects.toMatchObject({
      code: 'REGISTRY_STATUS',
      retryable: true,
      facts: { status: 401 },
    });
  });

  it('behind a gateway that lost its way does not say that there is no preapproval', async () => {
    const gateway = createServer((_request, response) => response.writeHead(404).end('<h1>Not Found</h1>'));
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    const { port } = gateway.address() as AddressInfo;
    try {
      const lost = open({ validator: { url: `http://127.0.0.1:${port}`, tokens: null } });

      await expect(lost.transferPreapproval(simnet.network.party('bob'))).rejects.toMatchObject({
        code: 'REGISTRY_ANSWER_INVALID',
        retryable: true,
        facts: { status: 404 },
      });
    } finally {
      gateway.closeAllConnections();
      await new Promise((resolve) => gateway.close(resolve));
    }
  });

  it('that fails does not say so either', async () => {
    simnet.validator.faults.set({ next: 1, fault: { kind: 'status', status: 502 } });

    await expect(throughProxy().transferPreapproval(simnet.network.party('bob'))).rejects.toMatchObject({
      code: 'REGISTRY_STATUS',
      facts: { status: 502 },
    });
  });
});
