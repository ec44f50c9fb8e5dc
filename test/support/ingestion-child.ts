/**
 * A process that ingests until it is killed. It writes the name of every failpoint it passes to standard output before going on, so that whoever kills it
 * knows in which phase of the work the blow fell; told to (KILL_AT=name:hit), it strikes itself at exactly that point.
 */
import { writeSync } from 'node:fs';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { startIngestion } from './ingestion.ts';
import { noteStruck } from './struck.ts';

const settings = JSON.parse(process.env['INGESTION'] ?? '{}');
const [killAt, killHit] = (process.env['KILL_AT'] ?? ':0').split(':');
let hits = 0;

const failpoint = async (name: FailpointName) => {
  writeSync(1, `${name}\n`);
  if (name !== killAt || ++hits !== Number(killHit)) return;
  noteStruck(name);
  process.kill(process.pid, 'SIGKILL');
};

const ingestion = await startIngestion({ ...settings, failpoint });
await ingestion.ended;
