/**
 * The second generation of the token standard over gRPC: what has views of both generations counts once, what has those of the second alone counts at all, and a
 * participant without its packages is asked for the first only.
 */
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { activeFormatFor } from '../../src/ingestion/active-set.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork } from '../support/network.ts';
import { ALICE, NOTE, offer, TREASURY } from '../tokens/corpus/contracts.ts';
import { secondDirect, secondEnd } from '../tokens/corpus/registry-shapes.ts';
import { seenBy, type Tree } from '../tokens/corpus/tree.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve({ hasStandardV2, isComposed = false }: { hasStandardV2: boolean; isComposed?: boolean }) {
  const database = await createTestDatabase();
  closing.push(database.close);
  const simnet = await startTestNetwork('second generation', { hasStandardV2 });
  closing.push(simnet.stop);
  const { db } = database;
  await registerMemos(db, NETWORK, { 'alice-memo': 'alice' });
  const composed = { treasuries: [{ name: 'treasury', party: TREASURY }], instruments: [{ ...NOTE, name: 'note' }] };
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: isComposed ? { network: NETWORK, ...composed } : simnet.catalog,
  });
  closing.push(ingestion.stop);
  const participant = simnet.network.participant('participant1');
  const other = createLedgerClient({ url: simnet.ledgerUrl() });
  closing.push(async () => other.close());
  let count = 0;
  return {
    network: simnet.network,
    /** Lets the participant show what the corpus made up. */
    play: (trees: readonly Tree[]) => {
      count += 1;
      const events = seenBy(trees, TREASURY);
      for (const { event } of events) {
        if (event !== undefined) event.value.witnessParties = [TREASURY];
      }
      participant.appendRecorded(
        Transaction.fromPartial({
          updateId: `1220${count}`,
          events,
          synchronizerId: 'sync::1220',
          recordTime: microsToTimestamp(systemClock.nowMicros()),
          effectiveAt: microsToTimestamp(systemClock.nowMicros()),
        }),
      );
    },
    /** Of the worker that follows the stream: another one each time that it was opened. */
    token: async () =>
      (await db.selectFrom('ingestion_stream').select('fencing_token').executeTakeFirstOrThrow()).fencing_token,
    /** By contract, how many views of it are shown to somebody who only asks what is active, round after round. */
    views: async () => {
      await other.participantId();
      const shown: [string, number][] = [];
      const format = activeFormatFor(TREASURY);
      const { signal } = new AbortController();
      for await (const { createdEvent } of other.activeContracts({
        atOffset: participant.ledgerEnd(),
        format,
        signal,
      })) {
        shown.push([createdEvent.contractId, createdEvent.interfaceViews.length]);
      }
      return shown.sort();
    },
    transfers: async () => await db.selectFrom('transfer').select(['kind', 'direction', 'status', 'memo']).execute(),
    /** Waits until all is stored. @returns the balances that are not the treasury's, and how many holdings it has. */
    settled: async () => {
      const end = participant.ledgerEnd();
      await eventually(async () => {
        ingestion.throwIfFailed();
        const { ledger_offset } = await db
          .selectFrom('ingestion_stream')
          .select('ledger_offset')
          .executeTakeFirstOrThrow();
        expect(ledger_offset).toBeGreaterThanOrEqual(end);
      });
      for (const own of ingestion.treasuries) expect((await compareWithRebuild(db, own)).differences).toEqual([]);
      expect(await checkBooks(db)).toEqual([]);
      expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
      const { rows } = await sql<{ account: string; balance: string }>`
        SELECT a.kind || CASE a.owner WHEN '' THEN '' ELSE ':' || a.owner END AS account, sum(b.balance)::text AS balance
        FROM account_balance b JOIN account a ON a.id = b.account_id
        WHERE a.kind <> 'TREASURY' GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(db);
      const held = await db
        .selectFrom('holding')
        .select('contract_id')
        .where('archived_update_id', 'is', null)
        .execute();
      return {
        balances: Object.fromEntries(rows.map(({ account, balance }) => [account, balance])),
        held: held.length,
      };
    },
  };
}

test.each([true, false])(
  'a coin with views of both generations counts once (the participant knows the second: %j)',
  async (hasStandardV2) => {
    const { network, settled } = await serve({ hasStandardV2 });
    const pay = {
      instrument: 'amulet',
      sender: 'alice',
      receiver: 'treasury',
      memo: 'alice-memo',
      generation: 'new',
    } as const;
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '100', generation: 'new' });
    network.transfer({ ...pay, amount: '30' });
    const { instructionCid = '' } = network.transfer({ ...pay, amount: '20', kind: 'offer' });
    network.accept({ instructionCid, generation: 'new' });

    expect(await settled()).toEqual({ balances: { 'CUSTOMER:alice': '50.0000000000' }, held: 2 });
  },
);

test.each([
  ['accept', 'COMPLETED', { 'CUSTOMER:alice': '20.0000000000' }],
  ['reject', 'REJECTED', {}],
  ['withdraw', 'WITHDRAWN', {}],
] as const)('an offer that ends by the second generation’s %s ends once, as %s', async (end, status, balances) => {
  const { network, settled, transfers } = await serve({ hasStandardV2: true });
  const offered = {
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '20',
    memo: 'alice-memo',
  } as const;
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '100', generation: 'new' });
  const { instructionCid = '' } = network.transfer({ ...offered, kind: 'offer', generation: 'new' });
  network[end]({ instructionCid, generation: 'new', standard: 'V2' });

  expect(await settled()).toEqual({ balances, held: end === 'accept' ? 1 : 0 });
  expect(await transfers()).toEqual([{ kind: 'OFFER', direction: 'IN', status, memo: 'alice-memo' }]);
});

test('a token with views of the second generation alone is held, offered, accepted and credited', async () => {
  const { play, settled } = await serve({ hasStandardV2: true, isComposed: true });
  const sent = { sender: ALICE, receiver: TREASURY, memo: 'alice-memo', instrument: NOTE } as const;
  play([secondDirect({ ...sent, amount: '30', inputs: [], output: '00direct' })]);
  play([offer('00offer', { ...sent, amount: '20' }, { views: 'V2' })]);
  play([secondEnd('Accept', { ...sent, amount: '20', cid: '00offer', locked: '00lock', output: '00accepted' })]);

  expect(await settled()).toEqual({ balances: { 'CUSTOMER:alice': '50.0000000000' }, held: 2 });
});

test('a participant that learns of the second generation under an open stream is asked for it from then on, by whoever asks it anything', async () => {
  const { network, play, settled, token, views } = await serve({ hasStandardV2: false, isComposed: true });
  expect(await settled()).toEqual({ balances: {}, held: 0 });
  expect(await views()).toEqual([]);
  const before = await token();

  network.uploadStandardV2();
  await eventually(async () => expect(await token()).toBeGreaterThan(before));
  const sent = { sender: ALICE, receiver: TREASURY, memo: 'alice-memo', instrument: NOTE } as const;
  play([secondDirect({ ...sent, amount: '30', inputs: [], output: '00direct' })]);

  expect(await settled()).toEqual({ balances: { 'CUSTOMER:alice': '30.0000000000' }, held: 1 });
  expect(await views()).toEqual([['00direct', 1]]);
});
