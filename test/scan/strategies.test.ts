/**
 * How registries are read when some of their instances fail or lie: four instances of each simulated registry, over real sockets. What a lie is worth on its own (nothing: no such transaction is signed) is another
 * test; here it is a matter of not even being told it.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ReadSource } from '../../src/config/read-source.ts';
import type { LogFields, Logger } from '../../src/env/logger.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { createRegistries, type Registries, type RegistriesOptions } from '../../src/scan/registries.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { LIES } from '../../src/simnet/registry/lies.ts';
import type { RegistryFault } from '../../src/simnet/registry/registry-faults.ts';
import type { RunningInstance } from '../../src/simnet/registry/token-services.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import type { TransferRecord } from '../../src/tokens/transfer-record.ts';
import { silentLogger } from '../simnet/harness.ts';
import { eventually } from '../support/eventually.ts';

const INSTANCES = 4;
const random = createSeededRandom(21);
let simnet: Simnet;

beforeAll(async () => {
  simnet = await startSimnet({
    seed: 'strategies',
    clock: systemClock,
    random,
    logger: silentLogger,
    registryInstances: INSTANCES,
  });
  for (const instrument of ['amulet', 'usd']) {
    simnet.network.tap({ instrument, owner: 'treasury', amount: '10' });
    simnet.network.preapprove({ instrument, receiver: 'bob' });
  }
});
afterAll(() => simnet.stop());
afterEach(() => {
  for (const { instances } of simnet.registries) for (const { faults } of instances) faults.clear();
});

function instancesOf(instrument: string): readonly RunningInstance[] {
  const { admin } = simnet.network.instrument(instrument);
  return simnet.registries.find((registry) => registry.admin === admin)!.instances;
}

const urlsOf = (instrument: string) => instancesOf(instrument).map(({ url }) => url);
const quorum = (instrument: string): ReadSource => ({
  strategy: 'quorum',
  urls: urlsOf(instrument),
  faultsMax: 1,
});
const rotation = (instrument: string): ReadSource => ({ strategy: 'rotate', urls: urlsOf(instrument) });

type Line = { readonly message: string; readonly fields: LogFields };

function open(
  sourceOf: (instrument: string) => ReadSource,
  options: Partial<RegistriesOptions> = {},
): { readonly registries: Registries; readonly warnings: Line[] } {
  const warnings: Line[] = [];
  const logger: Logger = { ...silentLogger, warn: (message, fields = {}) => warnings.push({ message, fields }) };
  const { tokens } = simnet.network;
  const registries = createRegistries({
    clock: systemClock,
    random,
    logger,
    sourceOf: (admin) => sourceOf(tokens.find(({ instrumentId }) => instrumentId.admin === admin)!.name),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
    timeoutMs: 2_000, // Enough for an honest one on a busy machine.
    ...options,
  });
  return { registries, warnings };
}

function transfer(instrument: string): TransferRecord {
  const { network } = simnet;
  const sender = network.party('treasury');
  const now = systemClock.nowMicros();
  return {
    sender,
    receiver: network.party('bob'),
    amount: parseAmount('2.5'),
    instrument: network.instrument(instrument),
    requestedAt: now - 60_000_000n,
    executeBefore: now + 3_600_000_000n,
    inputHoldings: holdingsOf(network.ledger.contracts, sender, network.instrument(instrument)).map(
      ({ contractId }) => contractId,
    ),
    meta: new Map(),
  };
}

const ask = (registries: Registries, instrument: string) =>
  registries.transferFactory(simnet.network.instrument(instrument), transfer(instrument));

const dissenters = (registries: Registries): readonly string[] =>
  registries
    .health()
    .filter(({ dissented }) => dissented > 0n)
    .map(({ url }) => url);

/** What tells nothing false of a transfer factory: lies about other questions, and the truth in another order. */
const HARMLESS: ReadonlySet<string> = new Set(['metadata', 'preapproval', 'stale', 'order']);
const LIES_OF_A_FACTORY = LIES.filter((lie) => !HARMLESS.has(lie));

const failures: readonly RegistryFault[] = [
  { kind: 'hang' },
  { kind: 'slow', delayMs: 5_000 },
  { kind: 'trickle' },
  { kind: 'cut' },
  { kind: 'huge', bytes: 4 * 1024 * 1024 },
  { kind: 'notJson' },
  { kind: 'nested', depth: 500_000 },
  { kind: 'compressed' },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 404 },
  { kind: 'redirect', location: 'http://169.254.169.254/' },
];

