/** `sluice key create`, `list` and `revoke`: keys of the API in the database, which take effect and end while the service runs. */
import { Command, InvalidArgumentError } from 'commander';
import { type ApiKeyEntry, createApiKeyBook } from '../auth/api-key-book.ts';
import { loadConfig } from '../config/config.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { EVERYTHING } from '../read/reach.ts';
import { isScope, type Scope } from '../schema/principal.ts';
import { isRole, ROLE_MEANINGS, ROLE_SCOPES, ROLES } from '../schema/role.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { printable } from './printable.ts';
import { withDatabase } from './with-database.ts';

type CreateOptions = {
  readonly role?: readonly Scope[];
  readonly scopes?: readonly Scope[];
  readonly account?: string;
  readonly days?: number;
  readonly by: string;
};

const MICROS_PER_DAY = 86_400_000_000n;
const DAYS_MAX = 3_650;

export function createKeyCommand(context: CommandContext): Command {
  const { terminal, clock, random } = context;
  return new Command('create')
    .description('make a key in the database; it is shown once, and works at once on every replica')
    .argument(
      '<client>',
      'who will use it: idempotency keys are the client’s, so make a new key with the same name before you revoke the old one',
    )
    .option('--role <role>', `what it may do: ${ROLES.join(', ')}`, parseRole)
    .option('--scopes <scopes>', 'or exactly what, joined by +', parseScopes)
    .option('--account <name>', 'of a customer’s key: the exchange’s own name of the one account it sees')
    .option('--days <number>', 'how long it works; without: until it is revoked', parseDays)
    .requiredOption('--by <name>', 'who you are', parseBy)
    .addHelpText('after', `\nRoles:\n${ROLES.map((role) => `  ${role.padEnd(9)} ${ROLE_MEANINGS[role]}`).join('\n')}`)
    .action(async (client: string, { role, scopes, account, days, by }: CreateOptions) => {
      if ((role === undefined) === (scopes === undefined)) {
        throw new PermanentError('API_KEY_INVALID', 'Say what it may do: --role or --scopes, one of them.');
      }
      const { network } = account === undefined ? { network: '' } : loadConfig(context.environment, ['network']);
      await withDatabase(context, 'sluice-key', async (db) => {
        const { id, key } = await createApiKeyBook({ db, clock, random }).create({
          client,
          scopes: role ?? scopes ?? [],
          reach: account === undefined ? EVERYTHING : { kind: 'ACCOUNT', network, owner: account },
          expiresAt: days === undefined ? null : clock.nowMicros() + BigInt(days) * MICROS_PER_DAY,
          by,
        });
        terminal.print(`${id} for ${client}, to be sent as "Authorization: Bearer …"; it is not shown again:`);
        terminal.print(`  ${key}`);
      });
    });
}

export function listKeysCommand(context: CommandContext): Command {
  return new Command('list')
    .description('keys in the database, newest first')
    .argument('[client]', 'only those of this client')
    .action(async (client: string | undefined) => {
      await withDatabase(context, 'sluice-key', async (db) => {
        const keys = await createApiKeyBook({ ...context, db }).list(client ?? null);
        if (keys.length === 0) context.terminal.print('there are no keys in the database');
        for (const key of keys) context.terminal.print(lineOf(key, context.clock.nowMicros()));
      });
    });
}

export function revokeKeyCommand(context: CommandContext): Command {
  return new Command('revoke')
    .description('end a key of the database for ever, within a second, with all connections that it opened')
    .argument('<id>', '`key_…`, as `sluice key list` shows it')
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'for those who come after you; kept for ever')
    .action(async (id: string, decision: { readonly by: string; readonly why: string }) => {
      await withDatabase(context, 'sluice-key', async (db) => {
        await createApiKeyBook({ ...context, db }).revoke(id, decision);
        context.terminal.print(`${id} is revoked`);
      });
    });
}

function lineOf(key: ApiKeyEntry, now: bigint): string {
  const { id, client, scopes, account, createdAt, createdBy, expiresAt, revokedAt, revokedBy, lastUsedAt } = key;
  const end =
    revokedAt !== null
      ? `REVOKED ${formatRecordTime(revokedAt)} by ${printable(revokedBy ?? '')}`
      : expiresAt === null
        ? 'valid'
        : `${expiresAt <= now ? 'EXPIRED' : 'valid until'} ${formatRecordTime(expiresAt)}`;
  return [
    id,
    printable(client),
    scopes.join('+'),
    ...(account === null ? [] : [`of ${printable(account)}`]),
    end,
    `made ${formatRecordTime(createdAt)} by ${printable(createdBy)}`,
    lastUsedAt === null ? 'never used' : `last used ${formatRecordTime(lastUsedAt)}`,
  ].join('  ');
}

function parseRole(text: string): readonly Scope[] {
  if (isRole(text)) return ROLE_SCOPES[text];
  throw new InvalidArgumentError(`Expected ${ROLES.join(', ')}.`);
}

function parseScopes(text: string): readonly Scope[] {
  const scopes = text.split('+');
  if (scopes.every(isScope)) return scopes;
  throw new InvalidArgumentError('Expected scopes joined by +; `sluice key new --help` names them.');
}

function parseDays(text: string): number {
  const days = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= DAYS_MAX) return days;
  throw new InvalidArgumentError(`Expected days, 1–${DAYS_MAX}.`);
}
