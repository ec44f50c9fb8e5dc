/** The environment, once, as one validated and frozen object. Nothing else of the project reads environment variables. */
import { readFileSync } from 'node:fs';
import { messageOf, PermanentError } from '../env/errors.ts';
import { CONFIG_KEYS, type ConfigKey } from './keys.ts';

export type ConfigName = keyof typeof CONFIG_KEYS;
export type Config = {
  readonly [Name in ConfigName]: (typeof CONFIG_KEYS)[Name] extends ConfigKey<infer T> ? T : never;
};

const PREFIX = 'SLUICE_';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Everything that is wrong with the environment, at once. `faults` name the variable and what was expected; secrets' values never. */
export class ConfigError extends PermanentError {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super('CONFIG_INVALID', `The configuration is not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`, {
      faults,
    });
    this.faults = faults;
  }
}

/**
 * @param names what the caller needs, e.g. a migration just the database; others are neither demanded nor checked. Default: everything.
 * @returns frozen, deeply. Keys that are optional and unset are null.
 * @throws ConfigError with all faults: missing and malformed values, unreadable `_FILE`s, unknown `SLUICE_*` variables, and values that do
 * not go together.
 */
export function loadConfig(environment: Environment): Config;
export function loadConfig<Name extends ConfigName>(
  environment: Environment,
  names: readonly Name[],
): Pick<Config, Name>;
export function loadConfig(environment: Environment, names?: readonly ConfigName[]): Partial<Config> {
  const faults: string[] = unknownVariables(environment);
  const config: Record<string, unknown> = {};
  for (const [name, key] of Object.entries(CONFIG_KEYS)) {
    if (names !== undefined && !names.some((wanted) => wanted === name)) continue;
    const result = readKey(environment, key);
    if ('fault' in result) faults.push(result.fault);
    else config[name] = result.value;
  }
  // The values are as the keys' schemas made them; the type only says so name by name.
  const loaded = config as Partial<Config>;
  faults.push(...conflicts(loaded));
  if (faults.length > 0) throw new ConfigError(faults);
  return freezeDeep(loaded);
}

type Read = { readonly value: unknown } | { readonly fault: string };

function readKey(environment: Environment, key: ConfigKey): Read {
  const text = readText(environment, key);
  if ('fault' in text) return text;
  const given = text.value === '' ? key.default : text.value;
  if (given === null) {
    return key.isRequired ? { fault: `${key.variable} is required: expected ${key.type}` } : { value: null };
  }
  const parsed = key.schema.safeParse(given);
  if (parsed.success) return { value: parsed.data };
  const reason = parsed.error.issues.map((issue) => issue.message).join('; ');
  return { fault: `${key.variable}: ${reason}${key.isSecret ? '' : `, got ${JSON.stringify(given)}`}` };
}

/** @returns '' for unset: a variable set to nothing is how a compose file or a chart leaves one out. */
function readText(environment: Environment, key: ConfigKey): { readonly value: string } | { readonly fault: string } {
  const direct = environment[key.variable] ?? '';
  const file = key.isSecret ? (environment[`${key.variable}_FILE`] ?? '') : '';
  if (file === '') return { value: direct };
  if (direct !== '') return { fault: `${key.variable} and ${key.variable}_FILE are both set: expected one of them` };
  try {
    // Editors and `echo` end a file with a newline, which is no part of the secret.
    return { value: readFileSync(file, 'utf8').replace(/\r?\n$/, '') };
  } catch (error) {
    return { fault: `${key.variable}_FILE: expected a readable file: ${messageOf(error)}` };
  }
}

