/** The rows of the screening, as the deposit sink and the desk read and write them. The loop that asks, and what a verdict does, are elsewhere. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Owner } from './deposit-owner.ts';

export type ScreeningState = 'WAITING' | 'PARKED' | 'ALLOWED' | 'DENIED' | 'ENDED';

export type ScreeningRow = {
  readonly transferId: string;
  readonly state: ScreeningState;
  /** The customer it is about. */
  readonly accountId: bigint;
  /** Wall clock of the verdict; null: there is none. */
  readonly decidedAt: bigint | null;
};

export type ScreeningDraft = {
  readonly transferId: string;
  readonly treasuryId: number;
  readonly instrumentKey: number;
  readonly isOffer: boolean;
  readonly owner: Owner;
  /** Decimal text, above zero. */
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: bigint;
  /** What is booked as held with it; null: nothing has come. */
  readonly held: string | null;
};

/** Locks those that are there, in the order of their ids. */
export async function lockScreenings(
  tx: Transaction,
  transferIds: readonly string[],
): Promise<ReadonlyMap<string, ScreeningRow>> {
  if (transferIds.length === 0) return new Map();
  const { rows } = await sql<ScreeningRow>`
    SELECT transfer_id AS "transferId", state, account_id AS "accountId", decided_at AS "decidedAt" FROM screening WHERE transfer_id = ANY (${[...transferIds]}::text[])
    ORDER BY transfer_id FOR UPDATE`.execute(tx);
  return new Map(rows.map((row) => [row.transferId, row]));
}

const COLUMNS = {
  transfer_id: 'text',
  treasury_id: 'integer',
  instrument_id: 'integer',
  is_offer: 'boolean',
  state: 'text',
  account_id: 'bigint',
  deposit_account_id: 'text',
  owner_decided_by: 'text',
  amount: 'numeric',
  memo: 'text',
  sender: 'text',
  update_id: 'text',
  record_time: 'bigint',
  held: 'numeric',
  next_try_at: 'bigint',
  opened_at: 'bigint',
} as const;

/**
 * Puts questions to the service, which the loop asks as soon as this is committed. Where it was asked before, about another customer or before the offer went astray, that
 * is over: what it said then is no leave for this.
 */
export async function openScreenings(
  tx: Transaction,
  drafts: readonly ScreeningDraft[],
  nowMicros: bigint,
): Promise<void> {
  if (drafts.length === 0) return;
  const rows = drafts.map((one) => ({
    transfer_id: one.transferId,
    treasury_id: one.treasuryId,
    instrument_id: one.instrumentKey,
    is_offer: one.isOffer,
    state: 'WAITING',
    account_id: one.owner.accountId,
    deposit_account_id: one.owner.depositAccountId,
    owner_decided_by: one.owner.decidedBy,
    amount: one.amount,
    memo: one.memo,
    sender: one.sender,
    update_id: one.updateId,
    record_time: one.recordTime,
    held: one.held,
    next_try_at: nowMicros,
    opened_at: nowMicros,
  }));
  const names = sql.raw(Object.keys(COLUMNS).join(', '));
  await sql`
    INSERT INTO screening (${names}) SELECT * FROM ${relationOf(COLUMNS, rows)} AS fresh
    ON CONFLICT (transfer_id) DO UPDATE SET state = excluded.state, account_id = excluded.account_id,
      deposit_account_id = excluded.deposit_account_id, owner_decided_by = excluded.owner_decided_by, amount = excluded.amount,
      update_id = excluded.update_id, record_time = excluded.record_time, held = excluded.held, tries = 0,
      next_try_at = excluded.next_try_at, opened_at = excluded.opened_at, last_error = NULL, case_id = NULL, reason = NULL,
      decided_at = NULL, decided_by = NULL`.execute(tx);
}

/** Money came for an offer whose verdict is not there, or was no. */
export async function recordHeld(
  tx: Transaction,
  { transferId, held, updateId, recordTime }: Pick<ScreeningDraft, 'transferId' | 'held' | 'updateId' | 'recordTime'>,
): Promise<void> {
  await sql`
    UPDATE screening SET held = ${held}::numeric, update_id = ${updateId}, record_time = ${recordTime}
    WHERE transfer_id = ${transferId}`.execute(tx);
}

/** Takes back what is still asked: an offer ended without reaching us, or what came is for people to decide about. */
export async function endScreenings(
  tx: Transaction,
  transferIds: readonly string[],
  { by, nowMicros }: { readonly by: string; readonly nowMicros: bigint },
): Promise<void> {
  if (transferIds.length === 0) return;
  await sql`
    UPDATE screening SET state = 'ENDED', next_try_at = NULL, decided_at = ${nowMicros}, decided_by = ${by}
    WHERE transfer_id = ANY (${[...transferIds]}::text[]) AND state IN ('WAITING', 'PARKED')`.execute(tx);
}
