/**
 * The first minute of a stranger: `npm start`, a look at the terminal, GraphiQL in a real browser without internet, Ctrl-C.
 *
 * One run for all tests, in order: they are the steps of one visit.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { findChromium } from './browser.ts';
import { openGraphiql } from './graphiql-page.ts';
import { countColours } from './png-colours.ts';
import { isPortOpen, isProcessAlive, type SluiceProcess, startProcess } from './sluice-process.ts';

const FIRST_SIGHT_MS = 30_000; // Promised: deposits are seen within 30 s of the start.

const FAILED_MS = 90_000; // Two attempts of 15 s each by the time of the ledger, which moves when somebody transacts.

const CREDITED = /"attribution": \{ "account": \{ "customer": "customer-\d/;

const executablePath = findChromium();
if (executablePath === null) console.log('No Chromium at /usr/bin/chromium or $CHROMIUM: the browser test is skipped.');

let visit: SluiceProcess;
let startedAt: bigint;
let url: string;

beforeAll(async () => {
  startedAt = systemClock.nowMicros();
  visit = startProcess('npm', ['start'], { SLUICE_PORT: '0' });
  [, url = ''] = await visit.waitFor(/GraphiQL +(http:\/\/127\.0\.0\.1:\d+)\/graphiql/);
});

afterAll(() => {
  if (visit.child.exitCode === null && visit.child.signalCode === null) process.kill(-visit.pid, 'SIGKILL');
});

test('the terminal says what runs, where to look, and what comes in', async () => {
  for (const line of [
    /participant1 +127\.0\.0\.1:\d+/,
    /participant2 +127\.0\.0\.1:\d+/,
    /PostgreSQL +postgresql:/,
    /control +http:\/\/127\.0\.0\.1:\d+/,
    /health +http:\/\/127\.0\.0\.1:\d+\/readyz +http:\/\/127\.0\.0\.1:\d+\/metrics/,
    /Ctrl-C/,
  ]) {
    await visit.waitFor(line);
  }

  await visit.waitFor(/treasury IDLE updates=[1-9]\d* offset=\d+ lag=[\d.]+ s; [1-9]\d* deposits credited/);

  expect(visit.stderr().replaceAll(/^npm warn .*\n/gm, '')).toBe('');
});

test('health, schema and a query answer', async () => {
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready' });
  expect(await (await fetch(`${url}/schema.graphql`)).text()).toMatch(/type Subscription \{/);
});

test.skipIf(executablePath === null)(
  'GraphiQL shows credited deposits and the running feed, in a browser that reaches nothing but this machine',
  async () => {
    const graphiql = await openGraphiql(executablePath ?? '', `${url}/graphiql`);
    try {
      // The editor renders only what is in view, so the newest few deposits: asked again until one of them is credited.
      await eventually(
        async () => {
          await graphiql.run();
          await systemClock.sleep(500);
          expect(await graphiql.answer()).toMatch(CREDITED);
        },
        { deadlineMs: FIRST_SIGHT_MS },
      );
      const elapsedMs = Number((systemClock.nowMicros() - startedAt) / 1_000n);
      const deposits = await graphiql.screenshot('graphiql-deposits');

      await graphiql.openTab('DepositFeed');
      await graphiql.run();
      const cursorNow = async (): Promise<string> => {
        const [, cursor = ''] = /"deposits": \{ "cursor": "([^"]+)"/.exec(await graphiql.answer()) ?? [];
        expect(cursor).not.toBe('');
        return cursor;
      };
      const firstCursor = await eventually(cursorNow, { deadlineMs: 15_000 });
      await eventually(async () => expect(await cursorNow()).not.toBe(firstCursor), { deadlineMs: 15_000 });
      const feed = await graphiql.screenshot('graphiql-feed');
      await graphiql.run();

      expect(elapsedMs).toBeLessThan(FIRST_SIGHT_MS);
      console.log(`Credited deposits were on the screen ${(elapsedMs / 1_000).toFixed(1)} s after the start.`);
      // Text is drawn with a colour for each shade of its edges; an empty page has two.
      for (const png of [deposits, feed]) expect(countColours(png)).toBeGreaterThan(200);
      expect(graphiql.complaints).toEqual([]);
    } finally {
      await graphiql.close('graphiql-last');
    }
  },
  60_000,
);

test.skipIf(executablePath === null)(
  'GraphiQL’s sample withdrawal is paid, and its subscription says so with the update that proves it',
  async () => {
    const graphiql = await openGraphiql(executablePath ?? '', `${url}/graphiql`);
    try {
      await graphiql.openTab('NewWithdrawal');
      await graphiql.run();
      await graphiql.shows(/"withdrawalId": "wd_[0-9a-f]{40}"/);
      await graphiql.openTab('WithdrawalUpdated');
      await graphiql.run();
      const answer = await graphiql.shows(/"state": "COMPLETED"/, 40_000);
      await graphiql.screenshot('graphiql-withdrawal');

      expect(answer).toMatch(/"isFinal": true/);
      expect(answer).toMatch(/"updateId": ?"1220[0-9a-f]{20}/); // The rest stands on the next line of the editor.
      expect(graphiql.complaints).toEqual([]);
    } finally {
      await graphiql.close('graphiql-withdrawal-last');
    }
  },
  90_000,
);

test.skipIf(executablePath === null)(
  'a withdrawal that the network is told to lose ends FAILED with its proof on the screen, and the next one is paid',
  async () => {
    const graphiql = await openGraphiql(executablePath ?? '', `${url}/graphiql`);
    const ask = async (idempotencyKey: string): Promise<void> => {
      await graphiql.openTab('NewWithdrawal');
      await graphiql.changeVariable('idempotencyKey', idempotencyKey);
      await graphiql.run();
      await graphiql.shows(/"replayed": false/);
      await graphiql.openTab('WithdrawalUpdated');
      await graphiql.changeVariable('idempotencyKey', idempotencyKey);
      await graphiql.run();
    };
    try {
      await runPrinted('fail');
      await ask('my-lost-withdrawal');
      const inFlight = await graphiql.shows(/"state": "IN_FLIGHT"/);
      const failed = await graphiql.shows(/"state": "FAILED"/, FAILED_MS);
      const proof = await graphiql.screenshot('graphiql-withdrawal-failed');

      expect(inFlight).toMatch(/"decidableBy": "\d{4}-/);
      expect(failed).toMatch(/"isFinal": true/);
      expect(failed).toMatch(/"transfer": null/);
      expect(failed).toMatch(/"code": "NOT_COMMITTED"/);
      const [, target = '', passed = ''] =
        /"attempt": 2, "targetRecordTime": "([^"]+)", "passedRecordTime": "([^"]+)", "explanation": ?"Attempt 2 could/.exec(
          failed,
        ) ?? [];
      // Both are printed with the same number of digits.
      expect(passed > target && target !== '').toBe(true);
      expect(countColours(proof)).toBeGreaterThan(200);

      await runPrinted('heal');
      await ask('my-next-withdrawal');
      expect(await graphiql.shows(/"state": "COMPLETED"/, 40_000)).toMatch(/"definiteFailureProof": null/);
      expect(graphiql.complaints).toEqual([]);
    } finally {
      await graphiql.close('graphiql-withdrawal-failed-last');
    }
  },
  180_000,
);

/** Runs in a shell what the terminal printed under that label, as who pastes it. */
async function runPrinted(label: string): Promise<void> {
  const [, line = ''] = new RegExp(`^ +${label} +(curl .*?) {3}`, 'm').exec(visit.stdout()) ?? [];
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', line]);
  expect(stdout).toBe('{}');
}

test('Ctrl-C leaves no process and no port behind', async () => {
  const [, database = ''] = /PostgreSQL +(postgresql:\S+)/.exec(visit.stdout()) ?? [];
  const postmaster = await readPostmasterPid(database);
  const ports = [...visit.stdout().matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  expect(new Set(ports).size).toBe(6);
  for (const port of ports) expect(await isPortOpen(port)).toBe(true);

  // As a terminal does it: to the whole process group. npm passes on what it got, so Sluice is told twice.
  process.kill(-visit.pid, 'SIGINT');
  await visit.exited;

  expect(visit.stdout()).toMatch(/Stopped: no process and no port is left\.\s*$/);
  expect(visit.stdout()).not.toMatch(/ (warn|error) /);
  for (const port of ports) expect(await isPortOpen(port)).toBe(false);
  expect(isProcessAlive(postmaster)).toBe(false);
  expect(() => process.kill(-visit.pid, 0)).toThrow('ESRCH');
});

async function readPostmasterPid(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ file: string }>("SELECT pg_read_file('postmaster.pid') AS file");
    return Number(rows[0]?.file.split('\n')[0]);
  } finally {
    await client.end();
  }
}
