/** Rows for tests of what reads the database: each builder writes one thing and fills in what the test does not care about. */
import { type Insertable, sql } from 'kysely';
import type { Database } from '../../src/db/connection.ts';
import { appendEvents } from '../../src/db/event-log.ts';
import { DEPOSIT_CREDITED, DEPOSIT_UNATTRIBUTED } from '../../src/deposits/deposit-events.ts';
import type { IngestionStreamTable, TokenTable, TransferTable } from '../../src/gen/db.ts';
import { depositAccountId, eventId, transferId } from '../../src/tokens/ids.ts';

/** 2026-11-22T00:00:00Z. */
export const DAY: bigint = 1_795_305_600_000_000n;
export const AMULET_ADMIN = 'DSO::1220aa';
export const SYNCHRONIZER = 'global-domain::1220ee';

export type Rows = ReturnType<typeof createRows>;

export type TransferRow = {
  readonly party?: string;
  readonly updateId: string;
  readonly rank?: number;
  readonly kind?: TransferTable['kind'];
  readonly direction?: TransferTable['direction'];
  readonly status?: TransferTable['status'];
  readonly amount?: string;
  readonly memo?: string | null;
  readonly recordTime?: bigint;
  readonly transferObject?: unknown;
};

/** Builders for one network with one treasury party and one accepted instrument, both made at the first need. */
export function createRows(db: Database, network = 'testnet') {
  async function networkId(): Promise<number> {
    await db
      .insertInto('network')
      .values({ name: network })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return (await db.selectFrom('network').select('id').where('name', '=', network).executeTakeFirstOrThrow()).id;
  }

  async function treasury(party = 'treasury::1220bb', name = party.split('::')[0] ?? party): Promise<number> {
    const network_id = await networkId();
    await db
      .insertInto('treasury_party')
      .values({ network_id, party, name })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const { id } = await db
      .selectFrom('treasury_party')
      .select('id')
      .where('network_id', '=', network_id)
      .where('party', '=', party)
      .executeTakeFirstOrThrow();
    return id;
  }

  async function instrument(instrumentId = 'Amulet', isAccepted = true, admin = AMULET_ADMIN): Promise<number> {
    const network_id = await networkId();
    await db
      .insertInto('instrument')
      .values({ network_id, admin, instrument_id: instrumentId, name: instrumentId, is_accepted: isAccepted })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const { id } = await db
      .selectFrom('instrument')
      .select('id')
      .where('network_id', '=', network_id)
      .where('admin', '=', admin)
      .where('instrument_id', '=', instrumentId)
      .executeTakeFirstOrThrow();
    return id;
  }

  async function account(owner: string): Promise<bigint> {
    const network_id = await networkId();
    await db
      .insertInto('account')
      .values({ network_id, kind: 'CUSTOMER', owner })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const { id } = await db
      .selectFrom('account')
      .select('id')
      .where('network_id', '=', network_id)
      .where('kind', '=', 'CUSTOMER')
      .where('owner', '=', owner)
      .executeTakeFirstOrThrow();
    return id;
  }

  return {
    network,
    networkId,
    treasury,
    instrument,
    account,

    depositAccount: async (memo: string, owner: string): Promise<string> => {
      const id = depositAccountId(network, memo);
      await db
        .insertInto('deposit_account')
        .values({
          id,
          network_id: await networkId(),
          memo,
          account_id: await account(owner),
          created_at: DAY,
          created_by: 'test',
        })
        .execute();
      return id;
    },

    holding: async (
      contractId: string,
      amount: string,
      options: {
        readonly party?: string;
        readonly instrumentId?: string;
        readonly isAccepted?: boolean;
        readonly lockHolders?: string[];
        readonly createdAt?: bigint;
        readonly isArchived?: boolean;
      } = {},
    ): Promise<void> => {
      const createdAt = options.createdAt ?? DAY;
      await db
        .insertInto('holding')
        .values({
          treasury_id: await treasury(options.party),
          contract_id: contractId,
          instrument_id: await instrument(options.instrumentId, options.isAccepted),
          amount,
          template: 'splice-amulet:Splice.Amulet:Amulet',
          lock_holders: options.lockHolders ?? null,
          lock_expires_at: options.lockHolders === undefined ? null : createdAt + 60_000_000n,
          lock_expires_after: null,
          lock_context: options.lockHolders === undefined ? null : 'transfer offer',
          created_update_id: `update-of-${contractId}`,
          created_record_time: createdAt,
          archived_update_id: options.isArchived === true ? `archive-of-${contractId}` : null,
          archived_record_time: options.isArchived === true ? createdAt + 1n : null,
        })
        .execute();
    },

    openOffer: async (contractId: string, amount: string, of: string): Promise<void> => {
      await db
        .insertInto('transfer_instruction')
        .values({
          treasury_id: await treasury(),
          contract_id: contractId,
          original_contract_id: contractId,
          transfer_id: of,
          direction: 'IN',
          status: 'OPEN',
          instrument_id: await instrument(),
          amount,
          sender: 'customer::1220cc',
          receiver: 'treasury::1220bb',
          memo: null,
          requested_at: DAY,
          execute_before: DAY + 86_400_000_000n,
          created_update_id: `update-of-${contractId}`,
          created_record_time: DAY,
        })
        .execute();
    },

    transfer: async (row: TransferRow): Promise<string> => {
      const party = row.party ?? 'treasury::1220bb';
      const id = transferId(party, row.updateId, row.rank ?? 0);
      const status = row.status ?? 'COMPLETED';
      const recordTime = row.recordTime ?? DAY;
      await db
        .insertInto('transfer')
        .values({
          treasury_id: await treasury(party),
          update_id: row.updateId,
          rank: row.rank ?? 0,
          id,
          kind: row.kind ?? 'DIRECT',
          direction: row.direction ?? 'IN',
          status,
          instrument_id: await instrument(),
          amount: row.amount ?? '1.0000000000',
          holdings_delta: status === 'COMPLETED' ? (row.amount ?? '1.0000000000') : '0',
          counterparty: 'customer::1220cc',
          memo: row.memo ?? null,
          transfer_object: row.transferObject === undefined ? null : JSON.stringify(row.transferObject),
          record_time: recordTime,
          concluded_update_id: status === 'PENDING' ? null : row.updateId,
          concluded_record_time: status === 'PENDING' ? null : recordTime,
        })
        .execute();
      return id;
    },

    attribution: async (transfer: string, owner: string, depositAccount: string | null = null): Promise<void> => {
      await db
        .insertInto('attribution')
        .values({
          transfer_id: transfer,
          account_id: await account(owner),
          deposit_account_id: depositAccount,
          decided_by: depositAccount === null ? 'operator' : 'memo',
          record_time: DAY,
        })
        .execute();
    },

    /** Credits `owner` from the treasury. */
    booking: async (cause: string, owner: string, amount: string): Promise<void> => {
      const network_id = await networkId();
      await db
        .insertInto('account')
        .values({ network_id, kind: 'TREASURY', owner: 'treasury::1220bb' })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await sql`
        WITH entry AS (
          INSERT INTO journal_entry (cause, description, record_time) VALUES (${cause}, 'deposit', ${DAY}) RETURNING id
        )
        INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
        SELECT entry.id, 0, treasury.id, ${await account(owner)}, ${await instrument()}, ${amount}::numeric
        FROM entry, account AS treasury
        WHERE treasury.kind = 'TREASURY' AND treasury.network_id = ${network_id}
      `.execute(db);
    },

    stream: async (
      changes: Partial<Omit<Insertable<IngestionStreamTable>, 'treasury_id'>>,
      recordTime: bigint | null = DAY,
    ) => {
      const treasury_id = await treasury();
      const values = {
        status: 'RUNNING',
        observed_at: DAY,
        ledger_offset: 42n,
        updates_count: 7n,
        participant_id: 'participant::1220dd',
        ...changes,
      };
      await sql`
        INSERT INTO ingestion_stream (treasury_id, status, status_reason, observed_at, ledger_offset, updates_count, participant_id)
        VALUES (${treasury_id}, ${values.status}, ${values.status_reason ?? null}, ${values.observed_at}::bigint,
          ${values.ledger_offset}::bigint, ${values.updates_count}::bigint, ${values.participant_id})
        ON CONFLICT (treasury_id) DO UPDATE SET status = excluded.status, status_reason = excluded.status_reason,
          observed_at = excluded.observed_at, ledger_offset = excluded.ledger_offset, updates_count = excluded.updates_count
      `.execute(db);
      if (recordTime !== null) {
        await sql`
          INSERT INTO synchronizer_time VALUES (${treasury_id}, ${SYNCHRONIZER}, ${recordTime})
          ON CONFLICT (treasury_id, synchronizer_id) DO UPDATE SET record_time = excluded.record_time
        `.execute(db);
      }
      await sql`SELECT pg_notify('sluice_progress', '')`.execute(db);
    },

    /** The instrument's entry in the token directory, nothing of it looked at yet. */
    token: async (changes: Partial<Insertable<TokenTable>> = {}): Promise<void> => {
      await db
        .insertInto('token')
        .values({
          instrument_id: await instrument(),
          implementation: 'SPLICE_AMULET',
          packages: [],
          credits_deposits: true,
          accepts_offers: true,
          deposit_min: '0',
          pays_direct: true,
          pays_offers: false,
          offer_validity_seconds: 86_400,
          onboarded_at: DAY,
          onboarded_by: 'test',
          ...changes,
        })
        .execute();
    },

    /** Any update: enough to know the treasury's synchronizer. */
    update: async (updateId: string): Promise<void> => {
      await db
        .insertInto('ledger_update')
        .values({
          treasury_id: await treasury(),
          update_id: updateId,
          epoch: 1,
          ledger_offset: 1n,
          record_time: DAY,
          synchronizer_id: SYNCHRONIZER,
          kind: 'TRANSACTION',
          received: Buffer.of(),
        })
        .execute();
    },

    /** A deposit's event as the deposit sink writes it, in a transaction of its own. `waitMs` holds the commit back. */
    depositEvent: async (
      updateId: string,
      options: { readonly memo?: string; readonly owner?: string; readonly waitMs?: number } = {},
    ): Promise<string> => {
      const transfer = transferId('treasury::1220bb', updateId, 0);
      const type = options.owner === undefined ? DEPOSIT_UNATTRIBUTED : DEPOSIT_CREDITED;
      const memo = options.memo ?? null;
      const id = eventId(type, transfer, updateId);
      const fate =
        options.owner === undefined
          ? { why: memo === null ? 'NO_MEMO' : 'UNKNOWN_MEMO' }
          : { account: options.owner, depositAccountId: depositAccountId(network, memo ?? '') };
      await db.transaction().execute(async (tx) => {
        await appendEvents(tx, [
          {
            eventId: id,
            type,
            subject: transfer,
            payload: {
              transferId: transfer,
              treasuryParty: 'treasury::1220bb',
              instrument: { admin: AMULET_ADMIN, id: 'Amulet' },
              amount: '1.5000000000',
              memo,
              sender: 'customer::1220cc',
              updateId,
              recordTime: DAY.toString(),
              ...fate,
            },
            recordedAt: DAY,
          },
        ]);
        if (options.waitMs !== undefined) await sql`SELECT pg_sleep(${options.waitMs / 1_000})`.execute(tx);
      });
      return id;
    },
  };
}
