/** Customers' withdrawals: what was asked for, where each stands, and by when it is certain. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import type { WithdrawalState } from '../withdrawals/withdrawal-state.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import { type Reach, withinReach } from './reach.ts';
import type { TreasuryParty } from './treasury-parties.ts';
import { conditionOf, type WithdrawalFilter } from './withdrawal-filter.ts';

export type Withdrawal = {
  readonly id: string;
  /** The principal that asked; idempotency keys are its own. */
  readonly client: string;
  readonly idempotencyKey: string;
  readonly account: Account;
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  readonly receiver: string;
  /** Decimal text. */
  readonly amount: string;
  readonly memo: string | null;
  readonly state: WithdrawalState;
  readonly isCancelRequested: boolean;
  readonly failure: { readonly code: string; readonly detail: string | null } | null;
  /** The transfer that ingestion saw, and its update; null: none. */
  readonly transferId: string | null;
  readonly updateId: string | null;
  readonly createdAt: Micros;
  readonly changedAt: Micros;
  /** Record time after which nothing may be signed for it any more; null: none. */
  readonly deadline: Micros | null;
  /** When it was made anew from its transfer, because the database had lost it; null: it was not. */
  readonly recoveredAt: Micros | null;
  /** Last record time of the open attempt, inclusive; null: none is open. */
  readonly decidableBy: Micros | null;
  /** Of the last attempt that lapsed, once the withdrawal has ended unpaid; null otherwise. */
  readonly proof: FailureProof | null;
};

/** That an attempt can never commit: ingestion has all of the synchronizer's history up to a record time past its last one. */
export type FailureProof = {
  readonly attempt: number;
  readonly synchronizerId: string;
  readonly targetRecordTime: Micros;
  readonly passedRecordTime: Micros;
};

/** A proof in words, for people. */
export function explainProof({ attempt, synchronizerId, targetRecordTime, passedRecordTime }: FailureProof): string {
  return `Attempt ${attempt} could commit at ${formatRecordTime(targetRecordTime)} at the latest. Every transaction of ${synchronizerId} up to ${formatRecordTime(passedRecordTime)} has been read, and it is not among them. So it did not pay, and the ledger will refuse it from now on.`;
}

export const keyOfWithdrawal = (withdrawal: Withdrawal): PageKey => [withdrawal.createdAt, withdrawal.id];