describe.each(['amulet', 'usd'])('F3: a quorum of four for %s', (instrument) => {
  it.each(LIES_OF_A_FACTORY)('is not told a lie about the %s, and says who told it', async (lie) => {
    const [liar, ...honest] = instancesOf(instrument);
    // The liar answers at once, the others take their time: being first is worth nothing.
    liar!.faults.set({ share: 1, fault: { kind: 'lie', lie } });
    for (const { faults } of honest) faults.set({ share: 1, fault: { kind: 'slow', delayMs: 50 } });
    const { registries, warnings } = open(quorum);

    const answer = await ask(registries, instrument);

    const { admin } = simnet.network.instrument(instrument);
    const planned = simnet.network.tokens.find(({ instrumentId }) => instrumentId.admin === admin)!;
    const plan = planned.planTransfer(
      { sender: simnet.network.party('treasury'), receiver: simnet.network.party('bob') } as never,
      { generation: 'new', asOffer: false },
    );
    expect(answer).toMatchObject({ factoryId: plan.factoryCid, transferKind: 'direct', choiceContext: plan.context });
    expect(new Set(answer.disclosedContracts.map(({ contractId }) => contractId)).size).toBe(
      answer.disclosedContracts.length,
    );
    for (const disclosed of answer.disclosedContracts) {
      expect(simnet.network.ledger.contracts.find(disclosed.contractId)?.isActive).toBe(true);
    }
    await eventually(() => expect(dissenters(registries)).toEqual([liar!.url]));
    expect(warnings).toContainEqual({
      message: 'A registry says something else than the others.',
      fields: { url: liar!.url, question: 'transfer factory' },
    });
  });

  it.each(failures)('answers although one instance fails: $kind', async (fault) => {
    const [failing] = instancesOf(instrument);
    failing!.faults.set({ share: 1, fault });
    const { registries } = open(quorum);

    expect(await ask(registries, instrument)).toMatchObject({ transferKind: 'direct' });
    // Who says no where the others say yes has said something else; who says nothing has not.
    if (fault.kind === 'status' && fault.status === 404) {
      await eventually(() => expect(dissenters(registries)).toEqual([failing!.url]));
    } else {
      expect(dissenters(registries)).toEqual([]);
    }
  });

  it.each(failures)('refuses when two of them fail, for failures agree with nobody: $kind', async (fault) => {
    const [one, other] = instancesOf(instrument);
    one!.faults.set({ share: 1, fault });
    other!.faults.set({ share: 1, fault });
    // Short: whether an honest one is in time as well changes nothing.
    const { registries } = open(quorum, { timeoutMs: 400 });

    await expect(ask(registries, instrument)).rejects.toMatchObject({
      code: 'REGISTRY_NO_QUORUM',
      retryable: true,
      facts: { instances: INSTANCES, needed: 3 },
    });
  });

  it.each(LIES_OF_A_FACTORY)(
    'refuses when two of them agree on a lie about the %s, and names both camps',
    async (lie) => {
      const [one, other, ...honest] = instancesOf(instrument);
      for (const { faults } of [one!, other!]) faults.set({ share: 1, fault: { kind: 'lie', lie, salt: 'agreed' } });
      const { registries } = open(quorum);

      const error: unknown = await ask(registries, instrument).then(
        () => null,
        (thrown: unknown) => thrown,
      );

      expect(error).toMatchObject({ code: 'REGISTRY_NO_QUORUM', facts: { failures: [] } });
      const { answers } = (error as { facts: { answers: readonly (readonly string[])[] } }).facts;
      const camps = answers.map((camp) => camp.toSorted()).toSorted();
      expect(camps).toEqual([[one!, other!], honest].map((camp) => camp.map(({ url }) => url).toSorted()).toSorted());
    },
  );

  it('names a liar who comes too late to matter as well', async () => {
    const [liar] = instancesOf(instrument);
    liar!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'factory', delayMs: 300 } });
    const { registries } = open(quorum, { timeoutMs: 5_000 });

    expect(await ask(registries, instrument)).toMatchObject({ transferKind: 'direct' });
    expect(dissenters(registries)).toEqual([]);
    await eventually(() => expect(dissenters(registries)).toEqual([liar!.url]));
  });

  it('minds neither order nor who is asked, and believes a no that all give', async () => {
    for (const { faults } of instancesOf(instrument).slice(0, 2)) {
      faults.set({ share: 1, fault: { kind: 'lie', lie: 'order' } });
    }
    const { registries } = open(quorum);
    const { admin } = simnet.network.instrument(instrument);

    expect(await ask(registries, instrument)).toMatchObject({ transferKind: 'direct' });
    expect(dissenters(registries)).toEqual([]);
    await expect(registries.instrument({ admin, id: 'unknown' })).rejects.toMatchObject({
      code: 'REGISTRY_STATUS',
      facts: { status: 404 },
    });
  });
});

