/**
 * A2: a participant that answers UNAVAILABLE for longer than all tries last. The real command, with a clock shortened by its own settings: what was tried, what is said at the end, who starts again,
 * what readers see meanwhile, and that nothing is missing afterwards.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

vi.setConfig({ testTimeout: 120_000 });

const TRIES = 6;
const DELAY_MS_MAX = 1_600;
const UNAVAILABLE = knownRefusal('SERVICE_NOT_RUNNING');

let database: TestDatabase;
let simnet: TestNetwork;
let running: SluiceProcess[];
let paid: number;
/** When the participant was asked who it is, which every try begins with; milliseconds. */
let triedAt: number[];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('outage');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  running = [];
  paid = 0;
  triedAt = [];
  const { faults } = simnet.network.participant('participant1');
  const { admit } = faults as unknown as { admit: (call: string) => void };
  Object.assign(faults, {
    admit: (call: string) => {
      if (call === 'getParticipantId') triedAt.push(Number(systemClock.nowMicros() / 1_000n));
      admit(call);
    },
  });
});

afterEach(async () => {
  for (const { child, exited } of running) {
    child.kill('SIGKILL');
    await exited;
  }
  await simnet.stop();
  await database.close();
});

function start(role: 'all' | 'worker'): SluiceProcess {
  const sluice = startSluice(['serve'], {
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_ROLE: role,
    SLUICE_PORT: '0',
    SLUICE_RECONNECT_TRIES: String(TRIES),
    SLUICE_RECONNECT_DELAY_MS: String(DELAY_MS_MAX),
    SLUICE_LOG_LEVEL: 'warn',
  });
  running.push(sluice);
  return sluice;
}

function payIn(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
}

const allCredited = () =>
  eventually(
    async () => {
      const { rows } = await sql<{ total: string | null }>`
        SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
        database.db,
      );
      expect(Number(rows[0]?.total ?? 0)).toBe(paid);
    },
    { deadlineMs: 45_000, intervalMs: 50 },
  );

async function ageMs(url: string): Promise<number> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ ingestionStreams { freshness { ageMs } } }' }),
  });
  const { data, errors } = (await response.json()) as {
    data: { ingestionStreams: { freshness: { ageMs: number } }[] };
    errors?: unknown;
  };
  expect(errors).toBe(undefined);
  return data.ingestionStreams[0]?.freshness.ageMs ?? Number.NaN;
}

type Line = { readonly msg: string } & Readonly<Record<string, unknown>>;
const saidBy = (sluice: SluiceProcess): readonly Line[] =>
  sluice
    .stderr()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

async function expectConsistent(): Promise<void> {
  for (const treasury of await registerCatalog(database.db, simnet.catalog)) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
}

const LAST_WORD = 'The worker gives up; everything up to its position is stored.';
const STARTED_ANEW = 'The workers have ended and are started anew.';

test('A2: beside an API the workers try with growing gaps, say where they stand, and are started anew; readers are answered with a growing age; after healing nothing is missing', async () => {
  const sluice = start('all');
  const [, url = ''] = await sluice.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
  for (let count = 0; count < 3; count += 1) payIn();
  await allCredited();
  const { faults } = simnet.network.participant('participant1');
  const { verified_offset: offset, ledger_offset: position } = await database.db
    .selectFrom('ingestion_stream')
    .selectAll()
    .executeTakeFirstOrThrow();

  triedAt = [];
  faults.rejectCalls({ refusal: UNAVAILABLE, share: 1 });
  faults.abortStreams(UNAVAILABLE);
  payIn();
  const ages: number[] = [];
  await eventually(
    async () => {
      ages.push(await ageMs(url));
      expect(saidBy(sluice).filter(({ msg }) => msg === STARTED_ANEW).length).toBeGreaterThanOrEqual(2);
    },
    { deadlineMs: 60_000, intervalMs: 200 },
  );

  // Readers were answered all the time, and the age grew all the time.
  expect(ages.length).toBeGreaterThan(10);
  expect(ages.every((age, index) => index === 0 || age > (ages[index - 1] ?? 0))).toBe(true);
  // The tries of the first life: as many as configured, the waits between a half and the whole of 0.1, 0.2, 0.4, 0.8 and 1.6 s, and no try before its wait is over.
  const tries = saidBy(sluice)
    .filter(({ msg }) => msg === 'The stream will be resumed.')
    .slice(0, TRIES - 1);
  expect(tries.map(({ attemptsLeft }) => attemptsLeft)).toEqual([5, 4, 3, 2, 1]);
  for (const [index, { delayMs, time }] of tries.entries()) {
    const ceiling = Math.min(DELAY_MS_MAX, 100 * 2 ** index);
    expect(Number(delayMs)).toBeGreaterThanOrEqual(ceiling / 2);
    expect(Number(delayMs)).toBeLessThanOrEqual(ceiling);
    const next = tries[index + 1];
    if (next !== undefined) {
      expect(Date.parse(String(next['time'])) - Date.parse(String(time))).toBeGreaterThanOrEqual(Number(delayMs) - 5);
    }
  }
  // Two lives, no try beyond those of each, the first ones of a third, and looks of the background check.
  expect(triedAt.length).toBeLessThanOrEqual(3 * TRIES + 6);
  const lastWords = saidBy(sluice).filter(({ msg }) => msg === LAST_WORD);
  expect(lastWords[0]).toMatchObject({
    level: 50,
    treasury: 'treasury',
    epoch: 1,
    endpoints: [{ url: simnet.ledgerUrl(), lastError: expect.stringContaining('SERVICE_NOT_RUNNING') }],
    why: expect.stringContaining('SERVICE_NOT_RUNNING'),
  });
  expect(BigInt(String(lastWords[0]?.['offset']))).toBeGreaterThanOrEqual(position);
  // The pauses between lives grow as well.
  const pauses = saidBy(sluice).filter(({ msg }) => msg === STARTED_ANEW);
  expect(Number(pauses[1]?.['pauseMs'])).toBeGreaterThan(Number(pauses[0]?.['pauseMs']));

  faults.acceptCalls();
  payIn();
  await allCredited();
  await expectConsistent();
  expect(await ageMs(url)).toBeLessThan(ages.at(-1) ?? 0);
  expect(offset).not.toBe(null);
  expect(await sluice.stop()).toEqual({ code: EXIT_CODES.done.code, signal: null });
});

test('A2: a process that is a worker only ends with the code that asks for a restart, and what is started then goes on', async () => {
  const first = start('worker');
  payIn();
  await allCredited();
  const { faults } = simnet.network.participant('participant1');
  faults.rejectCalls({ refusal: UNAVAILABLE, share: 1 });
  faults.abortStreams(UNAVAILABLE);
  payIn();

  expect(await first.exited).toEqual({ code: EXIT_CODES.retry.code, signal: null });
  expect(saidBy(first).map(({ msg }) => msg)).toContain(LAST_WORD);
  expect(first.stderr()).toMatch(/^SERVICE_NOT_RUNNING: /m);
  expect(first.stderr()).not.toMatch(/ at .*\.ts:/);

  const second = start('worker');
  await eventually(() => expect(saidBy(second).some(({ msg }) => msg === 'The stream will be resumed.')).toBe(true), {
    deadlineMs: 30_000,
  });
  faults.acceptCalls();
  await allCredited();
  await expectConsistent();
});
