/**
 * The keys of one identity provider. They are fetched every few minutes, whoever asks; so a key that was taken back is refused that much later at most. While the provider is away the known ones are believed, up to a bound,
 * and no new ones. A token with a key that is not known makes us look once more, at most every 30 s however many such tokens come: whoever makes them up cannot have us call the provider in a storm, nor wait for it.
 */
import { type CryptoKey, createLocalJWKSet, type JWK, type JWTHeaderParameters } from 'jose';
import type { Clock, Micros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';

/** Fetches the keys: what the provider says, not looked at yet. */
export type FetchKeys = (signal: AbortSignal) => Promise<unknown>;

export type IssuerKeys = {
  /** @returns null: no key of that name is known for that algorithm, or none is believed any more. */
  find(header: { readonly alg: string; readonly kid: string }): Promise<FoundKey | null>;
  /** Whether a key of that name is known and believed; fetches nothing. */
  isKnown(kid: string): boolean;
  /** Seconds since the keys were fetched; null: never. */
  ageSeconds(): number | null;
  /** Keeps them up to date until `signal` aborts. */
  run(): Promise<void>;
};

export type FoundKey = {
  readonly key: CryptoKey;
  /** False: it was taken back since, also where another one has its name now. */
  isStanding(): boolean;
};

export const COOLDOWN_SECONDS = 30;
const FETCH_TIMEOUT_MS = 5_000;
const KEYS_MAX = 100;
const RSA_BITS_MIN = 2_048;

type Known = {
  /** By name: the key as it was published. */
  readonly kids: ReadonlyMap<string, string>;
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly fetchedAt: Micros;
};

export function createIssuerKeys(options: {
  readonly issuer: string;
  readonly fetchKeys: FetchKeys;
  readonly ageSeconds: number;
  readonly staleSeconds: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): IssuerKeys {
  const { issuer, fetchKeys, clock, logger, signal } = options;
  let known: Known | null = null;
  let triedAt: Micros | null = null;
  let fetching: Promise<void> | null = null;

  // The wall clock may be set back: then what seems to come is long past.
  const secondsSince = (at: Micros): number => Math.abs(Number((clock.nowMicros() - at) / 1_000_000n));
  const believed = (): Known | null =>
    known === null || secondsSince(known.fetchedAt) > options.staleSeconds ? null : known;

  async function fetchNow(): Promise<void> {
    const startedAt = clock.nowMicros();
    triedAt = startedAt;
    const ending = new AbortController();
    const tooLate = new AbortController();
    const timer = clock.sleep(FETCH_TIMEOUT_MS, ending.signal).then(() => tooLate.abort());
    try {
      const usable = usableKeys(await fetchKeys(AbortSignal.any([signal, tooLate.signal])));
      known = {
        kids: new Map(usable.map((key) => [key.kid ?? '', textOf(key)])),
        find: createLocalJWKSet({ keys: usable }),
        fetchedAt: startedAt,
      };
    } catch (error) {
      if (!signal.aborted) {
        logger.warn('The keys of an identity provider could not be fetched; the known ones are believed for a while.', {
          issuer,
          why: messageOf(error),
          ageSeconds: known === null ? null : secondsSince(known.fetchedAt),
        });
      }
    } finally {
      ending.abort();
      await timer;
    }
  }

  /** One fetch at a time, and none within the cooldown of the one before. */
  async function fetchOnce(): Promise<void> {
    if (fetching === null) {
      if (triedAt !== null && secondsSince(triedAt) < COOLDOWN_SECONDS) return;
      fetching = fetchNow().finally(() => {
        fetching = null;
      });
    }
    await fetching;
  }

  return {
    isKnown: (kid) => believed()?.kids.has(kid) === true,
    ageSeconds: () => (known === null ? null : secondsSince(known.fetchedAt)),
    find: async ({ alg, kid }) => {
      if (believed()?.kids.has(kid) !== true) await fetchOnce();
      const keys = believed();
      const published = keys?.kids.get(kid);
      if (keys === null || published === undefined) return null;
      try {
        const header: JWTHeaderParameters = { alg, kid };
        const key = await keys.find(header);
        return { key, isStanding: () => believed()?.kids.get(kid) === published };
      } catch {
        // Of another algorithm than the token says.
        return null;
      }
    },
    run: async () => {
      while (!signal.aborted) {
        await fetchOnce();
        const isFresh = known !== null && secondsSince(known.fetchedAt) < options.ageSeconds;
        await clock.sleep((isFresh ? options.ageSeconds : COOLDOWN_SECONDS) * 1_000, signal);
      }
    },
  };
}

/** Those with which a signature of ours can be verified. A name that two keys have is nobody's: which one was meant cannot be told. */
function usableKeys(document: unknown): JWK[] {
  if (typeof document !== 'object' || document === null || !('keys' in document) || !Array.isArray(document.keys)) {
    throw new Error('Not a set of keys.');
  }
  const keys: JWK[] = document.keys.slice(0, KEYS_MAX).filter(isUsable);
  return keys.filter(({ kid }) => keys.filter((other) => other.kid === kid).length === 1);
}

/** What makes it that key and no other, whatever else is said of it. @see RFC 7638, section 3.2. */
function textOf({ kty, crv, x, y, n, e }: JWK): string {
  return JSON.stringify([kty, crv, x, y, n, e]);
}

function isUsable(candidate: unknown): candidate is JWK {
  if (typeof candidate !== 'object' || candidate === null) return false;
  const { kty, kid, use, crv, n, k, d }: Record<string, unknown> = { ...candidate };
  if (typeof kid !== 'string' || kid === '' || k !== undefined || d !== undefined) return false;
  if (use !== undefined && use !== 'sig') return false;
  if (kty === 'RSA') return typeof n === 'string' && Buffer.from(n, 'base64url').length * 8 >= RSA_BITS_MIN;
  return (kty === 'EC' && crv === 'P-256') || (kty === 'OKP' && crv === 'Ed25519');
}
