/**
 * Bearer tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4). A token is renewed well before it expires; while the identity provider is away, the one at hand goes on as
 * long as it is valid. However many calls need one, one request is under way at a time.
 */
import { z } from 'zod';
import { createSecret, type Secret } from '../config/secret.ts';
import { type Clock, type Micros, microsToMillis, millisToMicros } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { type RetryPolicy, retry } from '../env/retry.ts';
import type { TokenSource } from './token-source.ts';

/** The standard's `fetch`, as far as it is used. */
export type TokenFetch = (
  url: string,
  init: {
    readonly method: 'POST';
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly redirect: 'error';
    readonly signal: AbortSignal;
  },
) => Promise<Response>;

export type OAuthTokenOptions = {
  /** The token endpoint. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** What Canton's Ledger API expects as `aud`; null: not asked for. */
  readonly audience: string | null;
  readonly scope: string | null;
  readonly fetch: TokenFetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

export type RenewedToken = TokenSource & {
  /** Renews until `signal` aborts, so that a token is fresh also when nobody asks for a while. */
  run(signal: AbortSignal): Promise<void>;
};

const TIMEOUT_MS = 5_000;
const ANSWER_CHARACTERS_MAX = 64 * 1024;
const LIFE_SECONDS_ASSUMED = 300; // `expires_in` may be left out; five minutes is the longest life that Canton accepts by default.
/** Of a token's life; the rest is there for a provider that is away. */
const RENEWED_AFTER = 2 / 3;
/** A token is not used in its last seconds: it travels, and clocks differ. */
const MARGIN_MICROS: Micros = millisToMicros(2_000);
const TRIES: RetryPolicy = { attemptsMax: 3, delayMsMin: 200, delayMsMax: 1_000 };
const PAUSE_MS = 5_000; // Between renewals that failed.

const ANSWER = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number().positive().optional() });

type Known = { readonly token: Secret; readonly renewAt: Micros; readonly expiresAt: Micros };

/** Asks for the first token when the first call needs it. */
export function createOAuthToken(options: OAuthTokenOptions): RenewedToken {
  const { clock, random, logger } = options;
  let known: Known | null = null;
  let underWay: Promise<Known> | null = null;
  let restsUntil: Micros = 0n;

  const usable = (): Known | null => (known !== null && clock.nowMicros() < known.expiresAt ? known : null);

  /** @throws RetryableError TOKEN_UNAVAILABLE. */
  async function renew(): Promise<Known> {
    underWay ??= ask();
    return await underWay;
  }

  async function ask(): Promise<Known> {
    try {
      const env = { clock, random, signal: new AbortController().signal };
      known = await retry(() => requestToken(options), TRIES, env);
      return known;
    } catch (error) {
      restsUntil = clock.nowMicros() + millisToMicros(PAUSE_MS);
      logger.warn('The token for the participant was not renewed.', {
        why: messageOf(error),
        isOneLeft: usable() !== null,
      });
      throw error;
    } finally {
      underWay = null;
    }
  }

  const isDue = ({ renewAt }: Known): boolean => clock.nowMicros() >= renewAt && clock.nowMicros() >= restsUntil;

  return {
    token: async () => {
      const present = usable();
      if (present === null) return (await renew()).token;
      // Its failure is logged, and leaves a token that is good for a while.
      if (isDue(present)) void renew().catch(() => undefined);
      return present.token;
    },
    refused: (token) => {
      if (known?.token === token) known = null;
    },
    run: async (signal) => {
      while (!signal.aborted) {
        const present = usable();
        if (present === null || isDue(present)) await renew().catch(() => undefined);
        const next = known === null ? null : known.renewAt - clock.nowMicros();
        await clock.sleep(next === null || next <= 0n ? PAUSE_MS : microsToMillis(next) + 1, signal);
      }
    },
  };
}

async function requestToken(options: OAuthTokenOptions): Promise<Known> {
  const { url, clock } = options;
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: options.clientId,
    client_secret: options.clientSecret.reveal(),
    ...(options.audience !== null && { audience: options.audience }),
    ...(options.scope !== null && { scope: options.scope }),
  });
  const asked = clock.nowMicros();
  const deadline = new AbortController();
  const answered = new AbortController();
  void clock.sleep(TIMEOUT_MS, answered.signal).then(() => deadline.abort());
  try {
    const response = await options.fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: form.toString(),
      redirect: 'error',
      signal: deadline.signal,
    });
    const text = await response.text();
    // The answer holds the token, or repeats what we sent: it is never part of a message.
    if (response.status !== 200) throw unavailable(`It answered ${response.status}.`, url);
    if (text.length > ANSWER_CHARACTERS_MAX) throw unavailable('Its answer is too long.', url);
    return tokenOf(text, asked, url);
  } catch (error) {
    if (error instanceof RetryableError) throw error;
    throw unavailable(deadline.signal.aborted ? 'It did not answer in time.' : messageOf(error), url);
  } finally {
    answered.abort();
  }
}

function tokenOf(text: string, asked: Micros, url: string): Known {
  const answer = ANSWER.safeParse(parseJson(text));
  if (!answer.success) throw unavailable('Its answer holds no token.', url);
  const life = millisToMicros((answer.data.expires_in ?? LIFE_SECONDS_ASSUMED) * 1_000);
  return {
    token: createSecret(answer.data.access_token),
    renewAt: asked + BigInt(Math.trunc(Number(life) * RENEWED_AFTER)),
    expiresAt: asked + (life > 2n * MARGIN_MICROS ? life - MARGIN_MICROS : life),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unavailable(why: string, url: string): RetryableError {
  return new RetryableError('TOKEN_UNAVAILABLE', `The identity provider gave no token. ${why}`, { url });
}
