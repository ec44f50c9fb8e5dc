/** What may be decided about a token, what holds where nobody decided, and what cannot be taken. */

import { formatReadSource, parseReadSource, type ReadSource } from '../config/read-source.ts';
import type { Token, TokenPolicy } from '../read/tokens.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';
import { TokenRefusal } from './token-refusal.ts';

/** Canton Coin refuses offers that stand longer (`tokenStandardMaxTTL`, since Splice 0.6.11). */
const AMULET_VALIDITY_SECONDS_MAX = 90 * 86_400;
const VALIDITY_SECONDS_MIN = 60;
const VALIDITY_SECONDS_MAX = 365 * 86_400;
const URL_LENGTH_MAX = 500;
const PACKAGES_MAX = 50;

/** Deposits are credited, offers are taken, payments are direct only: an offer leaves the money locked until somebody else acts. */
export const DEFAULT_POLICY: TokenPolicy = {
  creditsDeposits: true,
  acceptsOffers: true,
  depositMin: '0',
  paysDirect: true,
  paysOffers: false,
  offerValiditySeconds: 7 * 86_400,
  returnFee: '0',
};

const STANDARD_PACKAGES = [
  'splice-api-token-metadata-v1',
  'splice-api-token-holding-v1',
  'splice-api-token-transfer-instruction-v1',
];

/** Names of packages without which a host of the treasury cannot take part in transfers. Of other registries the standard's alone are known. */
export function packagesOf(implementation: Token['implementation']): readonly string[] {
  switch (implementation) {
    case 'SPLICE_AMULET':
      return [...STANDARD_PACKAGES, 'splice-amulet'];
    case 'UTILITY_REGISTRY':
      return [...STANDARD_PACKAGES, 'utility-registry-holding-v0', 'utility-registry-v0', 'utility-registry-app-v0'];
    case 'OTHER':
      return STANDARD_PACKAGES;
  }
}

/** Whose code moves an instrument, where nobody says: Canton Coin by its id, anything else by what the standard promises. */
export function implementationOf(instrumentId: string): Token['implementation'] {
  return instrumentId === 'Amulet' ? 'SPLICE_AMULET' : 'OTHER';
}

/** @throws TokenRefusal TOKEN_INPUT_INVALID with the field. */
export function demandPolicy(policy: TokenPolicy, implementation: Token['implementation']): TokenPolicy {
  const { offerValiditySeconds: validity } = policy;
  const max = implementation === 'SPLICE_AMULET' ? AMULET_VALIDITY_SECONDS_MAX : VALIDITY_SECONDS_MAX;
  if (!Number.isInteger(validity) || validity < VALIDITY_SECONDS_MIN || validity > max) {
    throw invalid('offerValiditySeconds', `Expected ${VALIDITY_SECONDS_MIN} to ${max} seconds.`);
  }
  return {
    ...policy,
    depositMin: demandAmount('depositMin', policy.depositMin),
    returnFee: demandAmount('returnFee', policy.returnFee),
  };
}

/** The same rules as for the configuration's sources. @throws TokenRefusal TOKEN_INPUT_INVALID. */
export function demandRegistry(source: ReadSource): ReadSource {
  const urls = source.strategy === 'proxy' ? [] : source.urls;
  const isBroken = urls.some((url) => url.includes('|') || url.length > URL_LENGTH_MAX);
  const parsed = isBroken ? null : parseReadSource(formatReadSource(source));
  if (parsed !== null && formatReadSource(parsed) === formatReadSource(source)) return source;
  throw invalid(
    'registry',
    'Expected http or https URLs without credentials, each once, and for a quorum more than twice as many as may be wrong.',
  );
}

/** @throws TokenRefusal TOKEN_INPUT_INVALID. */
export function demandPackages(packages: readonly string[]): readonly string[] {
  const isName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$/.test(name);
  if (packages.length > PACKAGES_MAX || !packages.every(isName)) {
    throw invalid('packages', `Expected at most ${PACKAGES_MAX} names of packages, as a Daml project has them.`);
  }
  return [...new Set(packages)];
}

/** @throws TokenRefusal TOKEN_INPUT_INVALID: empty, too long, or not storable. */
export function demandText(field: string, text: string, bytesMax = 255): string {
  const bytes = Buffer.byteLength(text);
  if (bytes >= 1 && bytes <= bytesMax && text.isWellFormed() && !text.includes('\0')) return text;
  throw invalid(field, `Expected 1 to ${bytesMax} bytes of text.`);
}

export function invalid(field: string, message: string): TokenRefusal {
  return new TokenRefusal('TOKEN_INPUT_INVALID', message, field);
}

function demandAmount(field: string, text: string): string {
  let units: bigint;
  try {
    units = parseAmount(text);
  } catch {
    throw invalid(field, 'Expected a decimal number with at most ten decimals.');
  }
  if (units < 0n) throw invalid(field, 'Expected no negative number.');
  return formatAmount(units);
}
