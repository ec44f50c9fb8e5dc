/**
 * The registries and the Scan of this installation, each read by the strategy that is set for it. Where a registry is found is configuration alone: there is no trustless way to find one.
 * Servers are known by their URL: whatever is read from one shares its rate limit, its circuit breaker and its health.
 */
import type { ConfiguredRegistry, ReadSource } from '../config/read-source.ts';
import type { TokenSource } from '../ledger/token-source.ts';
import type { Instrument, TransferRecord } from '../tokens/transfer-record.ts';
import { createSend, type Send } from './http-send.ts';
import { createInstance, type Instance, type InstanceHealth } from './instance.ts';
import { createReader, type Question, type Reader, type ReaderEnv } from './reader.ts';
import {
  createRegistryClient,
  type InstructionContext,
  type RegistryClient,
  type RegistryInstrument,
  type TransferFactoryContext,
} from './registry-client.ts';
import { createRegistryHttp, RegistryPermanentError } from './registry-http.ts';
import { createScanReads, type ScanReads } from './scan-reads.ts';
import { matterOfContext, matterOfFactory, matterOfInstrument, matterOfInstruments } from './what-matters.ts';

/** Every method throws RegistryRetryableError or RegistryPermanentError (REGISTRY_UNKNOWN: no source is set for it); asking again is always safe. */
export type Registries = {
  /** Asks for exactly this transfer, with its final inputs, amount, receiver and times: the answer is good for no other. */
  transferFactory(
    instrument: Instrument,
    transfer: TransferRecord,
    signal?: AbortSignal,
  ): Promise<TransferFactoryContext>;
  /** What it takes to accept, reject or withdraw the offer with that contract id. REGISTRY_STATUS with `facts.status` 404: the registry knows no such offer (any more, or not yet). */
  instructionContext(
    instrument: Instrument,
    instructionId: string,
    choice: 'accept' | 'reject' | 'withdraw',
    signal?: AbortSignal,
  ): Promise<InstructionContext>;
  /** Whose registry answers for the instrument. Compare with its admin. */
  adminId(instrument: Instrument, signal?: AbortSignal): Promise<string>;
  /** The metadata of one. REGISTRY_STATUS 404: not known there. */
  instrument(instrument: Instrument, signal?: AbortSignal): Promise<RegistryInstrument>;
  /** All of the admin's, up to 1,000. Read from the source that is set for the admin as a whole. */
  instruments(admin: string, signal?: AbortSignal): Promise<readonly RegistryInstrument[]>;
  /** Null where neither a validator nor a Scan is configured. */
  readonly scan: ScanReads | null;
  /** Every server that was to be asked since this client was made. */
  health(): readonly InstanceHealth[];
};

/** @returns null where none is set. `instrumentId` null: the admin's registry as a whole. */
export type SourceOf = (admin: string, instrumentId: string | null) => ReadSource | null | Promise<ReadSource | null>;

export type Validator = {
  /** `https://validator.example/api/validator`. */
  readonly url: string;
  /** Sent to the validator and to nobody else; null: it asks for none. */
  readonly tokens: TokenSource | null;
};

export type RegistriesOptions = ReaderEnv & {
  /** Asked at every read, so that it may change while we run. */
  readonly sourceOf: SourceOf;
  /** Where Canton Coin's network is looked up; null: at the validator's proxy, if there is one. */
  readonly scan: ReadSource | null;
  readonly validator: Validator | null;
  /** Whether registries may have loopback and private addresses, and speak plain http. The validator, which is ours, always may. */
  readonly isPrivateAllowed: boolean;
  /** To one server. */
  readonly callsPerSecondMax: number;
  /** Of one exchange; 5 s when left out, so that a rotation has time for a second instance. */
  readonly timeoutMs?: number;
  /** For tests, instead of the network's. */
  readonly send?: Send;
};

const TIMEOUT_MS = 5_000;
const INSTANCES_MAX = 1_000; // Sources may change for ever; what is forgotten is only health.

