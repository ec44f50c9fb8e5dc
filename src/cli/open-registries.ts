/** The registries and the Scan of the configuration, opened: one client for all loops of a process, so that they share its limits and what it knows of each server. */
import type { Config } from '../config/config.ts';
import { createFileToken } from '../ledger/file-token.ts';
import { createFixedToken } from '../ledger/token-source.ts';
import type { ReaderEnv } from '../scan/reader.ts';
import { createRegistries, type Registries, type SourceOf, sourcesOf } from '../scan/registries.ts';

export type RegistriesConfig = Pick<
  Config,
  | 'registries'
  | 'registryPrivate'
  | 'registryCallsPerSecond'
  | 'scan'
  | 'validatorUrl'
  | 'validatorToken'
  | 'validatorTokenFile'
>;

/** @param sourceOf where a registry is found; by the configuration alone when left out. */
export function openRegistries(
  config: RegistriesConfig,
  env: ReaderEnv,
  sourceOf: SourceOf = sourcesOf(config.registries),
): Registries {
  const { validatorUrl, validatorToken, validatorTokenFile } = config;
  const tokens =
    validatorTokenFile === null
      ? validatorToken && createFixedToken(validatorToken)
      : createFileToken({ ...env, path: validatorTokenFile });
  return createRegistries({
    clock: env.clock,
    random: env.random,
    logger: env.logger,
    sourceOf,
    scan: config.scan,
    validator: validatorUrl === null ? null : { url: validatorUrl, tokens },
    isPrivateAllowed: config.registryPrivate === 'allow',
    callsPerSecondMax: config.registryCallsPerSecond,
  });
}
