/** `sluice key`: API keys. `new` makes one for the configuration: it is shown once and stored nowhere, and the server is configured with its hash. The others are about keys in the database (stored-keys.ts). */
import { createHash } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { KEY_PREFIX } from '../auth/api-keys.ts';
import { loadConfig } from '../config/config.ts';
import { messageOf } from '../env/errors.ts';
import { isScope, SCOPE_MEANINGS, SCOPES } from '../schema/principal.ts';
import { parseApiKey } from '../server/principals.ts';
import type { CommandContext } from './command-context.ts';
import { createKeyCommand, listKeysCommand, revokeKeyCommand } from './stored-keys.ts';

const KEY_BYTES = 32; // 256 bits: beyond guessing, so that a plain SHA-256 is a fit way to store it.

export function keyCommand(context: CommandContext): Command {
  const { terminal, random } = context;
  const create = new Command('new')
    .description('make a key for SLUICE_API_KEYS; it is shown once and stored nowhere')
    .argument('<name>', 'who will use it; shown in logs and audit')
    .requiredOption('--scopes <scopes>', `what it may do, joined by +: ${SCOPES.join(', ')}`, parseScopes)
    .addHelpText(
      'after',
      `\nScopes:\n${SCOPES.map((scope) => `  ${scope.padEnd(10)} ${SCOPE_MEANINGS[scope]}`).join('\n')}`,
    )
    .action((name: string, { scopes }: { readonly scopes: readonly string[] }) => {
      const key = `${KEY_PREFIX}${Buffer.from(random.bytes(KEY_BYTES)).toString('base64url')}`;
      const entry = `${name}:${scopes.join('+')}:${createHash('sha256').update(key).digest('hex')}`;
      requireValid(create, entry);
      terminal.print(`key for ${name}, to be sent as "Authorization: Bearer …"; it is not shown again:`);
      terminal.print(`  ${key}`);
      terminal.print('entry for the server, to be added to SLUICE_API_KEYS (entries are joined by commas):');
      terminal.print(`  ${entry}`);
    });
  return new Command('key')
    .description('API keys')
    .addCommand(create)
    .addCommand(createKeyCommand(context))
    .addCommand(listKeysCommand(context))
    .addCommand(revokeKeyCommand(context));
}

function parseScopes(text: string): readonly string[] {
  const scopes = text.split('+');
  const unknown = scopes.filter((scope) => !isScope(scope));
  if (unknown.length === 0) return scopes;
  throw new InvalidArgumentError(`Expected ${SCOPES.join(', ')}, joined by +.`);
}

/** By the rules the server will read it with. */
function requireValid(command: Command, entry: string): void {
  try {
    loadConfig({ SLUICE_API_KEYS: entry }, ['apiKeys']);
    parseApiKey(entry);
  } catch (error) {
    command.error(messageOf(error));
  }
}
