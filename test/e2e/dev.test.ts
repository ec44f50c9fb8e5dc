/**
 * The first minute of a stranger: `npm start`, a look at the terminal, GraphiQL in a real browser without internet, Ctrl-C.
 *
 * One run for all tests, in order: they are the steps of one visit.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { ARTIFACTS, findChromium, openLocalBrowser } from './browser.ts';
import { countColours } from './png-colours.ts';
import { isPortOpen, isProcessAlive, type SluiceProcess, startProcess } from './sluice-process.ts';

const FIRST_SIGHT_MS = 30_000; // Promised: deposits are seen within 30 s of the start.

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
    /Ctrl-C/,
  ]) {
    expect(visit.stdout()).toMatch(line);
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
    const { page, complaints, close } = await openLocalBrowser(executablePath ?? '');
    await mkdir(ARTIFACTS, { recursive: true });
    const runButton = page.locator('.graphiql-execute-button');
    const answer = async (): Promise<string> =>
      ((await page.locator('.graphiql-response').textContent()) ?? '').replaceAll(/\s+/g, ' ');
    const screenshot = async (name: string): Promise<Buffer> =>
      await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
    try {
      await page.goto(`${url}/graphiql`);
      // The editor renders only what is in view, so the newest few deposits: asked again until one of them is credited.
      await eventually(
        async () => {
          await runButton.click();
          await systemClock.sleep(500);
          expect(await answer()).toMatch(CREDITED);
        },
        { deadlineMs: FIRST_SIGHT_MS },
      );
      const elapsedMs = Number((systemClock.nowMicros() - startedAt) / 1_000n);
      const deposits = await screenshot('graphiql-deposits');

      const feedTab = page.getByRole('tab').filter({ hasText: 'DepositFeed' });
      // The tabs slide into their places at first, and a click may miss.
      await eventually(async () => {
        await feedTab.getByTitle('DepositFeed').click();
        expect(await feedTab.getAttribute('aria-selected')).toBe('true');
      });
      // GraphiQL notices a moment later that another operation is in the editor; nobody presses faster.
      await systemClock.sleep(1_000);
      await runButton.click();
      const cursorNow = async (): Promise<string> => {
        const [, cursor = ''] = /"deposits": \{ "cursor": "([^"]+)"/.exec(await answer()) ?? [];
        expect(cursor).not.toBe('');
        return cursor;
      };
      const firstCursor = await eventually(cursorNow, { deadlineMs: 15_000 });
      await eventually(async () => expect(await cursorNow()).not.toBe(firstCursor), { deadlineMs: 15_000 });
      const feed = await screenshot('graphiql-feed');
      await runButton.click();

      expect(elapsedMs).toBeLessThan(FIRST_SIGHT_MS);
      console.log(`Credited deposits were on the screen ${(elapsedMs / 1_000).toFixed(1)} s after the start.`);
      // Text is drawn with a colour for each shade of its edges; an empty page has two.
      for (const png of [deposits, feed]) expect(countColours(png)).toBeGreaterThan(200);
      expect(complaints).toEqual([]);
    } finally {
      await screenshot('graphiql-last');
      await close();
    }
  },
  60_000,
);

test.skipIf(executablePath === null)(
  'GraphiQL’s sample withdrawal is paid, and its subscription says so with the update that proves it',
  async () => {
    const { page, complaints, close } = await openLocalBrowser(executablePath ?? '');
    const answer = async (): Promise<string> =>
      ((await page.locator('.graphiql-response').textContent()) ?? '').replaceAll(/\s+/g, ' ');
    const openTab = async (title: string): Promise<void> => {
      const tab = page.getByRole('tab').filter({ hasText: title });
      await eventually(async () => {
        await tab.getByTitle(title).click();
        expect(await tab.getAttribute('aria-selected')).toBe('true');
      });
      await systemClock.sleep(1_000); // As above: nobody presses faster.
    };
    try {
      await page.goto(`${url}/graphiql`);
      await openTab('NewWithdrawal');
      await page.locator('.graphiql-execute-button').click();
      await eventually(async () => expect(await answer()).toMatch(/"withdrawalId": "wd_[0-9a-f]{40}"/));
      await openTab('WithdrawalUpdated');
      await page.locator('.graphiql-execute-button').click();
      await eventually(async () => expect(await answer()).toMatch(/"state": "COMPLETED"/), { deadlineMs: 40_000 });
      await page.screenshot({ path: join(ARTIFACTS, 'graphiql-withdrawal.png') });
      expect(await answer()).toMatch(/"isFinal": true/);
      expect(await answer()).toMatch(/"updateId": ?"1220[0-9a-f]{20}/); // The rest stands on the next line of the editor.
      expect(complaints).toEqual([]);
    } finally {
      await page.screenshot({ path: join(ARTIFACTS, 'graphiql-withdrawal-last.png') });
      await close();
    }
  },
  90_000,
);

test('Ctrl-C leaves no process and no port behind', async () => {
  const [, database = ''] = /PostgreSQL +(postgresql:\S+)/.exec(visit.stdout()) ?? [];
  const postmaster = await readPostmasterPid(database);
  const ports = [...visit.stdout().matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  expect(new Set(ports).size).toBe(4);
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
