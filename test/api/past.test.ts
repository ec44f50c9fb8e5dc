/**
 * Balances of the past against what the API itself said at the time, and the proof of what moved: over a simulated network, by real ingestion.
 * Each step of the scene is followed by a look at the present; at the end the past is asked about each of those looks.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let api: TestApi;

type Sums = Record<string, { total: string; available: string; locked: string; incoming: string }>;
type Look = { readonly recordTime: string; readonly cursor: string; readonly sums: Sums; readonly books: unknown };

const looks: Look[] = [];
let offer: { readonly updateId: string; readonly transferId: string };
let taken: { readonly updateId: string };
let deposit: { readonly updateId: string; readonly transferId: string };

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('past', { treasuryPreapprovals: ['amulet'] });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  const { connectionString } = database;
  ingestion = await startIngestion({ connectionString, ledgerUrl: simnet.ledgerUrl(), catalog: simnet.catalog });
  api = await startApi(database);
  const { network } = simnet;
  for (const owner of ['alice', 'bob']) {
    network.tap({ instrument: 'amulet', owner, amount: '50' });
    network.tap({ instrument: 'note', owner, amount: '50' });
  }
  const pay = { instrument: 'amulet', receiver: 'treasury' };
  deposit = await seen(network.transfer({ ...pay, sender: 'alice', amount: '5', memo: 'alice-memo' }).updateId);
  await seen(network.transfer({ ...pay, sender: 'bob', amount: '7.25', memo: 'bob-memo' }).updateId);
  await seen(network.transfer({ ...pay, sender: 'bob', amount: '1.5', memo: 'nobody' }).updateId);
  const made = network.transfer({
    instrument: 'note',
    sender: 'bob',
    receiver: 'treasury',
    amount: '7.5',
    memo: 'bob-memo',
  });
  offer = await seen(made.updateId);
  taken = network.withdraw({ instructionCid: made.instructionCid ?? '' });
  await seen(taken.updateId);
  await seen(network.transfer({ ...pay, sender: 'alice', amount: '0.0000000001', memo: 'alice-memo' }).updateId);
});

afterAll(async () => {
  await api.stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const NOW = `{
  eventLog { headCursor }
  balances { nodes { total available locked incoming reserved held instrument { name } } }
  accounts { nodes { customer balances { amount instrument { name } } } }
}`;

/** Waits until an update was read and everything it led to is in the log, and then looks at the present. */
async function seen(updateId: string): Promise<{ updateId: string; transferId: string }> {
  let transferId = '';
  let recordTime = '';
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { data, errors } = await api.query(
      'query ($updateId: String!) { explain(updateId: $updateId) { recordTime transfers { transferId } } }',
      { updateId },
    );
    expect(errors).toBeUndefined();
    transferId = data.explain[0].transfers[0].transferId;
    recordTime = data.explain[0].recordTime;
    expect(await database.db.selectFrom('event_outbox').select('seq').execute()).toEqual([]);
    const end = await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
    expect(api.log.tail.head().position).toBe(end.last_position);
  });
  const { data, errors } = await api.query(NOW);
  expect(errors).toBeUndefined();
  looks.push({
    recordTime,
    cursor: data.eventLog.headCursor,
    sums: sumsOf(data.balances.nodes),
    books: data.accounts.nodes,
  });
  return { updateId, transferId };
}

type Named = { instrument: { name: string }; total: string; available: string; locked: string; incoming: string };

function sumsOf(nodes: readonly Named[]): Sums {
  return Object.fromEntries(
    nodes.map(({ instrument, total, available, locked, incoming }) => [
      instrument.name,
      { total, available, locked, incoming },
    ]),
  );
}

const THEN = `query ($asOf: AsOf!) {
  balancesAsOf(asOf: $asOf) { nodes { recordTime total available locked incoming instrument { name } } }
  accounts { nodes { customer balancesAsOf(asOf: $asOf) { amount instrument { name } } } }
}`;

test('as of each record time the balances are what they were when it was the present', async () => {
  expect(looks.length).toBe(6);
  for (const { recordTime, sums, books } of looks) {
    const { data, errors } = await api.query(THEN, { asOf: { recordTime } });

    expect(errors).toBeUndefined();
    expect(sumsOf(data.balancesAsOf.nodes)).toEqual(sums);
    const past = data.accounts.nodes.map((node: Record<string, unknown>) => ({
      customer: node['customer'],
      balances: node['balancesAsOf'],
    }));
    expect(past).toEqual(books);
  }
});

test('a microsecond before, the update is not in them', async () => {
  const [first, second] = looks;
  if (first === undefined || second === undefined) throw new Error('Nothing was looked at.');
  const before = second.recordTime.replace(
    /(\d{6})Z$/,
    (_all, micros: string) => `${String(Number(micros) - 1).padStart(6, '0')}Z`,
  );

  const { data } = await api.query(THEN, { asOf: { recordTime: before } });

  expect(sumsOf(data.balancesAsOf.nodes)).toEqual(first.sums);
});

