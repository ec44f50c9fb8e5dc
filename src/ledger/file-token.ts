/** A bearer token that somebody else keeps fresh in a file: a sidecar, or Kubernetes with a projected secret. */
import { readFile } from 'node:fs/promises';
import { createSecret, type Secret } from '../config/secret.ts';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { TokenSource } from './token-source.ts';

const REREAD_MICROS: Micros = millisToMicros(1_000); // A file this small costs microseconds; a new token is in use within a second.

/** While the file cannot be read, or is empty because it is being replaced, the token it had last is used. */
export function createFileToken(options: {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}): TokenSource {
  const { path, clock, logger } = options;
  let known: { readonly token: Secret; readonly readAt: Micros } | null = null;
  let isMissing = false;

  async function read(): Promise<Secret> {
    const text = (await readFile(path, 'utf8')).trim();
    if (text === '') throw new Error('The file is empty.');
    return createSecret(text);
  }

  return {
    token: async () => {
      const now = clock.nowMicros();
      const age = known === null ? null : now - known.readAt;
      // Negative: the clock was set back.
      if (known !== null && age !== null && age >= 0n && age < REREAD_MICROS) return known.token;
      try {
        known = { token: await read(), readAt: now };
        isMissing = false;
      } catch (error) {
        const why = messageOf(error);
        if (known === null)
          throw new RetryableError('TOKEN_UNAVAILABLE', `The token file cannot be used: ${why}`, { path });
        if (!isMissing) logger.warn('The token file cannot be used; the last token goes on.', { path, why });
        isMissing = true;
        known = { ...known, readAt: now };
      }
      return known.token;
    },
    refused: (token) => {
      if (known?.token === token) known = { token, readAt: 0n };
    },
  };
}