export function createRegistries(options: RegistriesOptions): Registries {
  const { clock, random, logger, sourceOf, validator, callsPerSecondMax, timeoutMs = TIMEOUT_MS } = options;
  const sends = {
    ours: options.send ?? createSend({ isPrivateAllowed: true }),
    theirs: options.send ?? createSend({ isPrivateAllowed: options.isPrivateAllowed }),
  };
  const instances = new Map<string, Instance>();
  const readers = new Map<string, Reader>();

  function instanceAt(baseUrl: string, owner: 'ours' | 'theirs'): Instance {
    // A registry that claims the validator's own URL is not the validator, and gets no token.
    const key = `${owner} ${baseUrl}`;
    const known = instances.get(key);
    if (known !== undefined) return known;
    const tokens = owner === 'ours' ? (validator?.tokens ?? null) : null;
    const http = createRegistryHttp({
      baseUrl,
      send: sends[owner],
      clock,
      ...(tokens === null ? {} : { tokens }),
      timeoutMs,
    });
    const created = createInstance({ http, clock, random, perSecondMax: callsPerSecondMax });
    if (instances.size >= INSTANCES_MAX) instances.clear();
    instances.set(key, created);
    return created;
  }

  function instancesOf(source: ReadSource, proxyPath: string): readonly Instance[] {
    if (source.strategy !== 'proxy') return source.urls.map((url) => instanceAt(trimmed(url), 'theirs'));
    if (validator === null) {
      throw new RegistryPermanentError(
        'REGISTRY_UNKNOWN',
        'The Scan proxy is to be read, and no validator is configured.',
      );
    }
    return [instanceAt(`${trimmed(validator.url)}${proxyPath}`, 'ours')];
  }

  /** A reader remembers which instance failed last, so each token has its own. */
  function readerFor(token: string, source: ReadSource, proxyPath: string): Reader {
    const key = JSON.stringify([token, source, proxyPath]);
    const known = readers.get(key);
    if (known !== undefined) return known;
    const created = createReader(source, instancesOf(source, proxyPath), { clock, random, logger });
    if (readers.size >= INSTANCES_MAX) readers.clear();
    readers.set(key, created);
    return created;
  }

  const scanSource: ReadSource | null = options.scan ?? (validator === null ? null : { strategy: 'proxy' });

  async function read<T>(
    { admin, id }: { readonly admin: string; readonly id: string | null },
    question: Omit<Question<T>, 'ask'> & {
      readonly ask: (client: RegistryClient, signal: AbortSignal) => Promise<T>;
    },
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const source = await sourceOf(admin, id);
    if (source === null) {
      throw new RegistryPermanentError('REGISTRY_UNKNOWN', 'No registry is configured for this instrument.', {
        admin,
        id,
      });
    }
    const reader = readerFor(JSON.stringify([admin, id]), source, REGISTRY_OF_PROXY);
    const { name, matter, ask } = question;
    return await reader.read(
      { name, matter, ask: async (http, signalOfOne) => await ask(createRegistryClient(http), signalOfOne) },
      signal,
    );
  }

  return {
    transferFactory: async (instrument, transfer, signal) =>
      await read(
        instrument,
        {
          name: 'transfer factory',
          ask: (client, one) => client.transferFactory(transfer, one),
          matter: matterOfFactory,
        },
        signal,
      ),
    instructionContext: async (instrument, instructionId, choice, signal) =>
      await read(
        instrument,
        {
          name: `context to ${choice}`,
          ask: (client, one) => client.instructionContext(instructionId, choice, one),
          matter: matterOfContext,
        },
        signal,
      ),
    adminId: async (instrument, signal) =>
      await read(
        instrument,
        { name: 'admin', ask: (client, one) => client.adminId(one), matter: (admin) => admin },
        signal,
      ),
    instrument: async (instrument, signal) =>
      await read(
        instrument,
        { name: 'instrument', ask: (client, one) => client.instrument(instrument.id, one), matter: matterOfInstrument },
        signal,
      ),
    instruments: async (admin, signal) =>
      await read(
        { admin, id: null },
        { name: 'instruments', ask: (client, one) => client.instruments(one), matter: matterOfInstruments },
        signal,
      ),
    scan:
      scanSource === null
        ? null
        : createScanReads(scanSource.strategy === 'proxy' ? 'proxy' : 'scan', () => readerFor('scan', scanSource, '')),
    health: () => [...instances.values()].map((instance) => instance.health()),
  };
}

/** What the proxy serves of Canton Coin's registry lies below this. */
const REGISTRY_OF_PROXY = '/v0/scan-proxy';

/** @returns the entry of the instrument, else that of its admin. */
export function sourcesOf(
  configured: readonly ConfiguredRegistry[],
): (admin: string, instrumentId: string | null) => ReadSource | null {
  const sources = new Map(configured.map(({ admin, instrumentId, source }) => [keyOf(admin, instrumentId), source]));
  return (admin, instrumentId) => sources.get(keyOf(admin, instrumentId)) ?? sources.get(keyOf(admin, null)) ?? null;
}

function keyOf(admin: string, instrumentId: string | null): string {
  return JSON.stringify([admin, instrumentId]);
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '');
}
