/**
 * One HTTP exchange with a registry or a Scan, which is somebody else's server: bounded in time and size, never redirected, without any credentials that are not meant for exactly this server, and every
 * failure one of two kinds.
 *
 * What may be tried again follows the exchange guide of the Canton Network: every status but 401, 403, 500 and 501. An answer that is no
 * answer (not JSON, too large, another shape) may be tried again too: one instance of a registry may be ill while the others are well.
 */
import { type Clock, microsToMillis } from '../env/clock.ts';
import { type ErrorFacts, messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import { parseRecordTime } from '../env/record-time.ts';
import { storableText } from '../env/storable-text.ts';
import type { TokenSource } from '../ledger/token-source.ts';
import type { HttpAnswer, Send } from './http-send.ts';

/**
 * Codes: REGISTRY_UNREACHABLE, REGISTRY_TIMEOUT, REGISTRY_ABORTED, REGISTRY_STATUS, REGISTRY_ANSWER_TOO_LARGE, REGISTRY_ANSWER_INVALID; without asking: REGISTRY_RESTING,
 * REGISTRY_RATE_LIMITED; of a quorum: REGISTRY_NO_QUORUM.
 */
export class RegistryRetryableError extends RetryableError {}
/** Codes: REGISTRY_STATUS, REGISTRY_REDIRECTED, REGISTRY_URL_INVALID, REGISTRY_ADDRESS_REFUSED, REGISTRY_UNKNOWN. */
export class RegistryPermanentError extends PermanentError {}

export type RegistryHttp = {
  readonly baseUrl: string;
  /** @param path begins with `/`. @returns parsed JSON, of any shape. */
  get(path: string, signal?: AbortSignal): Promise<unknown>;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<unknown>;
};

export type RegistryHttpOptions = {
  /** `http` or `https`, may have a path. */
  readonly baseUrl: string;
  readonly send: Send;
  readonly clock: Clock;
  /** Sent to this server and to no other. */
  readonly tokens?: TokenSource;
  /** For the whole exchange, the body included. */
  readonly timeoutMs?: number;
  readonly bodyBytesMax?: number;
};

const TIMEOUT_MS = 10_000; // Scan answers in under a second; a prepared withdrawal waits for this.
const BODY_BYTES_MAX = 1024 * 1024; // A context with 100 disclosed contracts of 2 kB each fits several times.
const PERMANENT_STATUS: ReadonlySet<number> = new Set([401, 403, 500, 501]);
/** A clear no of the registry, which says it as JSON: bad arguments, not known, being moved. From a gateway before it that knows no such page they mean nothing. */
export const REFUSALS: ReadonlySet<unknown> = new Set([400, 404, 409]);
const ERROR_TEXT_MAX = 300;

/** @throws RegistryPermanentError REGISTRY_URL_INVALID for another scheme, or credentials in the URL. */
export function createRegistryHttp(options: RegistryHttpOptions): RegistryHttp {
  const { send, clock, tokens, timeoutMs = TIMEOUT_MS, bodyBytesMax = BODY_BYTES_MAX } = options;
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
      const token = await tokens?.token();
      const answer = await send({
        method,
        url: new URL(facts.url),
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      });
      if (token !== undefined && answer.status === 401) tokens?.refused(token);
      return await readAnswer(answer, { bodyBytesMax, facts, clock, isOurs: tokens !== undefined });
    } catch (error) {
      if (error instanceof PermanentError && error.code === 'ADDRESS_REFUSED') {
        throw new RegistryPermanentError('REGISTRY_ADDRESS_REFUSED', error.message, { ...facts, ...error.facts });
      }
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
    baseUrl,
    get: (path, signal) => exchange('GET', path, undefined, signal),
    post: (path, body, signal) => exchange('POST', path, body, signal),
  };
}

