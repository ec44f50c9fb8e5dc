/**
 * Goal: whatever is away, an answer is at least as fresh as it says. Method: deposits keep coming, database and participant are cut off, held and let go by a seeded dice, several callers ask all the time, and at the end
 * every answer is held against what the database knows by then: when each deposit happened on the ledger, and at which position of the log it was told.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Service, startService } from '../../src/cli/service.ts';
import { loadConfig } from '../../src/config/config.ts';
import { parseEventCursor } from '../../src/db/event-cursor.ts';
import type { Micros } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { parseRecordTime } from '../../src/env/record-time.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { type Answer, post } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 30_000 });

const SECONDS = Number(process.env['FRESHNESS_SECONDS'] ?? '12');
const SEED = Number(process.env['FRESHNESS_SEED'] ?? '1');

let database: TestDatabase;
let simnet: TestNetwork;
let service: Service;
let databaseProxy: TcpProxy;
let ledgerProxy: TcpProxy;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('truth', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '100000' });
  const url = new URL(database.connectionString);
  databaseProxy = await createTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${databaseProxy.port}`;
  const ledger = new URL(simnet.ledgerUrl());
  ledgerProxy = await createTcpProxy({ host: ledger.hostname, port: Number(ledger.port) });
  const { databaseUrl, ...config } = loadConfig({
    DATABASE_URL: url.href,
    SLUICE_LEDGER_URL: `http://127.0.0.1:${ledgerProxy.port}`,
    SLUICE_RECONNECT_DELAY_MS: '200',
    SLUICE_RECONNECT_TRIES: '1000',
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_PORT: '0',
  });
  const logger = createSystemLogger('silent');
  const env = { clock: systemClock, random: systemRandom, logger, failpoint: noFailpoints };
  service = await startService({ config, connectionString: databaseUrl?.reveal() ?? '', env });
});

afterEach(async () => {
  await service.stop();
  await databaseProxy.close();
  await ledgerProxy.close();
  await simnet.stop();
  await database.close();
});

type Told = {
  readonly question: string;
  readonly askedAt: Micros;
  readonly answeredAt: Micros;
  readonly state: string;
  readonly ageMs: number | null;
  readonly recordTime: Micros | null;
  readonly position: bigint;
  /** How many deposits the answer has in it. */
  readonly count: number;
};

const FRESHNESS = 'freshness { state ageMs recordTime position }';
/** The first is on the short list, the second is not; the freshness comes first or last in the document. */
const QUESTIONS = [
  `{ ${FRESHNESS} accounts { nodes { customer balances { amount } } } }`,
  `{ accounts { nodes { customer balances { amount } } } ${FRESHNESS} }`,
  `{ accounts { nodes { customer balances { amount } } } eventLog { epoch } ${FRESHNESS} }`,
];

function toldBy(question: string, times: Pick<Told, 'askedAt' | 'answeredAt'>, { data }: Answer): Told {
  const { state, ageMs, recordTime, position } = data.freshness;
  const [alice] = data.accounts.nodes.filter(({ customer }: { customer: string | null }) => customer === 'alice');
  return {
    ...times,
    question,
    state,
    ageMs,
    recordTime: recordTime === null ? null : parseRecordTime(recordTime),
    position: parseEventCursor(position).position,
    count: Number(alice?.balances[0]?.amount ?? 0),
  };
}

