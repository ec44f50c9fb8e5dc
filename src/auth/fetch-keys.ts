/** Fetches the keys of an identity provider, through the same guard as everything that we call and is not ours: no redirects, no private addresses unless allowed, bounded in size. */
import { PermanentError } from '../env/errors.ts';
import type { Send } from '../scan/http-send.ts';
import type { FetchKeys } from './issuer-keys.ts';

const DOCUMENT_BYTES_MAX = 256 * 1024; // A hundred RSA keys with their certificates.
const DISCOVERY_PATH = '/.well-known/openid-configuration';

/**
 * @param keysUrl null: as the provider's own document says, which has to be of this very issuer.
 * @see OpenID Connect Discovery 1.0, section 4.
 */
export function createFetchKeys(options: {
  readonly issuer: string;
  readonly keysUrl: string | null;
  readonly send: Send;
}): FetchKeys {
  const { issuer, keysUrl, send } = options;

  async function discover(signal: AbortSignal): Promise<string> {
    const document = await getJson(send, `${issuer.replace(/\/$/, '')}${DISCOVERY_PATH}`, signal);
    if (typeof document !== 'object' || document === null || !('issuer' in document) || !('jwks_uri' in document)) {
      throw unusable('What the issuer says of itself lacks `issuer` or `jwks_uri`.');
    }
    const { issuer: itself, jwks_uri: uri } = document;
    if (itself !== issuer) throw unusable('The issuer calls itself by another name.');
    if (typeof uri !== 'string') throw unusable('`jwks_uri` is no text.');
    return uri;
  }

  return async (signal) => await getJson(send, keysUrl ?? (await discover(signal)), signal);
}

async function getJson(send: Send, address: string, signal: AbortSignal): Promise<unknown> {
  const url = URL.parse(address);
  if (url === null || url.username !== '' || url.password !== '') throw unusable('Not a URL that can be called.');
  const answer = await send({ method: 'GET', url, headers: { accept: 'application/json' }, signal });
  try {
    if (answer.status !== 200) throw unusable(`The answer was ${answer.status}.`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.body) {
      size += chunk.length;
      if (size > DOCUMENT_BYTES_MAX) throw unusable('The answer is too long.');
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } finally {
    answer.body.destroy();
  }
}

function unusable(why: string): PermanentError {
  return new PermanentError('ISSUER_KEYS_UNUSABLE', why);
}
