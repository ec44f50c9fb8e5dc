/**
 * Screening as an installation has it: two variables, a process that is killed between question and answer, and another one that takes its place. The deposit is held
 * until the service allows it, an offer is not accepted before, and each is credited once.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { SCREENING_SECRET, type ScreeningServer, startScreeningServer } from '../support/screening-server.ts';
import { ask, type ServingSluice, type SimnetProcess, startServing, startSimnetProcess } from './simnet-process.ts';

let simnet: SimnetProcess;
let service: ScreeningServer;
let database: TestDatabase;
let variables: Readonly<Record<string, string>>;
let sluice: ServingSluice;

beforeAll(async () => {
  // Without customers, whose first deposit may be an offer: what is paid here is paid by this test.
  simnet = await startSimnetProcess('--customers', '0');
  service = await startScreeningServer('hang');
  database = await createTestDatabase({ isMigrated: false });
  variables = {
    ...simnet.variablesOf('participant1'),
    ...simnet.variablesOf('withdrawals'),
    SLUICE_SCREENING_URL: service.url,
    SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
  };
  await simnet.control('/party', { hint: 'payer', on: ['participant2'] });
  await simnet.control('/tap', { instrument: 'amulet', owner: 'payer', amount: '1000' });
  sluice = await startServing(database, variables);
});

afterAll(async () => {
  sluice.process.child.kill('SIGKILL');
  await sluice.process.exited;
  simnet.process.child.kill('SIGKILL');
  await service.stop();
  await database.close();
});

const pay = async (amount: string, more: Record<string, unknown> = {}) =>
  await simnet.control('/transfer', {
    instrument: 'amulet',
    sender: 'payer',
    receiver: 'treasury',
    amount,
    memo: 'E-1',
    ...more,
  });

const credited = async (): Promise<readonly string[]> => {
  const { accounts } = await ask<{ accounts: { nodes: { customer: string; balances: { amount: string }[] }[] } }>(
    sluice,
    '{ accounts { nodes { customer balances { amount } } } }',
  );
  return accounts.nodes.flatMap(({ balances }) => balances.map(({ amount }) => amount));
};

const states = async (): Promise<readonly string[]> => {
  const { screenings } = await ask<{ screenings: { nodes: { state: string }[] } }>(
    sluice,
    '{ screenings { nodes { state } } }',
  );
  return screenings.nodes.map(({ state }) => state);
};

const PATIENT = { deadlineMs: 60_000 };

test('held while it hangs and through a kill, credited once when it allows; offers likewise', {
  timeout: 180_000,
}, async () => {
  await ask(sluice, 'mutation { createDepositAccount(input: { account: "erin", memo: "E-1" }) { __typename } }');
  await pay('5');
  await eventually(() => expect(service.asked).toHaveLength(1), PATIENT);
  expect(await credited()).toEqual([]);
  const held = await ask(sluice, '{ accounts { nodes { customer held { amount } } } }');
  expect(held).toEqual({ accounts: { nodes: [{ customer: 'erin', held: [{ amount: '5.0000000000' }] }] } });

  sluice.process.child.kill('SIGKILL');
  await sluice.process.exited;
  service.behave(({ amount }) => (amount === '7.0000000000' ? 'deny' : 'allow'));
  await pay('7', { kind: 'offer' });
  sluice = await startServing(database, variables);
  // The question that hung is asked again half a minute after it was asked first.
  await eventually(async () => expect([...(await states())].sort()).toEqual(['ALLOWED', 'DENIED']), PATIENT);
  expect(await credited()).toEqual(['5.0000000000']);
  const { offers } = await ask<{ offers: { nodes: { status: string }[] } }>(sluice, '{ offers { nodes { status } } }');
  expect(offers.nodes).toEqual([{ status: 'OPEN' }]);

  await pay('3', { kind: 'offer' });
  await eventually(async () => expect(await credited()).toEqual(['8.0000000000']), PATIENT);
  expect(service.forged).toEqual([]);
});