test(`H12: every answer, in every mode, is at least as fresh as it says (seed ${SEED})`, async () => {
  const dice = createSeededRandom(SEED);
  const answers: Told[] = [];
  const others: Answer[] = [];
  const ending = new AbortController();
  const { signal } = ending;

  async function keepAsking(question: string): Promise<void> {
    while (!signal.aborted) {
      const askedAt = systemClock.nowMicros();
      const answer = await post(service.url ?? '', { query: question });
      const answeredAt = systemClock.nowMicros();
      if (answer.errors === undefined) answers.push(toldBy(question, { askedAt, answeredAt }, answer));
      else others.push(answer);
      await systemClock.sleep(5);
    }
  }

  async function keepPaying(): Promise<void> {
    while (!signal.aborted) {
      simnet.network.transfer({
        instrument: 'amulet',
        sender: 'alice',
        receiver: 'treasury',
        amount: '1',
        memo: 'alice-memo',
      });
      await systemClock.sleep(8);
    }
  }

  async function keepBreaking(): Promise<void> {
    // Once for certain, whatever the dice say: the database is away when there are answers to remember.
    await eventually(() => expect(answers.length).toBeGreaterThan(20), { deadlineMs: 8_000 });
    await databaseProxy.refuse();
    await systemClock.sleep(1_500);
    await databaseProxy.admit();
    while (!signal.aborted) {
      const isDatabase = dice.next() < 0.6;
      const proxy = isDatabase ? databaseProxy : ledgerProxy;
      const kind = dice.next();
      if (kind < 0.3) proxy.cut();
      else if (kind < 0.65) {
        await proxy.refuse();
        await systemClock.sleep(800 * dice.next());
        await proxy.admit();
      } else {
        proxy.silence();
        await systemClock.sleep(1_200 * dice.next());
        proxy.speak();
      }
      await systemClock.sleep(1_500 * dice.next());
    }
  }

  const working = [...QUESTIONS, ...QUESTIONS, ...QUESTIONS].map(keepAsking);
  working.push(keepPaying(), keepBreaking());
  await systemClock.sleep(SECONDS * 1_000);
  ending.abort();
  await Promise.all(working);

  const deposits = await truth();
  for (const told of answers) expectTrue(told, deposits);
  const known = answers.filter(({ state }) => state === 'LAST_KNOWN');
  for (const told of known) expectOld(told, answers);
  if (process.env['FRESHNESS_REPORT'] !== undefined)
    process.stdout.write(`${answers.length} ${known.length} ${others.length} ${deposits.length}\n`);
  // None of it was for nothing.
  expect(known.length).toBeGreaterThan(3);
  expect(answers.length - known.length).toBeGreaterThan(30);
  for (const { status, errors } of others) expect([status, errors[0].extensions.code]).toEqual([503, 'UNAVAILABLE']);
});

type Truth = { readonly recordTime: Micros; readonly position: bigint };

/** Of every deposit, once all of them are there. */
async function truth(): Promise<readonly Truth[]> {
  const paid = Number(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
  return await eventually(
    async () => {
      const { rows } = await sql<Truth>`
        SELECT transfer.record_time AS "recordTime", event.position
        FROM transfer JOIN event ON event.subject = transfer.id
        WHERE transfer.memo = 'alice-memo'`.execute(database.db);
      const first = rows.filter(
        ({ recordTime }, index) => rows.findIndex((row) => row.recordTime === recordTime) === index,
      );
      expect(first.length).toBe(paid);
      return first;
    },
    { deadlineMs: 40_000, intervalMs: 200 },
  );
}

function expectTrue(told: Told, deposits: readonly Truth[]): void {
  const { recordTime, position, count, ageMs, askedAt, answeredAt, state } = told;
  const byThen = deposits.filter((deposit) => recordTime !== null && deposit.recordTime <= recordTime).length;
  const byPosition = deposits.filter((deposit) => deposit.position <= position).length;
  expect(count, 'has all of the ledger up to its record time').toBeGreaterThanOrEqual(byThen);
  expect(count, 'has every event up to its position').toBeGreaterThanOrEqual(byPosition);
  if (recordTime === null) return;
  const ageAt = (now: Micros): number => Math.max(0, Number((now - recordTime) / 1_000n));
  expect(ageMs, 'is as old as it says').toBeGreaterThanOrEqual(ageAt(askedAt));
  if (state !== 'LAST_KNOWN') expect(ageMs, 'is no older than it is').toBeLessThanOrEqual(ageAt(answeredAt));
}

/** A last known answer is that of a fresh one before it, and as old as that at least. */
function expectOld(told: Told, answers: readonly Told[]): void {
  const before = answers.filter(
    ({ question, state, askedAt }) => question === told.question && state !== 'LAST_KNOWN' && askedAt < told.answeredAt,
  );
  const same = before.filter(({ count }) => count === told.count);
  expect(same.length, 'was given before').toBeGreaterThan(0);
  const leastMs = Math.min(...same.map(({ answeredAt }) => Number((told.askedAt - answeredAt) / 1_000n)));
  expect(told.ageMs, 'is as old as what it repeats').toBeGreaterThanOrEqual(leastMs);
}