test('as of a cursor they are those of the last update that the log had told of', async () => {
  for (const look of looks) {
    const { data, errors } = await api.query(THEN, { asOf: { cursor: look.cursor } });
    expect(errors).toBeUndefined();
    const told = data.balancesAsOf.nodes[0].recordTime;
    // An offer that ends without a credit is told by no event of its own: then the cursor means an earlier update.
    expect(told <= look.recordTime).toBe(true);
    const same = looks.find(({ recordTime }) => recordTime === told);
    expect(sumsOf(data.balancesAsOf.nodes)).toEqual(same?.sums);
  }
});

test('what is held is credited to customers, or to nobody yet', async () => {
  const { data } = await api.query(NOW);
  const amulet = data.balances.nodes.find((node: Named) => node.instrument.name === 'amulet');
  const units = (text: string): bigint => BigInt(text.replace('.', ''));
  const credited = data.accounts.nodes
    .flatMap((account: { balances: { amount: string; instrument: { name: string } }[] }) => account.balances)
    .filter((balance: { instrument: { name: string } }) => balance.instrument.name === 'amulet')
    .reduce((sum: bigint, balance: { amount: string }) => sum + units(balance.amount), 0n);

  expect(amulet.held).toBe('1.5000000000');
  expect(units(amulet.total)).toBe(credited + units(amulet.held));
  expect(units(amulet.total)).toBe(units(amulet.available) + units(amulet.locked));
});

test.each([
  ['neither', {}, 'FILTER_INVALID'],
  ['both', { recordTime: '2026-11-22T00:00:00.000000Z', cursor: 'x' }, 'FILTER_INVALID'],
  ['before the history', { recordTime: '2001-01-01T00:00:00.000000Z' }, 'AS_OF_NOT_KNOWN'],
  ['the future', { recordTime: '9000-01-01T00:00:00.000000Z' }, 'AS_OF_NOT_KNOWN'],
  ['a cursor of nobody', { cursor: 'bm9uc2Vuc2U' }, 'CURSOR_INVALID'],
])('%s: refused', async (_what, asOf, code) => {
  const { errors } = await api.query('query ($asOf: AsOf!) { balancesAsOf(asOf: $asOf) { nodes { total } } }', {
    asOf,
  });

  expect(errors[0].extensions.code).toBe(code);
});

test('what can be asked for is told, and both of its ends can be', async () => {
  const { data } = await api.query('{ availableRange { from to treasury { name } } }');
  const [range] = data.availableRange;

  for (const recordTime of [range.from, range.to]) {
    const { errors } = await api.query(THEN, { asOf: { recordTime } });
    expect(errors).toBeUndefined();
  }
});

const PROOF = `query ($transferId: String!) { proofOfTransfer(transferId: $transferId) {
  isSettled updateId recordTime synchronizerId
  transfer { transferObject counterparty amount life { kind updateId contractId } }
  updates { updateId recordTime createdHoldings archivedHoldings sha256 received externalTransactionHash }
} }`;

test('the proof of a deposit: its update, the holding it made, and the bytes that say so', async () => {
  const { data, errors } = await api.query(PROOF, { transferId: deposit.transferId });

  expect(errors).toBeUndefined();
  const { updates, transfer, ...proof } = data.proofOfTransfer;
  expect(proof).toMatchObject({ isSettled: true, updateId: deposit.updateId });
  expect(transfer).toMatchObject({ counterparty: simnet.network.party('alice'), amount: '5.0000000000' });
  expect(transfer.life.map(({ kind }: { kind: string }) => kind)).toEqual(['SETTLED', 'CREDITED']);
  expect(updates).toHaveLength(1);
  const bytes = Buffer.from(updates[0].received, 'base64');
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(updates[0].sha256);
  const { update } = GetUpdatesResponse.decode(bytes);
  expect(update?.$case === 'transaction' && update.value.updateId).toBe(deposit.updateId);
  expect(updates[0].createdHoldings).toHaveLength(1);
});

test('the proof of an offer that was taken back says that nothing settled, and shows both updates', async () => {
  const { data } = await api.query(PROOF, { transferId: offer.transferId });

  const { isSettled, updateId, updates, transfer } = data.proofOfTransfer;
  expect({ isSettled, updateId }).toEqual({ isSettled: false, updateId: taken.updateId });
  expect(transfer.transferObject).toMatchObject({
    sender: simnet.network.party('bob'),
    receiver: simnet.network.party('treasury'),
    amount: '7.5000000000',
  });
  expect(updates.map((update: { updateId: string }) => update.updateId)).toEqual([offer.updateId, taken.updateId]);
  expect(transfer.life.map(({ kind }: { kind: string }) => kind)).toEqual(['OFFERED', 'WITHDRAWN']);
});

test('of what is not there nothing is proven', async () => {
  const { data } = await api.query(PROOF, { transferId: 'tr_nothing' });

  expect(data).toEqual({ proofOfTransfer: null });
});
