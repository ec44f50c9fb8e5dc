/** The rows of the screening, as the deposit sink and the desk read and write them. The loop that asks, and what a verdict does, are elsewhere. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Owner } from './deposit-owner.ts';

export type ScreeningState = 'WAITING' | 'PARKED' | 'ALLOWED' | 'DENIED' | 'ENDED';

export type ScreeningRow = { readonly transferId: string; readonly state: ScreeningState };

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
    SELECT transfer_id AS "transferId", state FROM screening WHERE transfer_id = ANY (${[...transferIds]}::text[])
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

/** Puts questions to the service, which the loop asks as soon as this is committed. */
export async function openScreenings(
  tx: Transaction,
  drafts: readonly ScreeningDraft[],
  nowMicros: bigint,
): Promise<void> {
  await insertRows(
    tx,
    'screening',
    COLUMNS,
    drafts.map((one) => ({
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
    })),
  );
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

/** Offers that ended without reaching us need no verdict any more. */
export async function endScreenings(tx: Transaction, transferIds: readonly string[], nowMicros: bigint): Promise<void> {
  if (transferIds.length === 0) return;
  await sql`
    UPDATE screening SET state = 'ENDED', next_try_at = NULL, decided_at = ${nowMicros}, decided_by = 'ledger'
    WHERE transfer_id = ANY (${[...transferIds]}::text[]) AND state IN ('WAITING', 'PARKED')`.execute(tx);
}
