/**
 * The examples as their READMEs say, against one `npm start`: the page in a real browser, the mirror beside it, the token taken on. In order, and the end of `npm start` is the last step.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kind, parse } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { PLACEHOLDERS } from '../../src/server/graphiql-sample.ts';
import { SAMPLE_TABS } from '../../src/server/graphiql-samples.ts';
import { ARTIFACTS, findChromium, type LocalBrowser, openLocalBrowser } from '../e2e/browser.ts';
import { countColours } from '../e2e/png-colours.ts';
import { type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { eventually } from '../support/eventually.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { commandsOf, end, runCommand } from './readme.ts';

const executablePath = findChromium();
if (executablePath === null) console.log('No Chromium at /usr/bin/chromium or $CHROMIUM: the page is not looked at.');
const PATIENCE = { deadlineMs: 40_000 };

const started: SluiceProcess[] = [];
let sluice: SluiceProcess;
let folder: string;
let environment: Record<string, string>;
let browser: LocalBrowser | null = null;

const run = (command: string, more: Readonly<Record<string, string>> = {}): SluiceProcess => {
  const process = runCommand(command, { ...environment, ...more });
  started.push(process);
  return process;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-examples-'));
  sluice = startProcess('npm', ['start'], { SLUICE_PORT: '0' });
  const [, url = ''] = await sluice.waitFor(/GraphiQL +(http:\/\/127\.0\.0\.1:\d+)\/graphiql/, 55_000);
  environment = { SLUICE_URL: `${url}/graphql` };
});

afterAll(async () => {
  await browser?.close();
  for (const each of [...started, sluice]) await end(each, 'SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('onboard-token: the token is taken on, again finds it done, and one that nobody knows is refused with what to do', async () => {
  const [onboard = '', unknown = ''] = commandsOf('onboard-token');

  // Until a customer has deposited it, nobody knows of it.
  const first = await eventually(async () => {
    const attempt = run(onboard);
    expect(await attempt.exited).toEqual({ code: 0, signal: null });
    return attempt.stdout();
  }, PATIENCE);
  const again = run(onboard);
  expect(await again.exited).toEqual({ code: 0, signal: null });
  const refused = run(unknown);
  expect(await refused.exited).toEqual({ code: 1, signal: null });

  expect(first).toMatch(/added, frozen: note-issuer::/);
  expect(first).toMatch(/Note \(NOTE-A\), 10 decimals/);
  for (const output of [first, again.stdout()]) expect(output).toMatch(/NOTE-A is enabled\.\s*$/);
  expect(again.stdout()).not.toMatch(/added/);
  expect(refused.stderr()).toMatch(/Nothing of NOTE-Z was ever seen here: say whose it is by --admin/);
}, 120_000);

test('withdrawal-mirror: outcomes appear as rows', async () => {
  const [mirror = '', show = ''] = commandsOf('withdrawal-mirror');
  const file = { MIRROR_FILE: join(folder, 'mirror.sqlite') };

  const mirroring = run(mirror, file);
  await mirroring.waitFor(/wd_[0-9a-f]{40} COMPLETED [\d.]+ Amulet/);
  await end(mirroring);
  const shown = run(show, file);
  await shown.exited;

  const table = new DatabaseSync(file.MIRROR_FILE, { readOnly: true });
  const rows = table.prepare('SELECT * FROM outcome').all();
  table.close();
  expect(rows.length).toBeGreaterThan(0);
  expect(shown.stdout()).toContain(`${rows.length} outcomes`);
  expect(shown.stdout()).toContain(String(rows[0]?.['withdrawal_id']));
}, 90_000);

test('GraphiQL: every sample operation runs as it stands', async () => {
  const url = environment['SLUICE_URL'] ?? '';
  const ask = async (body: unknown): Promise<{ readonly data: unknown; readonly errors?: unknown }> => {
    const headers = { 'content-type': 'application/json' };
    return await (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
  };
  // As the page has them.
  const page = await (await fetch(url.replace('/graphql', '/graphiql'))).text();
  expect(page).toContain('my-first-withdrawal');
  const { data } = (await ask({
    query:
      '{ tokens { nodes { instrument { admin instrumentId } } } transfers(first: 1, direction: IN) { nodes { counterparty } } availableRange { to } }',
  })) as {
    data: {
      tokens: { nodes: { instrument: { admin: string; instrumentId: string } }[] };
      transfers: { nodes: { counterparty: string }[] };
      availableRange: { to: string }[];
    };
  };
  const instrument = data.tokens.nodes.find((token) => token.instrument.instrumentId === 'Amulet')?.instrument;
  const sample = {
    ...PLACEHOLDERS,
    idempotencyKey: 'sample-of-the-test',
    account: 'customer-1',
    instrumentAdmin: instrument?.admin ?? '',
    receiver: data.transfers.nodes[0]?.counterparty ?? '',
    asOf: data.availableRange[0]?.to ?? '',
  };

  for (const { query, variablesOf } of SAMPLE_TABS) {
    for (const node of parse(query).definitions) {
      if (node.kind !== Kind.OPERATION_DEFINITION) continue;
      const name = node.name?.value ?? '';
      const body = { query, variables: variablesOf?.(sample) ?? {}, operationName: name };
      if (node.operation === 'subscription') {
        const { status, stream } = await subscribeSse(url.replace('/graphql', ''), body);
        expect(status, name).toBe(200);
        if (['DepositFeed', 'Events', 'IngestionProgress', 'WithdrawalUpdated'].includes(name)) {
          expect((await stream.next())?.data, name).not.toContain('"errors"');
        }
        stream.cut();
      } else {
        expect((await ask(body)).errors, name).toBeUndefined();
      }
    }
  }
}, 60_000);

test.skipIf(executablePath === null)(
  'balance-page: live, exact, and as old as it says, also when Sluice is gone',
  async () => {
    const [serve = ''] = commandsOf('balance-page');
    const serving = run(serve, { PORT: '0' });
    const [, page = ''] = await serving.waitFor(/(http:\/\/127\.0\.0\.1:\d+\/\?customer=customer-1)/);
    browser = await openLocalBrowser(executablePath ?? '');
    const view = browser.page;
    await view.setViewportSize({ width: 1180, height: 1000 });
    await view.goto(page);
    const text = async (selector: string): Promise<string> => (await view.locator(selector).textContent()) ?? '';

    await eventually(async () => {
      expect(await text('#freshness')).toMatch(/^Live · ledger as of [\d.]+ s ago$/);
      expect(await text('#balances')).toMatch(/amulet[\d\s]+\.?\d*available/);
      expect(await text('#address')).toMatch(/treasury::1220[0-9a-f]+Memoacct-/);
    }, PATIENCE);
    // Customers deposit all the time: it moves by itself.
    const before = await text('#deposits');
    await eventually(async () => expect(await text('#deposits')).not.toBe(before), PATIENCE);
    await mkdir(ARTIFACTS, { recursive: true });
    const shot = await view.screenshot({ path: join(ARTIFACTS, 'balance-page.png') });
    expect(countColours(shot)).toBeGreaterThan(100);
    expect(browser.complaints).toEqual([]);

    // An event came and what it changed cannot be read: the page says so for as long as that is so, and no longer.
    await view.route('**/graphql', async (route) => await route.abort());
    await eventually(async () => expect(await text('#freshness')).toMatch(/^Not connected · as of \d/), PATIENCE);
    await view.unroute('**/graphql');
    await eventually(async () => expect(await text('#freshness')).toMatch(/^Live · ledger as of/), PATIENCE);
    // Nor does it pass for new where Sluice gives the last answer that it knows.
    await view.route('**/graphql', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('"IDLE"', '"LAST_KNOWN"') });
    });
    await eventually(async () => expect(await text('#freshness')).toMatch(/^Not connected · as of \d/), PATIENCE);
    await systemClock.sleep(3_000); // Messages of the ledger come on meanwhile.
    expect(await text('#freshness')).toMatch(/^Not connected · as of \d/);
    await view.unroute('**/graphql');
    await eventually(async () => expect(await text('#freshness')).toMatch(/^Live · ledger as of/), PATIENCE);

    await end(sluice, 'SIGINT');
    await eventually(async () => expect(await text('#freshness')).toMatch(/^Not connected · as of \d/), PATIENCE);
    const shown = await text('#balances');
    expect(shown).toMatch(/amulet[\d\s]+/);

    // What was true is still there to be read, and its age grows.
    expect(await text('#balances')).toBe(shown);
    expect(Number(await view.locator('main').evaluate((main) => getComputedStyle(main).opacity))).toBeLessThan(1);
    const ageOf = async (): Promise<number> => Number.parseFloat((await text('#freshness')).replace(/^\D+/, ''));
    const age = await ageOf();
    await eventually(async () => expect(await ageOf()).toBeGreaterThan(age), PATIENCE);
    await view.screenshot({ path: join(ARTIFACTS, 'balance-page-away.png') });
  },
  180_000,
);
