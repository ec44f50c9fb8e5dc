/** The variables that point a Sluice at one participant of a simulated network. */

import { createLocalSigner, ed25519PrivateKey } from '../custody/local-signer.ts';
import type { Random } from '../env/random.ts';
import { TREASURY } from '../simnet/network.ts';
import type { RunningParticipant, Simnet } from '../simnet/simnet.ts';

/** The network's name, as SLUICE_NETWORK has it. */
export const SIMNET_NAME = 'simnet';

/** Ready for a process environment; all instruments of the network are accepted. */
export function environmentFor(
  { network }: Simnet,
  { grpcAddress }: RunningParticipant,
): Readonly<
  Record<
    | 'SLUICE_LEDGER_URL'
    | 'SLUICE_NETWORK'
    | 'SLUICE_TREASURY_PARTIES'
    | 'SLUICE_INSTRUMENTS'
    | 'SLUICE_RESTORE_MARGIN_SECONDS',
    string
  >
> {
  const instruments = network.tokens.map(({ name, instrumentId: { admin, id } }) => `${name}=${admin}/${id}`);
  return {
    SLUICE_LEDGER_URL: `http://${grpcAddress}`,
    SLUICE_NETWORK: SIMNET_NAME,
    SLUICE_TREASURY_PARTIES: network.party(TREASURY),
    SLUICE_INSTRUMENTS: instruments.join(','),
    SLUICE_RESTORE_MARGIN_SECONDS: '600', // Whoever moves the network's time on by minutes wants to see payments go on.
  };
}

const KEY_BYTES = 32;

/**
 * The further variables with which a Sluice pays out on this network. Makes a key, which the network then takes for the treasury's.
 * @param random decides the key: worth as much as the network.
 */
export async function payoutEnvironmentFor(
  { network, registries, validator }: Simnet,
  random: Random,
): Promise<
  Readonly<
    Record<
      | 'SLUICE_REGISTRIES'
      | 'SLUICE_REGISTRY_PRIVATE'
      | 'SLUICE_VALIDATOR_URL'
      | 'SLUICE_WITHDRAWAL_KEY'
      | 'SLUICE_DEV_SIGNER_SEED',
      string
    >
  >
> {
  const seed = random.bytes(KEY_BYTES);
  const { publicKey } = await createLocalSigner({ privateKey: ed25519PrivateKey(seed) }).currentKey();
  network.registerKey(TREASURY, publicKey.export({ type: 'spki', format: 'der' }));
  return {
    SLUICE_REGISTRIES: registries.map(({ admin, url }) => `${admin}=${url}`).join(','),
    SLUICE_REGISTRY_PRIVATE: 'allow',
    SLUICE_VALIDATOR_URL: validator.url,
    SLUICE_WITHDRAWAL_KEY: Buffer.from(random.bytes(KEY_BYTES)).toString('hex'),
    SLUICE_DEV_SIGNER_SEED: Buffer.from(seed).toString('hex'),
  };
}
