/** What the directory asks of a registry: whose it is, and what it says of one token. Read by any source, also one that is not stored yet. */
import type { ReadSource } from '../config/read-source.ts';
import type { Registries, SourceOf } from '../scan/registries.ts';
import { RegistryPermanentError, RegistryRetryableError } from '../scan/registry-http.ts';
import type { Instrument } from '../tokens/transfer-record.ts';

export type TokenMetadata = {
  readonly id: string;
  readonly name: string;
  readonly symbol: string;
  readonly decimals: number;
};

/** Every method throws RegistryRetryableError or RegistryPermanentError; asking again is safe. */
export type TokenRegistry = {
  adminId(signal?: AbortSignal): Promise<string>;
  /** Null: it knows no such instrument. */
  metadata(signal?: AbortSignal): Promise<TokenMetadata | null>;
};

export type OpenRegistry = (instrument: Instrument, source: ReadSource) => TokenRegistry;

/** @param open how servers are reached: everything but where they are. */
export function createRegistryAccess(open: (sourceOf: SourceOf) => Registries): OpenRegistry {
  return (instrument, source) => {
    const registries = open(() => source);
    return {
      adminId: async (signal) => await registries.adminId(instrument, signal),
      metadata: async (signal) => {
        try {
          const { id, name, symbol, decimals } = await registries.instrument(instrument, signal);
          return { id, name, symbol, decimals };
        } catch (error) {
          if (isUnknown(error)) return null;
          throw error;
        }
      },
    };
  };
}

function isUnknown(error: unknown): boolean {
  const isRefusal = error instanceof RegistryRetryableError || error instanceof RegistryPermanentError;
  return isRefusal && error.code === 'REGISTRY_STATUS' && error.facts['status'] === 404;
}