/** What each key accepts by itself and cannot be meant together. */
function conflicts(config: Partial<Config>): readonly string[] {
  const faults: string[] = [];
  const isOpen = config.apiKeys?.length === 0 && !config.oidcIssuers?.length && config.databaseKeys !== true;
  if (isOpen && config.host !== undefined && !isLoopback(config.host)) {
    faults.push(
      `SLUICE_HOST: without SLUICE_API_KEYS everybody is let in, so expected a loopback address, got ${JSON.stringify(config.host)}`,
    );
  }
  const { oidcIssuers = [] } = config;
  if (oidcIssuers.length > 0 && config.oidcAudience === null) {
    faults.push(
      'SLUICE_OIDC_AUDIENCE is required with SLUICE_OIDC_ISSUERS: a token for somebody else must not be taken',
    );
  }
  for (const wanted of config.oidcCustomerIssuers ?? []) {
    if (oidcIssuers.some(({ name }) => name === wanted)) continue;
    faults.push(`SLUICE_OIDC_CUSTOMER_ISSUERS: expected names of SLUICE_OIDC_ISSUERS, got ${JSON.stringify(wanted)}`);
  }
  if (oidcIssuers.length !== 1 && config.oidcKeysUrl != null) {
    faults.push('SLUICE_OIDC_KEYS_URL: expected with one issuer only');
  }
  if (
    config.oidcPrivate === 'refuse' &&
    [...oidcIssuers.map(({ url }) => url), config.oidcKeysUrl ?? ''].some((url) => url.startsWith('http:'))
  ) {
    faults.push('SLUICE_OIDC_ISSUERS: plain http needs SLUICE_OIDC_PRIVATE=allow');
  }
  if (config.databaseUrl === null && config.role !== undefined && config.role !== 'all') {
    faults.push(
      `DATABASE_URL is required with SLUICE_ROLE=${config.role}: an embedded database serves one process only`,
    );
  }
  const { ledgerParticipants: participants = [], ledgerUrls = [] } = config;
  if (participants.length > 0 && participants.length !== ledgerUrls.length) {
    faults.push(
      `SLUICE_LEDGER_PARTICIPANTS: expected one for each of the ${ledgerUrls.length} URLs of SLUICE_LEDGER_URL, got ${participants.length}`,
    );
  }
  const oauth = [config.oauthUrl, config.oauthClientId, config.oauthClientSecret];
  if (oauth.some((part) => part === null) && oauth.some((part) => part !== null && part !== undefined)) {
    faults.push(
      'SLUICE_LEDGER_OAUTH_URL, SLUICE_LEDGER_OAUTH_CLIENT_ID and SLUICE_LEDGER_OAUTH_CLIENT_SECRET: expected all three or none',
    );
  }
  if (config.trustedDocuments === null && (config.trustedDocumentsFor ?? 'nobody') !== 'nobody') {
    faults.push(`SLUICE_TRUSTED_DOCUMENTS is required with SLUICE_TRUSTED_DOCUMENTS_FOR=${config.trustedDocumentsFor}`);
  }
  const screening = [config.screeningUrl, config.screeningSecret];
  if (screening.every((part) => part !== undefined) && isGiven(screening[0]) !== isGiven(screening[1])) {
    faults.push('SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET: expected both or none');
  }
  if (config.depositScreening === 'on' && config.screeningUrl === null && config.role !== 'api') {
    faults.push('SLUICE_SCREENING_URL is required with SLUICE_DEPOSIT_SCREENING=on: nobody else lets a deposit pass');
  }
  if (isGiven(config.ledgerToken) && isGiven(config.oauthUrl)) {
    faults.push('SLUICE_LEDGER_TOKEN and SLUICE_LEDGER_OAUTH_URL are both set: expected one of them');
  }
  const proxied = [config.scan, ...(config.registries?.map(({ source }) => source) ?? [])];
  if (config.validatorUrl === null && proxied.some((source) => source?.strategy === 'proxy')) {
    faults.push('SLUICE_VALIDATOR_URL is required where SLUICE_REGISTRIES or SLUICE_SCAN say `proxy`');
  }
  faults.push(...signerConflicts(config));
  return faults;
}

function signerConflicts(config: Partial<Config>): readonly string[] {
  const { withdrawalKey, signerSeed, signer, signerCert, signerCertKey, signerCa } = config;
  const faults: string[] = [];
  if (isGiven(signer) && isGiven(signerSeed)) {
    faults.push(
      'SLUICE_SIGNER_URL and SLUICE_DEV_SIGNER_SEED are both set: expected the key to be with the signer alone',
    );
  } else if (withdrawalKey !== undefined && signerSeed !== undefined) {
    const signs = isGiven(signerSeed) || isGiven(signer);
    if (signs !== isGiven(withdrawalKey)) {
      faults.push(
        'SLUICE_WITHDRAWAL_KEY and SLUICE_SIGNER_URL (or SLUICE_DEV_SIGNER_SEED): expected both (withdrawals on) or neither (off)',
      );
    }
  }
  if (signer?.kind === 'TLS' && [signerCert, signerCertKey, signerCa].includes(null)) {
    faults.push(
      'SLUICE_SIGNER_TLS_CERT, SLUICE_SIGNER_TLS_KEY and SLUICE_SIGNER_TLS_CA are required where SLUICE_SIGNER_URL is https',
    );
  }
  return faults;
}

function isGiven(value: unknown): boolean {
  return value !== null && value !== undefined;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function unknownVariables(environment: Environment): string[] {
  const known = Object.values(CONFIG_KEYS).flatMap((key) =>
    key.isSecret ? [key.variable, `${key.variable}_FILE`] : [key.variable],
  );
  return Object.keys(environment)
    .filter((variable) => variable.startsWith(PREFIX) && !known.includes(variable))
    .sort()
    .map((variable) => {
      const nearest = known
        .map((name) => ({ name, distance: editDistance(variable, name) }))
        .sort((a, b) => a.distance - b.distance)[0];
      // Beyond a third of what follows the prefix it is no slip of the finger.
      const isLikely = nearest !== undefined && nearest.distance <= (variable.length - PREFIX.length) / 3;
      return `${variable} is not known${isLikely ? `: did you mean ${nearest.name}?` : ''}`;
    });
}

/** Levenshtein: single-character insertions, deletions and replacements. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

function freezeDeep<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freezeDeep(member);
  }
  return value;
}
