/**
 * Freezes: money that must not move until somebody has looked. Opened by whatever finds that the holdings may not be what the tables say, honoured by everything that reserves or signs,
 * lifted by a person. What comes in is ingested and credited all the same: a freeze stops what we do, not what we see.
 *
 * A freeze covers a treasury, an instrument, one instrument of one treasury, or, with neither, everything.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

export type FreezeScope = {
  /** The database's number of the treasury party; null: every one. */
  readonly treasuryId: number | null;
  /** The database's number of the instrument; null: every one. */
  readonly instrumentKey: number | null;
};

/** Why. Each has its line in docs/runbooks/money-frozen.md: the alert names the reason, and whoever is woken looks for it there. */
export const FREEZE_REASONS = [
  'AUDIT_CHANGED',
  'CREDIT_WITHOUT_TRANSFER',
  'DATABASE_WENT_BACK',
  'HISTORY_GAP',
  'INVARIANT_BROKEN',
  'LEDGER_DIFFERS',
  'OFFER_END_UNREADABLE',
  'OPERATOR',
  'PAYMENT_NOT_RECOVERED',
  'QUARANTINE',
  'TRANSFER_NOT_EXPECTED',
] as const;

export type FreezeReason = (typeof FREEZE_REASONS)[number];

export type NewFreeze = FreezeScope & {
  readonly reason: FreezeReason;
  /** For people. */
  readonly detail: string;
  /** What it follows from, e.g. `update:1220…`. */
  readonly cause: string;
  /** A principal, or the part of Sluice that found it. */
  readonly openedBy: string;
  readonly nowMicros: Micros;
};

/**
 * Opens a freeze, unless one of the same scope and reason is open: that one keeps its first cause.
 * @returns whether it is new. Call it outside of REPEATABLE READ, where a rival's row makes it fail.
 */
export async function openFreeze(db: Database | Transaction, freeze: NewFreeze): Promise<boolean> {
  const inserted = await db
    .insertInto('money_freeze')
    .values({
      treasury_id: freeze.treasuryId,
      instrument_id: freeze.instrumentKey,
      reason: freeze.reason,
      detail: freeze.detail,
      cause: freeze.cause,
      opened_at: freeze.nowMicros,
      opened_by: freeze.openedBy,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return inserted.numInsertedOrUpdatedRows === 1n;
}

/** @param detail why it may be lifted: kept for ever. @returns false where there is no such open freeze. */
export async function liftFreeze(
  db: Database | Transaction,
  {
    id,
    by,
    detail,
    nowMicros,
  }: { readonly id: bigint; readonly by: string; readonly detail: string; readonly nowMicros: Micros },
): Promise<boolean> {
  const lifted = await db
    .updateTable('money_freeze')
    .set({ lifted_at: nowMicros, lifted_by: by, lift_detail: detail })
    .where('id', '=', id)
    .where('lifted_at', 'is', null)
    .executeTakeFirst();
  return lifted.numUpdatedRows === 1n;
}

/** The condition that joins open freezes to rows with a treasury and an instrument. @param frozen the alias of `money_freeze`. */
export function covers(
  frozen: RawBuilder<unknown>,
  treasuryId: RawBuilder<unknown>,
  instrumentKey: RawBuilder<unknown>,
): RawBuilder<boolean> {
  return sql<boolean>`(
    ${frozen}.lifted_at IS NULL
    AND (${frozen}.treasury_id IS NULL OR ${frozen}.treasury_id = ${treasuryId})
    AND (${frozen}.instrument_id IS NULL OR ${frozen}.instrument_id = ${instrumentKey})
  )`;
}

/** Whether an open freeze covers an instrument of a treasury, both as SQL of the statement it stands in. */
export function isFrozen(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM money_freeze WHERE ${covers(sql`money_freeze`, treasuryId, instrumentKey)})`;
}

/**
 * Whether a freeze covers it that Sluice opened by itself: something that was seen could not be read, or something is known to be missing. Then even what was *not* seen proves nothing. An
 * operator's freeze says nothing of the tables.
 */
export function isInDoubt(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM money_freeze WHERE reason <> 'OPERATOR' AND ${covers(sql`money_freeze`, treasuryId, instrumentKey)}
  )`;
}

/**
 * Whether an instrument leaves a treasury, both as SQL of the statement it stands in: it is accepted, or it was until somebody took it out of the configuration and withdrawals of it still wait or are under
 * way. Others cannot be spent by us, and anybody can bring them here.
 */
export function isPaidOut(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(
    EXISTS (SELECT FROM instrument WHERE instrument.id = ${instrumentKey} AND instrument.is_accepted)
    OR EXISTS (
      SELECT FROM attempt JOIN submission ON submission.id = attempt.submission_id
      WHERE attempt.state = 'OPEN' AND submission.purpose = 'WITHDRAWAL' AND submission.treasury_id = ${treasuryId} AND submission.instrument_id = ${instrumentKey}
    )
    OR EXISTS (
      SELECT FROM withdrawal
      WHERE withdrawal.state = 'QUEUED' AND withdrawal.treasury_id = ${treasuryId} AND withdrawal.instrument_id = ${instrumentKey}
    )
  )`;
}
