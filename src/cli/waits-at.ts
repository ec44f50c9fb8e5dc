/** By which clock and which margin a command tells what a withdrawal waits for: those that the automation goes by where it has the same configuration. */
import { loadConfig } from '../config/config.ts';
import type { WaitsAt } from '../read/withdrawal-waits.ts';
import type { CommandContext } from './command-context.ts';

export function waitsAt({ clock, environment }: Pick<CommandContext, 'clock' | 'environment'>): WaitsAt {
  const { restoreMarginSeconds } = loadConfig(environment, ['restoreMarginSeconds']);
  return { nowMicros: clock.nowMicros(), recordTimeAheadMsMax: restoreMarginSeconds * 1_000 };
}