describe('F3: metadata by quorum', () => {
  it('is what the honest ones say, and a list is read to its end', async () => {
    const [liar] = instancesOf('usd');
    liar!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'metadata' } });
    const { registries } = open(quorum);
    const usd = simnet.network.instrument('usd');

    expect(await registries.instrument(usd)).toMatchObject({ id: usd.id, name: 'Usd', decimals: 10 });
    expect(await registries.instruments(usd.admin)).toMatchObject([{ id: usd.id, decimals: 10 }]);
    expect(await registries.adminId(usd)).toBe(usd.admin);
    await eventually(() => expect(dissenters(registries)).toEqual([liar!.url]));
  });

  it('of a list that never ends is refused', async () => {
    const [one] = instancesOf('usd');
    one!.faults.set({ share: 1, fault: { kind: 'endlessPages' } });
    const { registries } = open(() => ({ strategy: 'rotate', urls: [one!.url] }));

    await expect(registries.instruments(simnet.network.instrument('usd').admin)).rejects.toMatchObject({
      code: 'REGISTRY_ANSWER_INVALID',
    });
  });
});

describe('F3: the context that ends an offer, by quorum', () => {
  it('is what the honest ones say, and once the offer has ended one who still remembers it changes nothing', async () => {
    const { network } = simnet;
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '5' });
    const { instructionCid } = network.transfer({
      instrument: 'amulet',
      sender: 'alice',
      receiver: 'carol',
      amount: '1',
    });
    if (instructionCid === undefined) throw new Error('No offer was made.');
    const amulet = network.instrument('amulet');
    const [liar] = instancesOf('amulet');
    const { registries } = open(quorum);
    liar!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'blob' } });

    const context = await registries.instructionContext(amulet, instructionCid, 'accept');

    const locked = holdingsOf(network.ledger.contracts, network.party('alice'), amulet).find(
      ({ isLocked }) => isLocked,
    );
    expect(context.disclosedContracts.map(({ contractId }) => contractId)).toContain(locked?.contractId);
    await eventually(() => expect(dissenters(registries)).toEqual([liar!.url]));

    // It answered the same question truly before, and says so still.
    liar!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'stale' } });
    network.withdraw({ instructionCid });
    await expect(registries.instructionContext(amulet, instructionCid, 'accept')).rejects.toMatchObject({
      code: 'REGISTRY_STATUS',
      facts: { status: 404 },
    });
  });
});

describe('F3: a rotation', () => {
  it('asks another instance after every failure, and never the one that failed last', async () => {
    const instances = instancesOf('usd');
    const [well] = instances;
    for (const each of instances) {
      if (each !== well) each.faults.set({ share: 1, fault: { kind: 'status', status: 503 } });
    }
    const asked: string[] = [];
    const { registries } = open(rotation);
    const counts = () => new Map(instances.map((each) => [each.url, each.requests()]));

    for (let round = 0; round < 6; round += 1) {
      const before = counts();
      await ask(registries, 'usd').catch(() => undefined);
      for (const [url, count] of counts()) if (count > (before.get(url) ?? 0)) asked.push(url);
      // One at a time, in one read, each another one.
      expect([...counts()].every(([url, count]) => count - (before.get(url) ?? 0) <= 1)).toBe(true);
    }

    expect(asked).toContain(well!.url);
    expect(new Set(asked).size).toBeGreaterThan(1);
  });

  it('asks a different one next time where a read ended with a failure', async () => {
    const urls = urlsOf('usd').slice(0, 2);
    const [first, second] = instancesOf('usd');
    for (const { faults } of [first!, second!]) faults.set({ share: 1, fault: { kind: 'cut' } });
    const { registries } = open(() => ({ strategy: 'rotate', urls }));
    const order: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      await ask(registries, 'usd').catch((error: { readonly facts: { readonly url: string } }) => {
        order.push(new URL(error.facts.url).origin);
      });
    }

    // Each read asks both and ends with the other one than it began with; so the next begins with that one's opposite.
    expect(new Set(order).size).toBe(1);
  });

  it('spreads its questions', async () => {
    const { registries } = open(rotation);

    for (let round = 0; round < 40; round += 1) await registries.adminId(simnet.network.instrument('usd'));

    expect(registries.health().map(({ answered }) => answered > 0n)).toEqual([true, true, true, true]);
  });
});

