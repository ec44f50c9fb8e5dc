/**
 * Who decides something on the command line. Whoever can reach the database could write any name; so that an approval says who gave it, the same key proves it that the API takes, of the configuration or of the
 * database. Where the API lets everybody in, in development, there are the development principals.
 */
import { readFile } from 'node:fs/promises';
import { createApiKeys } from '../auth/api-keys.ts';
import { loadConfig } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Principal, Scope } from '../schema/principal.ts';
import { createPrincipals, parseApiKey } from '../server/principals.ts';
import { isOpen } from './access.ts';
import type { CommandContext } from './command-context.ts';

export type OwnKey = { readonly keyFile?: string; readonly as?: string };

export const KEY_FILE_HELP = 'a file with your API key';
export const AS_HELP = 'without API keys configured: a development principal, e.g. alice or bob';

/** @throws PermanentError KEY_NEEDED, KEY_UNKNOWN, SCOPE_MISSING. Nothing of the key is in a message. */
export async function readPrincipal(
  context: CommandContext,
  db: Database,
  { keyFile, as }: OwnKey,
  scope: Scope,
): Promise<Principal> {
  const config = loadConfig(context.environment, ['apiKeys', 'databaseKeys', 'oidcIssuers']);
  const { apiKeys } = config;
  const { signal } = new AbortController();
  const stored = createApiKeys({ ...context, db, notifications: null, logger: context.createLogger('warn'), signal });
  await stored.refresh();
  const principals = createPrincipals(
    apiKeys.map(({ name, scopes, sha256 }) => parseApiKey(`${name}:${scopes.join('+')}:${sha256.reveal()}`)),
    { authenticators: [stored], isDemanding: !isOpen(config) },
  );
  const key = principals.isDevelopment ? developmentKey(as) : await readKey(keyFile);
  const principal = await principals.authenticate(`Bearer ${key}`);
  if (typeof principal === 'string') {
    const names = principals.isDevelopment ? ' Development principals are in the README: alice, bob, operator, …' : '';
    throw new PermanentError('KEY_UNKNOWN', `That key is nobody’s here.${names}`);
  }
  if (!principal.scopes.has(scope)) {
    throw new PermanentError('SCOPE_MISSING', `${principal.name} has not the scope ${scope}.`);
  }
  return principal;
}

function developmentKey(as: string | undefined): string {
  if (as === undefined) throw new PermanentError('KEY_NEEDED', 'Say who you are with --as, e.g. --as alice.');
  return `dev-${as}`;
}

async function readKey(path: string | undefined): Promise<string> {
  if (path === undefined) throw new PermanentError('KEY_NEEDED', 'Say who you are with --key-file.');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new PermanentError('KEY_NEEDED', `The key file cannot be read: ${messageOf(error)}`);
  }
}
