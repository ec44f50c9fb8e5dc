/**
 * Withdrawals across processes, as the README has it: the network in one, and Sluices in others that were given the variables it prints. The
 * network's own ledger says what was paid.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import {
  ask,
  type PrintedCustomer,
  type ServingSluice,
  type SimnetProcess,
  startServing,
  startSimnetProcess,
} from './simnet-process.ts';
import { startSluice } from './sluice-process.ts';

let simnet: SimnetProcess;
let database: TestDatabase;
let variables: Readonly<Record<string, string>>;
let first: ServingSluice;
let customer: PrintedCustomer;
/** Party id of somebody who does nothing but be paid. */
let payee: string;
const replicas: ServingSluice[] = [];

beforeAll(async () => {
  simnet = await startSimnetProcess('--interval', '400', '--customers', '2');
  database = await createTestDatabase({ isMigrated: false });
  variables = {
    ...simnet.variablesOf('participant1'),
    ...simnet.variablesOf('withdrawals'),
    // A short time to certainty, and a second attempt for a machine that is busy.
    SLUICE_WITHDRAWAL_TTL_SECONDS: '5',
    SLUICE_WITHDRAWAL_ATTEMPTS: '2',
  };
  const [printed] = simnet.customers;
  if (printed === undefined) throw new Error('No customer was printed.');
  customer = printed;
  payee = z.string().parse((await simnet.control('/party', { hint: 'payee', on: ['participant2'] }))['party']);
  await simnet.control('/preapprove', { instrument: 'amulet', receiver: payee });
  await simnet.control('/tap', { instrument: 'amulet', owner: 'treasury', amount: '1000' });
  first = await startServing(database, variables);
});

afterAll(async () => {
  for (const { process: running } of [first, ...replicas]) {
    running.child.kill('SIGKILL');
    await running.exited;
  }
  simnet.process.child.kill('SIGKILL');
  await database.close();
});

type Shown = {
  readonly withdrawalId: string;
  readonly state: string;
  readonly isFinal: boolean;
  readonly updateId: string | null;
  readonly definiteFailureProof: { readonly attempt: number } | null;
};

type Answer = { readonly replayed?: boolean; readonly withdrawal?: Shown; readonly code?: string };

const SHOWN = 'withdrawalId state isFinal updateId definiteFailureProof { attempt }';

async function create(
  sluice: Pick<ServingSluice, 'url'>,
  idempotencyKey: string,
  { receiver = payee, amount = '10' }: { readonly receiver?: string; readonly amount?: string } = {},
): Promise<Answer> {
  const [, instrumentAdmin = '', instrumentId = ''] =
    /amulet=([^/]+)\/([^,]+)/.exec(variables['SLUICE_INSTRUMENTS'] ?? '') ?? [];
  const { createWithdrawal } = await ask<{ createWithdrawal: Answer }>(
    sluice,
    `mutation ($input: CreateWithdrawalInput!) {
      createWithdrawal(input: $input) {
        ... on CreateWithdrawalPayload { replayed withdrawal { ${SHOWN} } }
        ... on Error { code }
      }
    }`,
    { input: { idempotencyKey, account: customer.name, instrumentAdmin, instrumentId, receiver, amount } },
  );
  return createWithdrawal;
}

/** The withdrawal of that key once it is final. */
async function untilFinal(idempotencyKey: string): Promise<Shown> {
  return await eventually(
    async () => {
      const { withdrawal } = await ask<{ withdrawal: Shown }>(
        first,
        `query ($key: String) { withdrawal(idempotencyKey: $key) { ${SHOWN} } }`,
        { key: idempotencyKey },
      );
      expect(withdrawal.isFinal).toBe(true);
      return withdrawal;
    },
    { deadlineMs: 40_000, intervalMs: 100 },
  );
}

/** By the network's own ledger. */
async function paidToPayee(): Promise<unknown> {
  return (await simnet.control('/balance', { instrument: 'amulet', owner: payee }))['balance'];
}

test('with the printed variables a withdrawal is paid, and one that the network loses fails with its proof', async () => {
  const asked = await create(first, 'paid', { receiver: customer.party });
  expect(asked).toMatchObject({ replayed: false, withdrawal: { state: 'QUEUED' } });
  expect(await untilFinal('paid')).toMatchObject({
    state: 'COMPLETED',
    updateId: expect.stringMatching(/^1220/),
    definiteFailureProof: null,
  });

  await simnet.control('/participants/participant1/submission-faults', { dropExecutes: { share: 1 } });
  await create(first, 'lost');
  expect(await untilFinal('lost')).toMatchObject({
    state: 'FAILED',
    updateId: null,
    definiteFailureProof: { attempt: 2 },
  });
  await simnet.control('/participants/participant1/submission-faults', {});
  expect(await paidToPayee()).toBe('0.0000000000');
}, 90_000);

