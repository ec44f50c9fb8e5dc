/** `sluice config`: the configuration as `serve` would see it. Secrets are named, never printed. */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { CONFIG_KEYS, type ConfigKey } from '../config/keys.ts';
import type { CommandContext } from './command-context.ts';

export function configCommand({ environment, terminal }: CommandContext): Command {
  return new Command('config')
    .description('print the effective configuration, secrets hidden; faults are listed all at once')
    .option('--json', 'the validated values instead of the variables')
    .action((options: { readonly json?: boolean }) => {
      const config = loadConfig(environment);
      if (options.json === true) {
        terminal.print(JSON.stringify(config, null, 2));
        return;
      }
      const keys: readonly ConfigKey[] = Object.values(CONFIG_KEYS);
      const width = Math.max(...keys.map(({ variable }) => variable.length));
      for (const key of keys) terminal.print(`${key.variable.padEnd(width)}  ${effective(key)}`);
    });

  function effective(key: ConfigKey): string {
    const isGiven = isSet(key.variable) || (key.isSecret && isSet(`${key.variable}_FILE`));
    if (!isGiven) return key.default === null || key.default === '' ? '(unset)' : `${key.default}  (default)`;
    return key.isSecret ? '[secret]' : (environment[key.variable] ?? '');
  }

  function isSet(variable: string): boolean {
    return (environment[variable] ?? '') !== '';
  }
}
