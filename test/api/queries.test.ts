/** What the queries say of rows in PostgreSQL, exact to the tenth decimal and the microsecond. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows, DAY, type Rows } from '../support/rows.ts';

let database: TestDatabase;
let api: TestApi;
let rows: Rows;
const transferIds: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  await rows.holding('c-1', '200.0000000000', { createdAt: DAY + 1n });
  await rows.holding('c-2', '0.0000000001', { createdAt: DAY + 2n });
  await rows.holding('c-3', '5', { createdAt: DAY + 3n, lockHolders: ['app::1220ff'] });
  await rows.holding('c-4', '7', { createdAt: DAY + 4n, isArchived: true });
  await rows.holding('c-5', '3', { createdAt: DAY + 5n, instrumentId: 'Spam', isAccepted: false });
  const huge = '9999999999999999999999999999.9999999999';
  await rows.holding('c-6', huge, { party: 'whale::1220bb', createdAt: DAY + 6n });
  await rows.holding('c-7', huge, { party: 'whale::1220bb', createdAt: DAY + 7n });

  const credited = await rows.depositAccount('Memo-1', 'alice');
  for (let line = 0; line < 25; line++) {
    const id = await rows.transfer({
      updateId: `u-${String(line).padStart(2, '0')}`,
      recordTime: DAY + BigInt(line) / 2n, // Two of each share their record time.
      amount: `${line + 1}.0000000001`,
      memo: 'Memo-1',
      transferObject: { amount: `${line + 1}.0000000001` },
    });
    transferIds.push(id);
    if (line % 5 === 0) await rows.attribution(id, 'alice', credited);
  }
  const offer = await rows.transfer({
    updateId: 'u-offer',
    kind: 'OFFER',
    status: 'PENDING',
    recordTime: DAY - 62_000_000_000_000_000n,
  });
  await rows.openOffer('o-1', '1000.0000000000', offer);
  await rows.transfer({ updateId: 'u-out', direction: 'OUT', recordTime: DAY - 1n });
  await rows.booking('transfer:1', 'alice', '12.5');
  await rows.booking('transfer:2', 'alice', '0.0000000001');
  await rows.account('bob');
  await rows.stream({});
  api = await startApi(database);
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

/** The data of a query that must succeed. */
async function ask(query: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await api.query(query, variables);
  expect(errors).toBeUndefined();
  return data;
}

async function codeOf(query: string, variables: Record<string, unknown> = {}): Promise<unknown> {
  return (await api.query(query, variables)).errors?.[0]?.extensions?.code;
}

