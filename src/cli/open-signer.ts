/** Who signs for this process: a signer elsewhere, or for development a key in here. Never one in the place of the other. */
import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { createLocalSigner, ed25519PrivateKey } from '../custody/local-signer.ts';
import type { Signer } from '../custody/signer.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { createRemoteSigner, keysOfParties } from '../signer/remote-signer.ts';
import type { SignerAddress } from '../signer/signer-exchange.ts';

export type SignerConfig = Pick<
  Config,
  'signerSeed' | 'signer' | 'signerCert' | 'signerCertKey' | 'signerCa' | 'signerKeys'
>;

/**
 * @returns null where this installation signs nothing.
 * @throws PermanentError SIGNER_TLS_FILE for a certificate that cannot be read. Whether the signer is there shows when it is asked.
 */
export function openSigner(
  config: SignerConfig,
  env: { readonly clock: Clock; readonly random: Random },
): Signer | null {
  if (config.signer !== null) {
    return createRemoteSigner({
      ...env,
      address: signerAddressOf(config.signer, config),
      registeredKeys: keysOfParties(config.signerKeys),
    });
  }
  if (config.signerSeed === null) return null;
  return createLocalSigner({ privateKey: ed25519PrivateKey(Buffer.from(config.signerSeed.reveal(), 'hex')) });
}

/** @throws PermanentError SIGNER_TLS_FILE. */
export function signerAddressOf(
  place: NonNullable<Config['signer']>,
  files: Pick<Config, 'signerCert' | 'signerCertKey' | 'signerCa'>,
): SignerAddress {
  if (place.kind === 'UNIX') return place;
  return {
    ...place,
    cert: readPem('SLUICE_SIGNER_TLS_CERT', files.signerCert),
    key: readPem('SLUICE_SIGNER_TLS_KEY', files.signerCertKey),
    ca: readPem('SLUICE_SIGNER_TLS_CA', files.signerCa),
  };
}

export function readPem(variable: string, path: string | null): string {
  try {
    return readFileSync(path ?? '', 'utf8');
  } catch (error) {
    throw new PermanentError('SIGNER_TLS_FILE', `${variable}: expected a readable file: ${messageOf(error)}`, { path });
  }
}
