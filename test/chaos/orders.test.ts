/** Whoever is told to stand still, and then not to, goes on, also where it comes to its point before it has read that. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { PROJECT } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { takeBack } from './orders.ts';

const POINT_MS = 2_000;
const PATIENCE = { deadlineMs: 20_000, intervalMs: 10 };
/** Comes to a point at fixed times, as work does that waits for a timer: those are served before messages are read. */
const SCRIPT = `
  const pass = globalThis[Symbol.for('sluice.chaos.failpoint')];
  process.channel.ref();
  process.send('ready');
  let passed = 0;
  setInterval(() => { pass('ingestion.afterCommit'); passed += 1; process.stdout.write('passed ' + passed + '\\n'); }, ${POINT_MS});
`;

let child: ChildProcess;
afterEach(async () => {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
});

const isStopped = (): boolean => / T /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/\(.*\)/, ''));

test('a process that comes to its point before it has read that its order was taken back is woken again', async () => {
  child = spawn(process.execPath, ['--import', './test/chaos/armed-failpoints.ts', '--eval', SCRIPT], {
    cwd: PROJECT,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await once(child, 'message');
  child.send({ points: ['ingestion.afterCommit'], hit: 1, signal: 'SIGSTOP' });
  await systemClock.sleep(POINT_MS / 4); // It reads the order, and is frozen before it comes to its point.
  child.kill('SIGSTOP');
  await eventually(() => expect(isStopped()).toBe(true), PATIENCE);
  await systemClock.sleep(POINT_MS); // Its point is due when it wakes up.

  await takeBack(child);

  await eventually(() => expect(said).toMatch(/passed 2/), PATIENCE);
  expect(said).toContain('struck ingestion.afterCommit');
  expect(isStopped()).toBe(false);
});
