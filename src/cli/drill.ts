/**
 * `sluice drill …`: what an operator dreads, done to a simulated network while customers deposit and are paid, with the service that `serve` runs. Each drill compares the books
 * with what the network itself says before and after, and says in plain words what happened; exit code 1 where anything differs.
 */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { CommandContext } from './command-context.ts';
import { drillDatabaseRestore } from './drill-database-restore.ts';
import { drillParticipantSwitch } from './drill-participant-switch.ts';
import { openScene, type Scene } from './drill-scene.ts';
import { drillUpgrade } from './drill-upgrade.ts';
import { drillValidatorRestore } from './drill-validator-restore.ts';
import { untilStopped } from './shutdown.ts';

type Drill = {
  readonly name: string;
  readonly description: string;
  /** Whether it makes a database of its own, to lose it. */
  readonly isDatabaseOwn?: boolean;
  /** @returns whether nothing differed. */
  readonly run: (scene: Scene) => Promise<boolean>;
};

const DRILLS: readonly Drill[] = [
  {
    name: 'validator-restore',
    description: 'the validator is restored from a backup and numbers its history anew',
    run: drillValidatorRestore,
  },
  {
    name: 'participant-switch',
    description: 'the validator goes away and another one that hosts the treasury takes over, and back',
    run: drillParticipantSwitch,
  },
  {
    name: 'upgrade',
    description: 'the synchronizer is upgraded while payouts are under way',
    run: drillUpgrade,
  },
  {
    name: 'database-restore',
    description: 'the database is put back to a backup, and every payout is asked for again',
    isDatabaseOwn: true,
    run: drillDatabaseRestore,
  },
];

export function drillCommand(context: CommandContext): Command {
  const group = new Command('drill').description(
    'rehearse a disaster on a simulated network, under load; exit code 1 where the books differ from the network afterwards',
  );
  for (const drill of DRILLS) {
    group.addCommand(
      new Command(drill.name).description(drill.description).action(async () => {
        if (!(await rehearse(context, drill))) context.end('no');
      }),
    );
  }
  return group;
}

async function rehearse(context: CommandContext, { name, isDatabaseOwn = false, run }: Drill): Promise<boolean> {
  // The drill is about the log of nobody's production: errors are enough, unless more is asked for.
  const environment = { SLUICE_LOG_LEVEL: 'error', ...context.environment };
  const config = loadConfig(environment, ['databaseUrl', 'dataDir', 'logLevel']);
  const logger = context.createLogger(config.logLevel);
  const { terminal } = context;
  let isRight = false;
  await untilStopped({ ...context, logger }, async (shutdown) => {
    terminal.print(terminal.styled('bold', `Drill: ${name}`));
    const scene = await openScene({ context, config, logger, shutdown, isDatabaseOwn });
    isRight = await run(scene);
    terminal.print();
    terminal.print(isRight ? 'The drill went well: nothing lost, nothing doubled.' : 'THE DRILL FAILED: see above.');
  });
  return isRight;
}