describe('balances and holdings', () => {
  test('a treasury’s balances are exact, with locked and incoming apart, beyond what one amount can hold', async () => {
    const { treasuryParties } = await ask(`{
      treasuryParties { nodes { party name network balances { instrument { instrumentId isAccepted } total available reserved locked incoming } } }
    }`);

    expect(treasuryParties.nodes).toEqual([
      {
        party: 'treasury::1220bb',
        name: 'treasury',
        network: 'testnet',
        balances: [
          {
            instrument: { instrumentId: 'Amulet', isAccepted: true },
            total: '205.0000000001',
            available: '200.0000000001',
            reserved: '0.0000000000',
            locked: '5.0000000000',
            incoming: '1000.0000000000',
          },
        ],
      },
      {
        party: 'whale::1220bb',
        name: 'whale',
        network: 'testnet',
        balances: [
          {
            instrument: { instrumentId: 'Amulet', isAccepted: true },
            total: '19999999999999999999999999999.9999999998',
            available: '19999999999999999999999999999.9999999998',
            reserved: '0.0000000000',
            locked: '0.0000000000',
            incoming: '0.0000000000',
          },
        ],
      },
    ]);
  });

  test('instruments that are not accepted are shown where they are held', async () => {
    const { balances } = await ask(`{ balances { nodes { treasury { name } instrument { instrumentId } total } } }`);

    expect(balances.nodes).toEqual([
      { treasury: { name: 'treasury' }, instrument: { instrumentId: 'Amulet' }, total: '205.0000000001' },
      { treasury: { name: 'treasury' }, instrument: { instrumentId: 'Spam' }, total: '3.0000000000' },
      {
        treasury: { name: 'whale' },
        instrument: { instrumentId: 'Amulet' },
        total: '19999999999999999999999999999.9999999998',
      },
    ]);
  });

  test('holdings come newest first, filtered by treasury, instrument and state', async () => {
    const { treasuryParties, instruments } = await ask(`{
      treasuryParties { nodes { id name } } instruments { nodes { id instrumentId } }
    }`);
    const treasury = treasuryParties.nodes[0].id;
    const instrument = instruments.nodes.find((node: { instrumentId: string }) => node.instrumentId === 'Amulet').id;
    const list = async (args: string) =>
      (await ask(`{ holdings(${args}) { nodes { contractId } } }`)).holdings.nodes.map(
        (node: { contractId: string }) => node.contractId,
      );

    expect(await list('first: 50')).toEqual(['c-7', 'c-6', 'c-5', 'c-3', 'c-2', 'c-1']);
    expect(await list(`treasury: "${treasury}"`)).toEqual(['c-5', 'c-3', 'c-2', 'c-1']);
    expect(await list(`treasury: "${treasury}", instrument: "${instrument}"`)).toEqual(['c-3', 'c-2', 'c-1']);
    expect(await list('state: ARCHIVED')).toEqual(['c-4']);
    expect(await list(`treasury: "${treasury}", state: ALL, last: 2`)).toEqual(['c-2', 'c-1']);
  });

  test('a locked holding says who holds the lock, and when and by what it came', async () => {
    const { holdings } = await ask(`{
      holdings(first: 1, treasury: "${await treasuryId()}", after: "${await cursorOf('c-5')}") {
        nodes { contractId amount template lock { holders expiresAt expiresAfterMicros context }
          createdUpdateId createdAt archivedUpdateId archivedAt }
      }
    }`);

    expect(holdings.nodes).toEqual([
      {
        contractId: 'c-3',
        amount: '5.0000000000',
        template: 'splice-amulet:Splice.Amulet:Amulet',
        lock: {
          holders: ['app::1220ff'],
          expiresAt: '2026-11-22T00:01:00.000003Z',
          expiresAfterMicros: null,
          context: 'transfer offer',
        },
        createdUpdateId: 'update-of-c-3',
        createdAt: '2026-11-22T00:00:00.000003Z',
        archivedUpdateId: null,
        archivedAt: null,
      },
    ]);
  });

  async function treasuryId(): Promise<string> {
    return (await ask('{ treasuryParties(first: 1) { nodes { id } } }')).treasuryParties.nodes[0].id;
  }
  async function cursorOf(contractId: string): Promise<string> {
    const { holdings } = await ask('{ holdings(state: ALL) { edges { cursor node { contractId } } } }');
    return holdings.edges.find((edge: { node: { contractId: string } }) => edge.node.contractId === contractId).cursor;
  }
});