test('the command line tells what is open and why, and the proof of what failed', async () => {
  const run = async (...args: readonly string[]) => {
    const command = startSluice(['withdrawals', ...args], { DATABASE_URL: database.connectionString });
    const { code } = await command.exited;
    expect(command.stderr()).toBe('');
    return { code, stdout: command.stdout() };
  };
  const { withdrawal: huge } = await create(first, 'huge', { amount: '123456789' });
  const { withdrawal: lost } = await create(first, 'lost');

  const open = await run();
  const all = await run('--all', '--account', customer.name);
  const shown = await run('show', lost?.withdrawalId ?? '');
  const unknown = await run('show', 'wd_none');

  expect(open.stdout).toMatch(
    new RegExp(`^${huge?.withdrawalId}  \\S+Z  123,456,789 amulet of "${customer.name}"  QUEUED, waits for FUNDS\\n$`),
  );
  expect(all.stdout.split('\n').map((line) => line.split('  ')[3])).toEqual([
    'QUEUED, waits for FUNDS',
    'FAILED: NOT_COMMITTED',
    'COMPLETED',
    undefined,
  ]);
  expect(shown.stdout).toMatch(/^state +FAILED: NOT_COMMITTED since /m);
  expect(shown.stdout).toMatch(/^why +The ledger passed \d{4}-/m);
  expect(shown.stdout).toMatch(/^proof +Attempt 2 could commit at \d{4}-.* refuse it from now on\.$/m);
  expect(shown.stdout).toMatch(/^attempt 2 +LAPSED, may commit until \S+Z, \d+ tries, a signature may exist$/m);
  expect([open.code, all.code, shown.code]).toEqual([0, 0, 0]);
  expect(unknown).toEqual({ code: EXIT_CODES.no.code, stdout: 'there is no withdrawal wd_none\n' });

  const { cancelWithdrawal } = await ask<{ cancelWithdrawal: unknown }>(
    first,
    `mutation { cancelWithdrawal(input: { idempotencyKey: "huge" }) {
      ... on CancelWithdrawalPayload { withdrawal { state } }
    } }`,
  );
  expect(cancelWithdrawal).toEqual({ withdrawal: { state: 'CANCELLED' } });
  expect((await run()).stdout).toBe('nothing is open\n');
}, 90_000);

test('a key is the same withdrawal after the process was killed, and another input under it is refused', async () => {
  const before = await create(first, 'kept');
  first.process.child.kill('SIGKILL');
  await first.process.exited;
  // What was in flight may have lapsed by the time the next process is up; this one then tries again.
  variables = { ...variables, SLUICE_WITHDRAWAL_TTL_SECONDS: '60', SLUICE_WITHDRAWAL_ATTEMPTS: '10' };
  first = await startServing(database, variables);

  const after = await create(first, 'kept');

  expect(after).toMatchObject({ replayed: true, withdrawal: { withdrawalId: before.withdrawal?.withdrawalId } });
  expect(await create(first, 'kept', { amount: '10.0000000001' })).toEqual({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect(await create(first, 'lost')).toMatchObject({ replayed: true, withdrawal: { state: 'FAILED' } });
  expect(await untilFinal('kept')).toMatchObject({ state: 'COMPLETED' });
  expect(await paidToPayee()).toBe('10.0000000000');
}, 90_000);

test('a hundred parallel retries, spread over two processes, are one withdrawal and one transfer', async () => {
  replicas.push(await startServing(database, { ...variables, SLUICE_ROLE: 'api' }));
  const instances = [first, ...replicas];

  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => await create(instances[index % 2] ?? first, 'hundred')),
  );

  expect(new Set(answers.map(({ withdrawal }) => withdrawal?.withdrawalId)).size).toBe(1);
  expect(answers.filter(({ replayed }) => replayed === false)).toHaveLength(1);
  expect(await untilFinal('hundred')).toMatchObject({ state: 'COMPLETED' });
  // Money enough for a second one, and a deposit to wait for: whatever was submitted before it is on the ledger by then.
  const { updateId } = await simnet.control('/tap', { instrument: 'amulet', owner: 'treasury', amount: '100' });
  await eventually(async () => {
    const { transfers } = await ask<{ transfers: { nodes: readonly { updateId: string }[] } }>(
      first,
      '{ transfers(first: 50) { nodes { updateId } } }',
    );
    expect(transfers.nodes).toContainEqual({ updateId });
  });
  expect(await paidToPayee()).toBe('20.0000000000');
  const { withdrawals } = await ask<{ withdrawals: { nodes: readonly { idempotencyKey: string }[] } }>(
    first,
    '{ withdrawals(first: 100) { nodes { idempotencyKey } } }',
  );
  expect(withdrawals.nodes.map(({ idempotencyKey }) => idempotencyKey)).toEqual([
    'hundred',
    'kept',
    'huge',
    'lost',
    'paid',
  ]);
}, 90_000);