/** Newest first, by the time of the request and id. */
export async function listWithdrawals(
  db: Database,
  reach: Reach,
  filter: WithdrawalFilter,
  page: PageRequest,
): Promise<Page<Withdrawal>> {
  const keyset = keysetOf([sql`withdrawal.created_at`, sql`withdrawal.id`], 'descending', page);
  const { rows } = await sql<WithdrawalRow>`
    SELECT ${WITHDRAWAL_COLUMNS}
    ${WITHDRAWAL_JOINS}
    WHERE ${keyset.where} AND ${conditionOf(filter)} AND ${withinReach(reach, sql`withdrawal.account_id`)}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows.map(withdrawalOf), page);
}

/** One result per id, in the order of `ids`; null where there is none. */
export async function readWithdrawals(db: Database, ids: readonly string[]): Promise<(Withdrawal | null)[]> {
  const { rows } = await sql<WithdrawalRow>`
    SELECT ${WITHDRAWAL_COLUMNS} ${WITHDRAWAL_JOINS} WHERE withdrawal.id = ANY (${[...ids]}::text[])
  `.execute(db);
  const byId = new Map(rows.map((row) => [row.id, withdrawalOf(row)]));
  return ids.map((id) => byId.get(id) ?? null);
}

/** One result per transfer, in the order of `transferIds`; null where it paid none. */
export async function readWithdrawalsPaidBy(
  db: Database,
  transferIds: readonly string[],
): Promise<(Withdrawal | null)[]> {
  const { rows } = await sql<WithdrawalRow>`
    SELECT ${WITHDRAWAL_COLUMNS} ${WITHDRAWAL_JOINS} WHERE withdrawal.transfer_id = ANY (${[...transferIds]}::text[])
  `.execute(db);
  const byTransfer = new Map(rows.map((row) => [row.transferId, withdrawalOf(row)]));
  return transferIds.map((id) => byTransfer.get(id) ?? null);
}

/** Id of the withdrawal that the principal asked for under its key; null: it asked for none. */
export async function findWithdrawalId(
  db: Database,
  { client, idempotencyKey }: { readonly client: string; readonly idempotencyKey: string },
): Promise<string | null> {
  const row = await db
    .selectFrom('withdrawal')
    .select('id')
    .where('client', '=', client)
    .where('idempotency_key', '=', idempotencyKey)
    .executeTakeFirst();
  return row?.id ?? null;
}

// A withdrawal has one submission at most, and that one open attempt at most; both by a unique index.
const WITHDRAWAL_JOINS = sql`
  FROM withdrawal
  JOIN network ON network.id = withdrawal.network_id
  JOIN treasury_party ON treasury_party.id = withdrawal.treasury_id
  JOIN instrument ON instrument.id = withdrawal.instrument_id
  JOIN account ON account.id = withdrawal.account_id
  LEFT JOIN submission ON submission.withdrawal_id = withdrawal.id
  LEFT JOIN attempt AS open_attempt ON open_attempt.submission_id = submission.id AND open_attempt.state = 'OPEN'
  LEFT JOIN LATERAL (
    SELECT number, synchronizer_id, target_record_time, lapsed_by FROM attempt
    WHERE attempt.submission_id = submission.id AND attempt.state = 'LAPSED'
    ORDER BY number DESC LIMIT 1
  ) AS lapsed ON withdrawal.state IN ('FAILED', 'CANCELLED')
`;

const WITHDRAWAL_COLUMNS = sql`
  withdrawal.id, withdrawal.client, withdrawal.idempotency_key AS "idempotencyKey", withdrawal.receiver, withdrawal.amount,
  withdrawal.memo, withdrawal.state, withdrawal.is_cancel_requested AS "isCancelRequested",
  withdrawal.failure_code AS "failureCode", withdrawal.failure_detail AS "failureDetail",
  withdrawal.transfer_id AS "transferId", withdrawal.update_id AS "updateId",
  withdrawal.created_at AS "createdAt", withdrawal.changed_at AS "changedAt",
  withdrawal.deadline, withdrawal.recovered_at AS "recoveredAt",
  network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName", account.owner AS "accountOwner",
  instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
  instrument.is_accepted AS "isAccepted", open_attempt.target_record_time AS "decidableBy",
  lapsed.number::int AS "lapsedAttempt", lapsed.synchronizer_id AS "lapsedSynchronizerId",
  lapsed.target_record_time AS "lapsedTarget", lapsed.lapsed_by AS "lapsedBy"
`;

type WithdrawalRow = Omit<Withdrawal, 'account' | 'treasury' | 'instrument' | 'failure' | 'proof'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly accountOwner: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
  readonly failureCode: string | null;
  readonly failureDetail: string | null;
  readonly lapsedAttempt: number | null;
  readonly lapsedSynchronizerId: string | null;
  readonly lapsedTarget: Micros | null;
  readonly lapsedBy: Micros | null;
};

function withdrawalOf(row: WithdrawalRow): Withdrawal {
  const { network, party, treasuryName, accountOwner, admin, instrumentId, instrumentName, isAccepted } = row;
  const { failureCode, failureDetail, lapsedAttempt, lapsedSynchronizerId, lapsedTarget, lapsedBy } = row;
  return {
    id: row.id,
    client: row.client,
    idempotencyKey: row.idempotencyKey,
    account: { network, owner: accountOwner },
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    receiver: row.receiver,
    amount: row.amount,
    memo: row.memo,
    state: row.state,
    isCancelRequested: row.isCancelRequested,
    failure: failureCode === null ? null : { code: failureCode, detail: failureDetail },
    transferId: row.transferId,
    updateId: row.updateId,
    createdAt: row.createdAt,
    changedAt: row.changedAt,
    deadline: row.deadline,
    recoveredAt: row.recoveredAt,
    decidableBy: row.decidableBy,
    proof:
      lapsedAttempt === null || lapsedSynchronizerId === null || lapsedTarget === null || lapsedBy === null
        ? null
        : {
            attempt: lapsedAttempt,
            synchronizerId: lapsedSynchronizerId,
            targetRecordTime: lapsedTarget,
            passedRecordTime: lapsedBy,
          },
  };
}
