/** What the API says in words of updates that real ingestion read from the simulated network. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('explain', { treasuryPreapprovals: ['amulet'] });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  const { connectionString } = database;
  ingestion = await startIngestion({ connectionString, ledgerUrl: simnet.ledgerUrl(), catalog: simnet.catalog });
  api = await startApi(database);
  for (const owner of ['alice', 'bob']) simnet.network.tap({ instrument: 'amulet', owner, amount: '50' });
  simnet.network.tap({ instrument: 'note', owner: 'bob', amount: '50' });
});

afterAll(async () => {
  await api.stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const EXPLAIN =
  'query ($updateId: String!) { explain(updateId: $updateId) { updateId epoch treasury { name } transfers { transferId status } text } }';

/** Once it has been read. Contract ids and parties stand as they are; what differs from run to run is named. */
async function explained(updateId: string): Promise<{ text: string[]; transfers: { transferId: string }[] }> {
  let found: { text: string[]; transfers: { transferId: string }[] }[] = [];
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { data, errors } = await api.query(EXPLAIN, { updateId });
    expect(errors).toBeUndefined();
    found = data.explain;
    expect(found).toHaveLength(1);
  });
  const [only] = found;
  if (only === undefined) throw new Error('Nothing is explained.');
  return only;
}

const deposit = { instrument: 'amulet', receiver: 'treasury', amount: '5' };

test('a deposit: who sent it, to whom it belongs, what was gained, how it is booked', async () => {
  const { updateId } = simnet.network.transfer({ ...deposit, sender: 'alice', memo: 'alice-memo' });
  const { text, transfers } = await explained(updateId);

  const party = simnet.network.party('alice');
  expect(text[0]).toMatch(
    new RegExp(`^${updateId} is a transaction that \\S+ recorded at \\S+Z\\. The history of treasury has it at offset`),
  );
  expect(text.slice(1)).toEqual([
    `${party} sent 5 amulet to treasury, with the memo "alice-memo" (${transfers[0]?.transferId}).`,
    'It belongs to the account "alice", by its memo.',
    expect.stringMatching(/^treasury gained the holding [0-9a-f]+ of 5 amulet\.$/),
    `Booked as "IN DIRECT COMPLETED": 5 amulet from TREASURY ${simnet.network.party('treasury')} to CUSTOMER alice.`,
  ]);
});

test('a memo that nobody knows, with what would turn the text around', async () => {
  const { updateId } = simnet.network.transfer({ ...deposit, sender: 'bob', memo: 'no\u202esuch "memo"' });
  const { text } = await explained(updateId);

  expect(text[1]).toContain('with the memo "no\ufffdsuch \\"memo\\""');
  expect(text[2]).toBe('It belongs to nobody so far.');
  expect(text.at(-1)).toMatch(/to UNATTRIBUTED\.$/);
});

test('an offer, and the update in which it was taken back', async () => {
  const made = simnet.network.transfer({ instrument: 'note', sender: 'bob', receiver: 'treasury', amount: '7.5' });
  const offered = await explained(made.updateId);
  const id = offered.transfers[0]?.transferId;
  expect(offered.text.slice(1)).toEqual([
    `${simnet.network.party('bob')} offered 7.5 note to treasury, without a memo (${id}).`,
  ]);

  const taken = simnet.network.withdraw({ instructionCid: made.instructionCid ?? '' });
  const { text } = await explained(taken.updateId);
  expect(text.slice(1)).toEqual([`It ended the offer ${id} of 7.5 note: the sender took it back.`]);
});

test('what nobody has seen is no error', async () => {
  for (const updateId of ['1220nothing', '', 'nul\u0000']) {
    expect((await api.query(EXPLAIN, { updateId })).data).toEqual({ explain: [] });
  }
});
