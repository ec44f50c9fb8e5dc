/** What a schedule is told of its statements is so on a busy server too; and a server process that it has stopped is left by nobody, not at the end of the process that stopped it either. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { createTestDatabase } from '../support/database.ts';
import { createServerSessions } from './server-sessions.ts';

const SESSIONS = new URL('server-sessions.ts', import.meta.url).href;
const PATIENCE_MS = 10_000;
/** Ends while the second of two waits for a lock of the first, stopped, and says which server process that is. */
const SCRIPT = `
  const { createServerSessions } = await import(${JSON.stringify(SESSIONS)});
  const { readFileSync, writeSync } = await import('node:fs');
  const server = await createServerSessions({ connectionString: process.env.DATABASE });
  const [first, second] = [await server.open(), await server.open()];
  await first.run('select pg_advisory_xact_lock(1)', [], ['begin']);
  await second.run('select pg_advisory_xact_lock(1)', [], ['begin']);
  second.hold();
  while (!/\\) T /.test(readFileSync('/proc/' + second.pid + '/stat', 'utf8'))) await new Promise((resolve) => setTimeout(resolve, 5));
  writeSync(1, String(second.pid));
  process.exit(1);
`;

/** A server of somebody else is not ours to stop, nor to look at. */
const isOurs = existsSync('/proc/self/stat') && (process.env['DATABASE_URL'] ?? '') === '';

test.skipIf(!isOurs)('whoever ends early leaves no server process stopped', async () => {
  const database = await createTestDatabase();
  try {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
      env: { ...process.env, DATABASE: database.connectionString },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child, 'close');
    const pid = Number(said);
    expect(pid).toBeGreaterThan(0);

    let waitedMs = 0;
    for (; isThere(pid) && waitedMs < PATIENCE_MS; waitedMs += 20) await systemClock.sleep(20);
    expect(waitedMs, 'the server process saw that its client was gone').toBeLessThan(PATIENCE_MS);
  } finally {
    await database.close();
  }
});

test('a statement that waits for somebody who is not of the schedule, as a commit that notifies does for those of other databases, is waited for', async () => {
  const database = await createTestDatabase();
  const server = await createServerSessions({ connectionString: database.connectionString });
  const stranger = new pg.Client({ connectionString: database.connectionString });
  await stranger.connect();
  try {
    await stranger.query('BEGIN; SELECT pg_advisory_xact_lock(1)');
    const session = await server.open();
    let isOver = false;
    const running = session.run('select pg_advisory_xact_lock(1)', [], ['begin']).finally(() => {
      isOver = true;
    });
    await systemClock.sleep(200);
    expect(isOver).toBe(false);

    await stranger.query('COMMIT');
    expect((await running)?.kind).toBe('done');
  } finally {
    await stranger.end();
    await server.close();
    await database.close();
  }
});

function isThere(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').length > 0;
  } catch {
    return false;
  }
}
