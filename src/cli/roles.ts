/** `sluice roles`: gives database roles that exist the rights that a kind of process needs, and no more. The roles are made by whoever may make roles; we only grant on what is ours. */
import { Command } from 'commander';
import { type DatabaseRole, forgetRole, grantRights, grantsOf, listDatabaseRoles, readRights } from '../db/rights.ts';
import { readRightsOf } from '../db/rights-held.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

type Options = {
  readonly worker: readonly string[];
  readonly api: readonly string[];
  readonly all: readonly string[];
  readonly read: readonly string[];
  readonly auditor: readonly string[];
  readonly forget: readonly string[];
  readonly print?: true;
};

export function rolesCommand(context: CommandContext): Command {
  const names = (name: string, before: readonly string[]): readonly string[] => [...before, name];
  return new Command('roles')
    .description(
      'give database roles the rights of a kind of process, and of every later migration; without options: which have them, exit code 1 where one has more or less. As the owner of the tables',
    )
    .option('--worker <name>', 'of `serve --role worker`', names, [])
    .option('--api <name>', 'of `serve --role api`', names, [])
    .option('--all <name>', 'of `serve --role all`', names, [])
    .option('--read <name>', 'of an API that changes nothing: mutations fail', names, [])
    .option('--auditor <name>', 'of whoever looks at everything but keys', names, [])
    .option('--forget <name>', 'takes them away again', names, [])
    .option('--print', 'changes nothing: prints the SQL, for the schema `public`')
    .action(async (options: Options) => {
      const wanted = rolesOf(options);
      if (options.print === true) return await print(context, wanted);
      await withDatabase(context, 'sluice-roles', async (db) => {
        for (const name of options.forget) {
          const isKnown = await forgetRole(db, name);
          context.terminal.print(isKnown ? `${name}: has no rights any more` : `${name}: had none from here`);
        }
        if (wanted.length > 0) await grantRights(db, wanted);
        const rights = await readRights();
        for (const role of await listDatabaseRoles(db)) {
          const held = await readRightsOf(db, role.name, rights.get(role.kind) ?? new Map());
          const faults = [...held.missing.map((what) => `lacks ${what}`), ...held.extra.map((what) => `has ${what}`)];
          context.terminal.print(`${role.name}: ${role.kind}${faults.length === 0 ? ', exactly' : ''}`);
          for (const fault of faults) context.terminal.print(`  ${fault}`);
          if (faults.length > 0) context.end('no');
        }
      });
    });
}

async function print({ terminal }: CommandContext, wanted: readonly DatabaseRole[]): Promise<void> {
  const rights = await readRights();
  for (const role of wanted) {
    terminal.print(`-- ${role.name}: ${role.kind}`);
    terminal.print(`-- CREATE ROLE "${role.name}" LOGIN PASSWORD '…' NOSUPERUSER NOCREATEDB NOCREATEROLE;`);
    for (const statement of grantsOf(role, rights.get(role.kind) ?? new Map(), 'public'))
      terminal.print(`${statement};`);
  }
}

function rolesOf({ worker, api, all, read, auditor }: Options): readonly DatabaseRole[] {
  const of = (kind: DatabaseRole['kind'], names: readonly string[]) => names.map((name) => ({ name, kind }));
  return [
    ...of('WORKER', worker),
    ...of('API', api),
    ...of('ALL', all),
    ...of('READ', read),
    ...of('AUDITOR', auditor),
  ];
}