describe('transfers', () => {
  test('walked page by page, in either direction, every transfer comes once in one order', async () => {
    const walk = async (size: string, from: string, info: string): Promise<string[]> => {
      const seen: string[] = [];
      for (let cursor: string | null = null; ; ) {
        const { transfers } = await ask(
          `query ($cursor: String) { transfers(${size}, ${from}: $cursor) {
            nodes { transferId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
          { cursor },
        );
        const ids = transfers.nodes.map((node: { transferId: string }) => node.transferId);
        if (from === 'after') seen.push(...ids);
        else seen.unshift(...ids);
        if (!transfers.pageInfo[info]) return seen;
        cursor = from === 'after' ? transfers.pageInfo.endCursor : transfers.pageInfo.startCursor;
      }
    };

    const forwards = await walk('first: 4', 'after', 'hasNextPage');
    const backwards = await walk('last: 7', 'before', 'hasPreviousPage');

    expect(forwards).toHaveLength(27);
    expect(new Set(forwards).size).toBe(27);
    expect(backwards).toEqual(forwards);
  });

  test('filters by direction, status and account', async () => {
    const count = async (args: string): Promise<number> =>
      (await ask(`{ transfers(first: 100, ${args}) { nodes { id } } }`)).transfers.nodes.length;

    expect(await count('direction: OUT')).toBe(1);
    expect(await count('status: PENDING')).toBe(1);
    expect(await count('account: "alice"')).toBe(5);
    expect(await count('account: "ALICE"')).toBe(0);
    expect(await count('direction: IN, status: COMPLETED')).toBe(25);
  });

  test('a credited one tells all there is to tell', async () => {
    const { transfer } = await ask(
      `query ($id: String!) { transfer(transferId: $id) {
        transferId kind direction status amount counterparty memo updateId recordTime concludedUpdateId concludedAt transferObject
        treasury { name } instrument { admin instrumentId }
        attribution { account { customer network } depositAccount { memo } decidedBy recordTime } } }`,
      { id: transferIds[0] },
    );

    expect(transfer).toEqual({
      transferId: transferIds[0],
      kind: 'DIRECT',
      direction: 'IN',
      status: 'COMPLETED',
      amount: '1.0000000001',
      counterparty: 'customer::1220cc',
      memo: 'Memo-1',
      updateId: 'u-00',
      recordTime: '2026-11-22T00:00:00.000000Z',
      concludedUpdateId: 'u-00',
      concludedAt: '2026-11-22T00:00:00.000000Z',
      transferObject: { amount: '1.0000000001' },
      treasury: { name: 'treasury' },
      instrument: { admin: 'DSO::1220aa', instrumentId: 'Amulet' },
      attribution: {
        account: { customer: 'alice', network: 'testnet' },
        depositAccount: { memo: 'Memo-1' },
        decidedBy: 'memo',
        recordTime: '2026-11-22T00:00:00.000000Z',
      },
    });
  });

  test('a record time of the year 62 is shown as what it is', async () => {
    const { transfers } = await ask(
      '{ transfers(status: PENDING) { nodes { recordTime concludedAt attribution { decidedBy } } } }',
    );

    expect(transfers.nodes).toEqual([
      {
        recordTime: expect.stringMatching(/^006\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
        concludedAt: null,
        attribution: null,
      },
    ]);
  });
});

describe('accounts', () => {
  test('show the books and their memos', async () => {
    const { accounts } = await ask(
      '{ accounts { nodes { customer balances { instrument { instrumentId } amount } depositAccounts { memo addresses { party memo treasury { name } } } } } }',
    );

    expect(accounts.nodes).toEqual([
      {
        customer: 'alice',
        balances: [{ instrument: { instrumentId: 'Amulet' }, amount: '12.5000000001' }],
        depositAccounts: [
          {
            memo: 'Memo-1',
            addresses: [
              { party: 'treasury::1220bb', memo: 'Memo-1', treasury: { name: 'treasury' } },
              { party: 'whale::1220bb', memo: 'Memo-1', treasury: { name: 'whale' } },
            ],
          },
        ],
      },
      { customer: 'bob', balances: [], depositAccounts: [] },
    ]);
  });
});

describe('ids and cursors as hostile input', () => {
  test('node finds every kind of object by its id, and nothing for an unknown one', async () => {
    const found = await ask(`{
      treasuryParties(first: 1) { nodes { id } } instruments(first: 1) { nodes { id } } holdings(first: 1) { nodes { id } }
      transfers(first: 1) { nodes { id } } accounts(first: 1) { nodes { id } } depositAccounts(first: 1) { nodes { id } }
      ingestionStreams { id }
    }`);
    const ids = [
      found.treasuryParties.nodes[0].id,
      found.instruments.nodes[0].id,
      found.holdings.nodes[0].id,
      found.transfers.nodes[0].id,
      found.accounts.nodes[0].id,
      found.depositAccounts.nodes[0].id,
      found.ingestionStreams[0].id,
    ];
    const unknown = Buffer.from('Transfer:tr_nothing').toString('base64url');

    const { nodes } = await ask('query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', {
      ids: [...ids, unknown],
    });

    expect(nodes.slice(0, -1).map((node: { id: string }) => node.id)).toEqual(ids);
    expect(nodes.map((node: { __typename: string } | null) => node?.__typename)).toEqual([
      'TreasuryParty',
      'Instrument',
      'Holding',
      'Transfer',
      'Account',
      'DepositAccount',
      'IngestionStream',
      undefined,
    ]);
  });

  test('ids hold nothing that another installation would number differently', async () => {
    const { transfers } = await ask(
      '{ transfers(first: 1) { nodes { id transferId treasury { id network party } } } }',
    );
    const [node] = transfers.nodes;

    expect(Buffer.from(node.id, 'base64url').toString()).toBe(`Transfer:${node.transferId}`);
    expect(Buffer.from(node.treasury.id, 'base64url').toString()).toBe('TreasuryParty:testnet/treasury%3A%3A1220bb');
  });

  test('a page of more than a hundred, a foreign cursor or a foreign id is refused, not bent', async () => {
    const { treasuryParties } = await ask('{ treasuryParties(first: 1) { edges { cursor node { id } } } }');
    const [{ cursor, node }] = treasuryParties.edges;

    expect(await codeOf('{ transfers(first: 101) { nodes { id } } }')).toBe('PAGE_ARGUMENTS_INVALID');
    expect(await codeOf('{ transfers(first: 0) { nodes { id } } }')).toBe('PAGE_ARGUMENTS_INVALID');
    expect(await codeOf('{ transfers(first: 1, last: 1) { nodes { id } } }')).toBe('PAGE_ARGUMENTS_INVALID');
    expect(await codeOf(`{ transfers(after: "${cursor}") { nodes { id } } }`)).toBe('PAGE_CURSOR_INVALID');
    expect(await codeOf('{ transfers(after: "\\u0000") { nodes { id } } }')).toBe('PAGE_CURSOR_INVALID');
    expect(await codeOf(`{ holdings(instrument: "${node.id}") { nodes { id } } }`)).toBe('ID_INVALID');
    expect(await codeOf('{ node(id: "💣") { id } }')).toBe('ID_INVALID');
    expect(await codeOf(`{ node(id: "${Buffer.from('Query:x').toString('base64url')}") { id } }`)).toBe('ID_INVALID');
    const ids = Array.from({ length: 101 }, () => node.id);
    expect(await codeOf('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids })).toBe('PAGE_ARGUMENTS_INVALID');
  });

  test('text that PostgreSQL cannot hold finds nothing and breaks nothing', async () => {
    for (const text of ['\u0000', 'a\u0000b', '\ud800', "'; DROP TABLE transfer; --", '💣'.repeat(1_000)]) {
      expect(await ask('query ($text: String!) { transfer(transferId: $text) { id } }', { text })).toEqual({
        transfer: null,
      });
      expect(await ask('query ($text: String!) { transfers(account: $text) { nodes { id } } }', { text })).toEqual({
        transfers: { nodes: [] },
      });
      expect(await ask('query ($text: String!) { depositAccounts(memo: $text) { nodes { id } } }', { text })).toEqual({
        depositAccounts: { nodes: [] },
      });
    }
  });
});

describe('ingestion', () => {
  test('streams show the offset spaces they have been through, newest first, and the gaps before them', async () => {
    const { treasury_id } = await database.db
      .selectFrom('ingestion_stream')
      .select('treasury_id')
      .where('participant_id', '=', 'participant::1220dd')
      .executeTakeFirstOrThrow();
    const common = { treasury_id, participant_id: 'participant::1220dd', detail: 'For people.', started_at: DAY };
    const epochs = [
      { ...common, epoch: 1, reason: 'BEGINNING' as const, resumed_offset: 0n },
      {
        ...common,
        epoch: 2,
        reason: 'RECOVERED' as const,
        resumed_offset: 17n,
        previous_offset: 42n,
        anchor_update_id: null,
      },
    ];
    await database.db.insertInto('stream_epoch').values(epochs).execute();
    await database.db
      .insertInto('history_gap')
      .values({
        treasury_id,
        epoch: 2,
        after_update_id: '1220aa',
        after_record_time: DAY,
        position_offset: 42n,
        pruned_offset: 17n,
        resumed_offset: 17n,
        contracts_vanished: 1,
        contracts_appeared: 2,
        recorded_by: 'ops',
        recorded_at: DAY,
      })
      .execute();

    const { ingestionStreams } = await ask(`{ ingestionStreams { treasury { name } epochs {
      epoch reason participantId anchorUpdateId resumedOffset previousOffset detail startedAt
      gap { afterUpdateId contractsVanished contractsAppeared recordedBy } } } }`);

    const shown = {
      participantId: 'participant::1220dd',
      anchorUpdateId: null,
      detail: 'For people.',
      startedAt: '2026-11-22T00:00:00.000000Z',
    };
    expect(ingestionStreams).toEqual([
      {
        treasury: { name: 'treasury' },
        epochs: [
          {
            ...shown,
            epoch: 2,
            reason: 'RECOVERED',
            resumedOffset: '17',
            previousOffset: '42',
            gap: { afterUpdateId: '1220aa', contractsVanished: 1, contractsAppeared: 2, recordedBy: 'ops' },
          },
          { ...shown, epoch: 1, reason: 'BEGINNING', resumedOffset: '0', previousOffset: null, gap: null },
        ],
      },
      { treasury: { name: 'whale' }, epochs: [] },
    ]);
  });

  test('streams show their position and freshness', async () => {
    const { ingestionStreams } = await ask(`{ ingestionStreams {
      treasury { name } status statusReason epoch participantId ledgerOffset updatesCount quarantinedCount observedAt
      synchronizers { synchronizerId recordTime } freshness { state recordTime ageMs position } } }`);
    const { eventLog } = await ask('{ eventLog { epoch startCursor headCursor } }');

    expect(ingestionStreams).toEqual([
      {
        treasury: { name: 'treasury' },
        status: 'RUNNING',
        statusReason: null,
        epoch: 1,
        participantId: 'participant::1220dd',
        ledgerOffset: '42',
        updatesCount: '7',
        quarantinedCount: '0',
        observedAt: '2026-11-22T00:00:00.000000Z',
        synchronizers: [{ synchronizerId: 'global-domain::1220ee', recordTime: '2026-11-22T00:00:00.000000Z' }],
        freshness: {
          state: 'STALLED',
          recordTime: '2026-11-22T00:00:00.000000Z',
          ageMs: expect.any(Number),
          position: eventLog.headCursor,
        },
      },
      expect.objectContaining({
        treasury: { name: 'whale' },
        status: 'STARTING',
        freshness: { state: 'STARTING', recordTime: null, ageMs: null, position: eventLog.headCursor },
      }),
    ]);
    expect(eventLog.startCursor).not.toBe('');
  });
});
