/** A ledger user with nothing but what it needs: it may not even ask who the participant is, and ingestion goes on over restarts, failovers and wider rights all the same. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { openChannel } from '../../src/ledger/channel.ts';
import { createFixedToken, type TokenSource } from '../../src/ledger/token-source.ts';
import { checkRights } from '../../src/treasury/check-rights.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion | null = null;
let paid = 0;

beforeEach(async () => {
  paid = 0;
  database = await createTestDatabase();
  simnet = await startTestNetwork('least-rights', { checkpoints: { busyMs: 100, idleMs: 200 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'], executeAs: ['treasury'] });
  simnet.network.access.demandTokens(true);
});

afterEach(async () => {
  await ingestion?.stop();
  ingestion = null;
  await simnet.stop();
  await database.close();
});

function tokens(): TokenSource {
  const { token } = simnet.network.access.issueToken({ user: 'sluice', lifetimeMs: 600_000 });
  return createFixedToken(createSecret(token));
}

async function start(participantNames?: readonly string[], otherLedgerUrls: readonly string[] = []): Promise<void> {
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    otherLedgerUrls,
    catalog: simnet.catalog,
    endpoints: { tokens: tokens(), switchAfterMs: 300, ...(participantNames && { participantNames }) },
    settings: { reconnect: { attemptsMax: 60, delayMsMin: 20, delayMsMax: 300 } },
  });
}

async function payIn(): Promise<void> {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
  await eventually(
    async () => {
      ingestion?.throwIfFailed();
      const { rows } = await sql<{ total: string | null }>`
        SELECT sum(balance)::text AS total FROM account_balance JOIN account ON account.id = account_id
        WHERE kind = 'CUSTOMER'`.execute(database.db);
      expect(Number(rows[0]?.total ?? 0)).toBe(paid);
    },
    { deadlineMs: 15_000 },
  );
}

const epochs = async (): Promise<readonly (string | null)[]> =>
  (await database.db.selectFrom('stream_epoch').select('participant_id').orderBy('epoch').execute()).map(
    (row) => row.participant_id,
  );

test('ingestion needs no administrator: the endpoint goes by its address, and goes on after restarts', async () => {
  await start();
  await payIn();
  await ingestion?.stop();
  await start();
  await payIn();

  expect(await epochs()).toEqual([`endpoint:${simnet.ledgerUrl()}`]);
});

test('a configured participant id is used, and is the same one that an administrator is told', async () => {
  const [first] = simnet.participants;
  await start([first?.participantId ?? '']);
  await payIn();
  await ingestion?.stop();
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'], isAdmin: true });
  await start();
  await payIn();

  expect(await epochs()).toEqual([first?.participantId]);
});

test('A20: rights that are narrowed later cost a look at the update ids, and no deposit', async () => {
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'], isAdmin: true });
  await start();
  await payIn();
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'] });
  await payIn();

  const known = await epochs();
  expect(known[0]).toBe(simnet.participants[0]?.participantId);
  expect(known.slice(1)).toEqual([`endpoint:${simnet.ledgerUrl()}`]);
});

test('another participant under a name of its own is found out by update ids', async () => {
  await start(undefined, [simnet.ledgerUrl(1)]);
  await payIn();
  await simnet.endpoints.close('participant1');
  await payIn();

  expect(await epochs()).toEqual([`endpoint:${simnet.ledgerUrl()}`, `endpoint:${simnet.ledgerUrl(1)}`]);
});

test('another participant at the same address, and so under the same name, is found out as well', async () => {
  await start();
  await payIn();
  simnet.endpoints.switch('participant1', 'participant2');
  await payIn();
  simnet.endpoints.switch('participant1', 'participant1');
  await payIn();

  const reasons = await database.db.selectFrom('stream_epoch').select('reason').orderBy('epoch').execute();
  expect(reasons.map(({ reason }) => reason)).toEqual(['BEGINNING', 'OFFSETS_CHANGED', 'OFFSETS_CHANGED']);
});

test('the user reads its own rights without being an administrator; what is missing and too wide is named', async () => {
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'], actAs: ['alice'] });
  const treasury = simnet.network.party('treasury');
  const channel = openChannel({ url: simnet.ledgerUrl(), tokens: tokens() });
  const anonymous = openChannel({ url: simnet.ledgerUrl(1) });
  try {
    const check = await checkRights(channel.call, { parties: [treasury], needs: ['READ', 'EXECUTE'] });
    simnet.network.access.demandTokens(false);
    const unknown = await checkRights(anonymous.call, { parties: [treasury], needs: ['READ'] });

    expect(check).toMatchObject({
      kind: 'CHECKED',
      user: 'sluice',
      findings: [
        { kind: 'MISSING', right: 'CanExecuteAs', party: treasury },
        { kind: 'TOO_WIDE', right: 'CanActAs', party: simnet.network.party('alice') },
      ],
    });
    expect(unknown.kind).toBe('UNKNOWN');
  } finally {
    channel.close();
    anonymous.close();
  }
});