/** Rests double, so that however slow the machine is, some of these fall into one. */
const ROUNDS = 12;

describe('F1: a registry that is dead', () => {
  it.each<RegistryFault>([
    { kind: 'hang' },
    { kind: 'trickle' },
    { kind: 'huge', bytes: 100 * 1024 * 1024 },
    { kind: 'cut' },
  ])('stops its own token alone, and is soon not asked any more: $kind', async (fault) => {
    const [dead] = instancesOf('usd');
    dead!.faults.set({ share: 1, fault });
    const { registries } = open((name) => ({ strategy: 'rotate', urls: [urlsOf(name)[0]!] }));

    const codes: string[] = [];
    const before = dead!.requests();
    for (let round = 0; round < ROUNDS; round += 1) {
      await ask(registries, 'usd').catch((error: { readonly code: string }) => codes.push(error.code));
      expect(await ask(registries, 'amulet')).toMatchObject({ transferKind: 'direct' });
    }

    expect(codes).toHaveLength(ROUNDS);
    expect(codes).toContain('REGISTRY_RESTING');
    expect(dead!.requests() - before).toBeLessThan(ROUNDS);
    expect(registries.health().find(({ url }) => url === dead!.url)).toMatchObject({ answered: 0n });
  });

  it('is asked once after its rest, and serves again when that is answered', async () => {
    const [ill] = instancesOf('usd');
    ill!.faults.set({ next: 3, fault: { kind: 'status', status: 503 } });
    const { registries } = open((name) => ({ strategy: 'rotate', urls: [urlsOf(name)[0]!] }));
    for (let round = 0; round < 3; round += 1) await ask(registries, 'usd').catch(() => undefined);
    expect(registries.health()[0]).toMatchObject({
      state: expect.stringMatching(/RESTING|PROBING/),
      failed: 3n,
      lastFailure: { code: 'REGISTRY_STATUS' },
    });

    await eventually(async () => expect(await ask(registries, 'usd')).toMatchObject({ transferKind: 'direct' }));

    expect(registries.health()[0]).toMatchObject({ state: 'WELL', failed: 3n, answered: 1n, restsUntil: null });
  });

  it('that is closed and opened again is found again', async () => {
    const [gone] = instancesOf('usd');
    const { registries } = open((name) => ({ strategy: 'rotate', urls: [urlsOf(name)[0]!] }));
    await ask(registries, 'usd');

    await gone!.close();
    await expect(ask(registries, 'usd')).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE', retryable: true });
    await gone!.open();

    await eventually(async () => expect(await ask(registries, 'usd')).toMatchObject({ transferKind: 'direct' }));
  });
});

describe('a rate limit', () => {
  it('of the registry is respected: after 429 it is left alone for as long as it says', async () => {
    const [busy] = instancesOf('usd');
    busy!.faults.set({ next: 1, fault: { kind: 'status', status: 429, headers: { 'retry-after': '30' } } });
    const { registries } = open((name) => ({ strategy: 'rotate', urls: [urlsOf(name)[0]!] }));
    await expect(ask(registries, 'usd')).rejects.toMatchObject({ facts: { status: 429, retryAfterMs: 30_000 } });
    const before = busy!.requests();

    await expect(ask(registries, 'usd')).rejects.toMatchObject({ code: 'REGISTRY_RESTING' });

    expect(busy!.requests()).toBe(before);
    const rests = registries.health()[0]!.restsUntil! - systemClock.nowMicros();
    expect(rests > 20_000_000n && rests <= 30_000_000n).toBe(true);
  });

  it('of ours lets a burst through and then one after another', async () => {
    const { registries } = open((name) => ({ strategy: 'rotate', urls: [urlsOf(name)[0]!] }), {
      callsPerSecondMax: 10,
    });
    const started = systemClock.nowMicros();

    await Promise.all(
      Array.from({ length: 26 }, async () => await registries.adminId(simnet.network.instrument('usd'))),
    );

    // Twenty at once, six more at ten a second.
    expect(systemClock.nowMicros() - started).toBeGreaterThan(500_000n);
  });
});
