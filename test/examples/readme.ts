/** A README as somebody follows it: the commands of its shell blocks, in order, run by a shell at the root of the project. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT, type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';

/** @returns its commands but for those that every example begins with (`npm ci`, `npm start`). @throws when these are not there. */
export function commandsOf(example: string): readonly string[] {
  const text = readFileSync(join(PROJECT, 'examples', example, 'README.md'), 'utf8');
  const commands = [...text.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) => block.trim().split('\n'));
  const [install, start, ...own] = commands;
  if (install !== 'npm ci' || start !== 'npm start')
    throw new Error(`${example} does not begin with npm ci and npm start.`);
  return own;
}

export function runCommand(command: string, environment: Readonly<Record<string, string>>): SluiceProcess {
  return startProcess('/bin/sh', ['-c', command], environment);
}

/** Whatever the shell has started. */
export async function end({ pid, exited }: SluiceProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
  await exited;
}
