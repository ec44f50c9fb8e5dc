/** The registries of the instruments we pay out, by their admin: from configuration alone, since there is no trustless way to find one. */
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Instrument, TransferRecord } from '../tokens/transfer-record.ts';
import { createRegistryClient, type TransferFactoryContext } from './registry-client.ts';
import type { Fetch } from './registry-http.ts';

export type Registries = {
  /** @throws PermanentError REGISTRY_UNKNOWN where none is configured for the admin, and as the registry client does. */
  transferFactory(instrument: Instrument, transfer: TransferRecord): Promise<TransferFactoryContext>;
};

/** @param configured each admin once. */
export function createRegistries(
  configured: readonly { readonly admin: string; readonly url: string }[],
  env: { readonly fetch: Fetch; readonly clock: Clock },
): Registries {
  const clients = new Map(configured.map(({ admin, url }) => [admin, createRegistryClient({ ...env, baseUrl: url })]));
  return {
    transferFactory: async ({ admin }, transfer) => {
      const client = clients.get(admin);
      if (client === undefined) {
        throw new PermanentError('REGISTRY_UNKNOWN', 'No registry is configured for the admin of this instrument.', {
          admin,
        });
      }
      return client.transferFactory(transfer);
    },
  };
}
