/** Deposits for real: a simulated network, ingestion over gRPC, PostgreSQL, and the books checked after every step. */
import { sql } from 'kysely';
import { expect } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createDepositAccounts, type DepositAccounts } from '../../src/deposits/deposit-accounts.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { decideScreening } from '../support/deposit-screening.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

export type DepositScene = {
  readonly database: TestDatabase;
  readonly simnet: TestNetwork;
  readonly ingestion: RunningIngestion;
  readonly depositAccounts: DepositAccounts;
  readonly withdrawals: Withdrawals;
  /** A customer pays the treasury; @returns the offer's contract id where it is one. */
  pay(wanted: { amount: string; memo?: string; kind?: 'offer'; instrument?: string }): string | undefined;
  /** Waits until all of the ledger is stored; then rebuild and books must agree. */
  settled(): Promise<void>;
  /** Non-zero balances by account kind and owner. */
  balances(): Promise<Readonly<Record<string, string>>>;
  /** Ids of the incoming transfers, oldest first. */
  transferIds(): Promise<readonly string[]>;
  /** Types and accounts of the events of a transfer, in their order. */
  eventsOf(transferId: string): Promise<readonly string[]>;
  close(): Promise<void>;
};

/** Memos `alice-memo` and `bob-memo` are registered. @param options.isScreening whether the network has its deposits screened; left out: nobody has decided. */
export async function startDepositScene(options: { readonly isScreening?: boolean } = {}): Promise<DepositScene> {
  const { isScreening = false } = options;
  const database = await createTestDatabase();
  const simnet = await startTestNetwork('deposits');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'bob-memo': 'bob' });
  if (isScreening) await decideScreening(database.db, NETWORK, true);
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  const { db } = database;
  const scene: DepositScene = {
    database,
    simnet,
    ingestion,
    depositAccounts: createDepositAccounts({ db, clock: systemClock, random: systemRandom }),
    withdrawals: createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) }),
    pay: ({ amount, memo, kind, instrument = 'amulet' }) => {
      simnet.network.tap({ instrument, owner: 'alice', amount });
      return simnet.network.transfer({
        instrument,
        sender: 'alice',
        receiver: 'treasury',
        amount,
        ...(memo !== undefined && { memo }),
        ...(kind !== undefined && { kind }),
      }).instructionCid;
    },
    settled: async () => {
      const end = simnet.network.participant('participant1').ledgerEnd();
      await eventually(
        async () => {
          ingestion.throwIfFailed();
          const { ledger_offset } = await db
            .selectFrom('ingestion_stream')
            .select('ledger_offset')
            .executeTakeFirstOrThrow();
          expect(ledger_offset).toBeGreaterThanOrEqual(end);
        },
        { deadlineMs: 60_000 },
      );
      for (const treasury of ingestion.treasuries) {
        expect((await compareWithRebuild(db, treasury)).differences).toEqual([]);
      }
      expect(await checkBooks(db)).toEqual([]);
      expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
    },
    balances: async () => {
      const { rows } = await sql<{ account: string; balance: string }>`
        SELECT a.kind || CASE WHEN a.kind IN ('CUSTOMER', 'HELD') THEN ':' || a.owner ELSE '' END AS account, sum(b.balance)::text AS balance
        FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind <> 'TREASURY'
        GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(db);
      return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
    },
    transferIds: async () =>
      (
        await sql<{ id: string }>`SELECT id FROM transfer WHERE direction = 'IN' ORDER BY record_time, rank`.execute(db)
      ).rows.map(({ id }) => id),
    eventsOf: async (transferId) =>
      (
        await sql<{ text: string }>`
          SELECT type || coalesce(' ' || (payload->>'account'), '') || coalesce(' ' || (payload->>'state'), '') AS text
          FROM event_outbox WHERE subject = ${transferId} ORDER BY seq`.execute(db)
      ).rows.map(({ text }) => text),
    close: async () => {
      await ingestion.stop();
      await simnet.stop();
      await database.close();
    },
  };
  return scene;
}
