/**
 * One HTTP exchange with a registry, which is somebody else's server: bounded in time and size, never redirected, without any credentials of
 * ours, and every failure one of two kinds.
 *
 * What may be tried again follows the exchange guide of the Canton Network: every status but 401, 403, 500 and 501. An answer that is no
 * answer (not JSON, too large, another shape) may be tried again too: one instance of a registry may be ill while the others are well.
 */
import type { Clock } from '../env/clock.ts';
import { type ErrorFacts, messageOf, PermanentError, RetryableError } from '../env/errors.ts';

/** Codes: REGISTRY_UNREACHABLE, REGISTRY_TIMEOUT, REGISTRY_ABORTED, REGISTRY_STATUS, REGISTRY_ANSWER_TOO_LARGE, REGISTRY_ANSWER_INVALID. */
export class RegistryRetryableError extends RetryableError {}
/** Codes: REGISTRY_STATUS, REGISTRY_REDIRECTED, REGISTRY_URL_INVALID. */
export class RegistryPermanentError extends PermanentError {}

/** The standard's `fetch`, as far as it is used. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly redirect: 'manual';
    readonly signal: AbortSignal;
  },
) => Promise<Response>;

export type RegistryHttp = {
  /** @param path begins with `/registry`. @returns parsed JSON, of any shape. */
  get(path: string, signal?: AbortSignal): Promise<unknown>;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<unknown>;
};

export type RegistryHttpOptions = {
  /** `http` or `https`, may have a path. */
  readonly baseUrl: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** For the whole exchange, the body included. */
  readonly timeoutMs?: number;
  readonly bodyBytesMax?: number;
};

const TIMEOUT_MS = 10_000; // Scan answers in under a second; a prepared withdrawal waits for this.
const BODY_BYTES_MAX = 1024 * 1024; // A context with 100 disclosed contracts of 2 kB each fits several times.
const PERMANENT_STATUS: ReadonlySet<number> = new Set([401, 403, 500, 501]);
const ERROR_TEXT_MAX = 300;

/** @throws RegistryPermanentError REGISTRY_URL_INVALID for another scheme, or credentials in the URL. */
export function createRegistryHttp(options: RegistryHttpOptions): RegistryHttp {
  const { fetch, clock, timeoutMs = TIMEOUT_MS, bodyBytesMax = BODY_BYTES_MAX } = options;
  const baseUrl = checkedBaseUrl(options.baseUrl);

  const exchange = async (
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    caller: AbortSignal | undefined,
  ): Promise<unknown> => {
    const facts = { url: `${baseUrl}${path}`, method };
    const deadline = new AbortController();
    const signal = caller === undefined ? deadline.signal : AbortSignal.any([deadline.signal, caller]);
    const waiting = new AbortController();
    // When the exchange is over first, `waiting` ends the sleep, and aborting what is done does nothing.
    void clock.sleep(timeoutMs, waiting.signal).then(() => deadline.abort());
    try {
      const response = await fetch(facts.url, {
        method,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal,
      });
      return await readAnswer(response, bodyBytesMax, facts);
    } catch (error) {
      if (error instanceof RetryableError || error instanceof PermanentError) throw error;
      if (caller?.aborted) throw retryable('REGISTRY_ABORTED', 'The caller gave up.', facts, error);
      if (deadline.signal.aborted)
        throw retryable('REGISTRY_TIMEOUT', 'No answer in time.', { ...facts, timeoutMs }, error);
      throw retryable('REGISTRY_UNREACHABLE', messageOf(error), facts, error);
    } finally {
      waiting.abort();
    }
  };

  return {
    get: (path, signal) => exchange('GET', path, undefined, signal),
    post: (path, body, signal) => exchange('POST', path, body, signal),
  };
}

async function readAnswer(response: Response, bytesMax: number, facts: ErrorFacts): Promise<unknown> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    throw new RegistryPermanentError('REGISTRY_REDIRECTED', 'A registry must answer itself.', {
      ...facts,
      status,
      location: response.headers.get('location'),
    });
  }
  const text = await readText(response, bytesMax, facts);
  if (status === 200) return parseJson(text, facts);
  const failure = { ...facts, status, answer: text.slice(0, ERROR_TEXT_MAX) };
  const message = `The registry answered ${status}.`;
  if (PERMANENT_STATUS.has(status)) throw new RegistryPermanentError('REGISTRY_STATUS', message, failure);
  throw new RegistryRetryableError('REGISTRY_STATUS', message, failure);
}

/** Counts while it reads: a length in the header may be missing or a lie. */
async function readText(response: Response, bytesMax: number, facts: ErrorFacts): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    bytes += next.value.length;
    if (bytes > bytesMax) {
      await reader.cancel();
      throw retryable('REGISTRY_ANSWER_TOO_LARGE', 'A longer answer than any context needs.', { ...facts, bytesMax });
    }
    chunks.push(next.value);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string, facts: ErrorFacts): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw retryable('REGISTRY_ANSWER_INVALID', 'The answer is not JSON.', facts, cause);
  }
}

function checkedBaseUrl(baseUrl: string): string {
  const url = URL.parse(baseUrl);
  const isPlain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!isPlain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // Not the URL itself: it may hold a password.
    throw new RegistryPermanentError('REGISTRY_URL_INVALID', 'Not a plain http or https URL.', {
      protocol: url?.protocol ?? null,
    });
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

export function retryable(code: string, message: string, facts: ErrorFacts, cause?: unknown): RegistryRetryableError {
  return new RegistryRetryableError(code, message, facts, { cause });
}