async function readAnswer(
  answer: HttpAnswer,
  options: {
    readonly bodyBytesMax: number;
    readonly facts: ErrorFacts;
    readonly clock: Clock;
    readonly isOurs: boolean;
  },
): Promise<unknown> {
  const { facts, isOurs } = options;
  const { status } = answer;
  if (status >= 300 && status < 400) {
    answer.body.destroy();
    throw new RegistryPermanentError('REGISTRY_REDIRECTED', 'A registry must answer itself.', {
      ...facts,
      status,
      location: answer.header('location'),
    });
  }
  const text = await readText(answer, options.bodyBytesMax, facts);
  if (status === 200) return parseJson(text, facts);
  const retryAfterMs = retryAfterOf(answer.header('retry-after'), options.clock);
  const failure = {
    ...facts,
    status,
    answer: text.slice(0, ERROR_TEXT_MAX),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  };
  if (REFUSALS.has(status) && !isJsonObject(text)) {
    throw retryable('REGISTRY_ANSWER_INVALID', `A ${status} that is not the registry's own.`, failure);
  }
  const message = `The registry answered ${status}.`;
  // Where we have a token a refusal may be of that one token: the next may be good.
  const isPermanent = PERMANENT_STATUS.has(status) && !(isOurs && (status === 401 || status === 403));
  if (isPermanent) throw new RegistryPermanentError('REGISTRY_STATUS', message, failure);
  throw new RegistryRetryableError('REGISTRY_STATUS', message, failure);
}

/** Counts while it reads: a length in the header may be missing or a lie. */
async function readText({ body }: HttpAnswer, bytesMax: number, facts: ErrorFacts): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      body.destroy();
      throw retryable('REGISTRY_ANSWER_TOO_LARGE', 'A longer answer than any context needs.', { ...facts, bytesMax });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** @throws RegistryRetryableError REGISTRY_ANSWER_INVALID: no JSON, or a text in it that no party, name or contract of anybody has and that cannot be stored. */
function parseJson(text: string, facts: ErrorFacts): unknown {
  let isStorable = true;
  const check = (part: unknown): void => {
    if (typeof part === 'string') isStorable &&= storableText(part) === part;
  };
  try {
    // Only an escape can stand for such a character; where there is none, nothing needs to be looked through.
    if (!SUSPECT.test(text)) return JSON.parse(text);
    const answer: unknown = JSON.parse(text, (key, value: unknown) => {
      check(key);
      check(value);
      return value;
    });
    if (isStorable) return answer;
  } catch (cause) {
    throw retryable('REGISTRY_ANSWER_INVALID', 'The answer is not JSON.', facts, cause);
  }
  throw retryable('REGISTRY_ANSWER_INVALID', 'The answer holds a character that no text may have.', facts);
}

/** U+0000 or half a surrogate pair, as JSON escapes them. */
const SUSPECT = /\\u(?:0000|d[89a-f])/i;

function isJsonObject(text: string): boolean {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null;
  } catch {
    return false;
  }
}

/** @returns milliseconds from now, never negative; null where nothing readable was said. @see RFC 9110, section 10.2.3 */
function retryAfterOf(header: string | null, clock: Clock): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const at = Number(parseHttpDate(header));
  return Number.isNaN(at) ? null : Math.max(0, at - microsToMillis(clock.nowMicros()));
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** @returns milliseconds since 1970, or NaN. Only the form that servers must send today, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`. */
function parseHttpDate(text: string): number {
  const match = /^\w{3}, (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/.exec(text);
  const month = MONTHS.indexOf(match?.[2] ?? '');
  if (match === null || month < 0) return Number.NaN;
  const two = (value: number): string => String(value).padStart(2, '0');
  try {
    const iso = `${match[3]}-${two(month + 1)}-${match[1]}T${match[4]}:${match[5]}:${match[6]}Z`;
    return microsToMillis(parseRecordTime(iso));
  } catch {
    return Number.NaN;
  }
}

/** @returns without a slash at its end. @throws RegistryPermanentError REGISTRY_URL_INVALID. */
export function checkedBaseUrl(baseUrl: string): string {
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
