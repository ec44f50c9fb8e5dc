/**
 * As the README has it: a simulated network in one process, two Sluices in others, each on another participant of the same treasury party
 * and with a database of its own. What the ledger did has the same ids in both.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type ServingSluice, type SimnetProcess, startServing, startSimnetProcess } from './simnet-process.ts';
import { startSluice } from './sluice-process.ts';

let simnet: SimnetProcess;
let first: ServingSluice;
let second: ServingSluice;

beforeAll(async () => {
  simnet = await startSimnetProcess('--interval', '150', '--customers', '3');
  [first, second] = await Promise.all([startOn('participant1'), startOn('participant2')]);
});

afterAll(async () => {
  for (const { process: running, database } of [first, second]) {
    running.child.kill('SIGKILL');
    await running.exited;
    await database.close();
  }
  simnet.process.child.kill('SIGKILL');
});

async function startOn(participant: string): Promise<ServingSluice> {
  const database = await createTestDatabase({ isMigrated: false });
  return await startServing(database, simnet.variablesOf(participant));
}

type ShownTransfer = {
  readonly transferId: string;
  readonly updateId: string;
  readonly recordTime: string;
  readonly amount: string;
  readonly memo: string | null;
  readonly instrument: { readonly instrumentId: string };
};

/** Every transfer, pages read to the end. */
async function readTransfers(sluice: ServingSluice): Promise<ReadonlyMap<string, ShownTransfer>> {
  type Answer = { transfers: { nodes: ShownTransfer[]; pageInfo: { hasNextPage: boolean; endCursor: string } } };
  const transfers = new Map<string, ShownTransfer>();
  for (let after: string | null = null; ; ) {
    const answer: Answer = await ask<Answer>(
      sluice,
      `query ($after: String) {
        transfers(first: 100, after: $after) {
          nodes { transferId updateId recordTime amount memo instrument { instrumentId } }
          pageInfo { hasNextPage endCursor }
        }
      }`,
      { after },
    );
    for (const transfer of answer.transfers.nodes) transfers.set(transfer.transferId, transfer);
    if (!answer.transfers.pageInfo.hasNextPage) return transfers;
    after = answer.transfers.pageInfo.endCursor;
  }
}

type Credit = { readonly eventId: string; readonly depositAccountId: string; readonly transferId: string };

async function readCredits({ database }: ServingSluice): Promise<readonly Credit[]> {
  const rows = await database.db
    .selectFrom('event')
    .selectAll()
    .where('type', '=', 'deposit.credited')
    .orderBy('position')
    .execute();
  return rows.map(({ event_id: eventId, payload }) => {
    const { depositAccountId, transferId } = payload as { depositAccountId: string; transferId: string };
    return { eventId, depositAccountId, transferId };
  });
}

test('two Sluices on two participants give the same deposits the same ids', async () => {
  for (const sluice of [first, second]) {
    for (const { name, memo } of simnet.customers) {
      await ask(
        sluice,
        'mutation ($input: CreateDepositAccountInput!) { createDepositAccount(input: $input) { __typename } }',
        {
          input: { account: name, memo },
        },
      );
    }
  }

  const credits = await eventually(
    async () => {
      const [ofFirst, ofSecond] = await Promise.all([readCredits(first), readCredits(second)]);
      // The account was opened in one of them a moment earlier: what both credited is compared.
      const both = ofFirst.filter(({ transferId }) => ofSecond.some((credit) => credit.transferId === transferId));
      expect(both.length).toBeGreaterThanOrEqual(20);
      return { both, ofSecond };
    },
    { deadlineMs: 25_000, intervalMs: 200 },
  );
  for (const credit of credits.both) expect(credits.ofSecond).toContainEqual(credit);
});

test('everything that both have seen is the same in both, though their participants number it differently', async () => {
  const [ofFirst, ofSecond] = await Promise.all([readTransfers(first), readTransfers(second)]);
  const newest = (transfers: ReadonlyMap<string, ShownTransfer>): string =>
    [...transfers.values()]
      .map(({ recordTime }) => recordTime)
      .sort()
      .at(-1) ?? '';
  const seenByBoth = [newest(ofFirst), newest(ofSecond)].sort()[0] ?? '';
  const until = (transfers: ReadonlyMap<string, ShownTransfer>) =>
    new Map([...transfers].filter(([, { recordTime }]) => recordTime <= seenByBoth));

  expect(until(ofFirst).size).toBeGreaterThan(20);
  expect(until(ofFirst)).toEqual(until(ofSecond));

  const offsets = async ({ database }: ServingSluice) =>
    new Map(
      (await database.db.selectFrom('ledger_update').select(['update_id', 'ledger_offset']).execute()).map((row) => [
        row.update_id,
        row.ledger_offset,
      ]),
    );
  const [offsetsOfFirst, offsetsOfSecond] = await Promise.all([offsets(first), offsets(second)]);
  const shared = [...offsetsOfFirst].filter(([updateId]) => offsetsOfSecond.has(updateId));
  expect(shared.every(([updateId, offset]) => offsetsOfSecond.get(updateId) !== offset)).toBe(true);
});

const verify = async () => {
  const running = startSluice(['verify'], { DATABASE_URL: first.database.connectionString });
  const { code } = await running.exited;
  return { code, said: running.stdout() };
};

test('verify says yes beside the running stream', async () => {
  const right = await verify();
  expect(right.said).toMatch(/simnet treasury: \d+ updates derived again, all tables equal\nbooks: agree/);
  expect(right.code).toBe(EXIT_CODES.done.code);
});

test('a taken port is told by name, and SIGTERM ends each in order', async () => {
  const port = new URL(first.url).port;
  const late = startSluice(['serve'], {
    DATABASE_URL: second.database.connectionString,
    SLUICE_PORT: port,
    SLUICE_LEDGER_URL: 'http://127.0.0.1:1',
    SLUICE_NETWORK: 'simnet',
    SLUICE_TREASURY_PARTIES: 'a::12',
    SLUICE_INSTRUMENTS: 'CC=b::12/Amulet',
  });
  expect(await late.exited).toMatchObject({ code: EXIT_CODES.refused.code });
  expect(late.stderr()).toMatch(new RegExp(`LISTEN_FAILED: Cannot listen on 127.0.0.1:${port}`));
  expect(late.stderr()).not.toMatch(/ at .*\.ts:/);

  for (const { process: running } of [first, second]) {
    expect(await running.stop()).toEqual({ code: EXIT_CODES.done.code, signal: null });
    expect(running.stderr()).toBe('');
  }
  expect(await simnet.process.stop()).toEqual({ code: EXIT_CODES.done.code, signal: null });
});

// Once nobody serves any more: whoever does looks as well, at any moment, and says on its terminal what it finds.
test('verify says no once a row was changed by hand', async () => {
  const { contract_id: changed } = await first.database.db
    .updateTable('holding')
    .set({ amount: '123456.0000000001' })
    .where('contract_id', '=', (query) =>
      query.selectFrom('holding').select('contract_id').where('archived_update_id', 'is', null).limit(1),
    )
    .returning('contract_id')
    .executeTakeFirstOrThrow();
  const wrong = await verify();

  expect(wrong.code).toBe(EXIT_CODES.no.code);
  expect(wrong.said).toMatch(/TABLES DIFFER/);
  expect(wrong.said).toContain(changed);
  expect(wrong.said).toMatch(/books: FAULTS\n {2}treasury::\w+ holds \d+/);
});
