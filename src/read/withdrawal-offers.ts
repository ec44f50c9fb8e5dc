/** Offers by which withdrawals are paid: until when each stands, what became of it, what its return cost, and what is being done to take it back. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { OfferReturnTable, TransferInstructionTable } from '../gen/db.ts';

export type WithdrawalOffer = {
  readonly withdrawalId: string;
  /** Of the newest contract: a registry may have replaced the first one. */
  readonly contractId: string;
  readonly status: TransferInstructionTable['status'];
  /** Exclusive: from then on it cannot be accepted. */
  readonly executeBefore: Micros;
  readonly offeredAt: Micros;
  /** What was kept of what came back; decimal text. Null: nothing has come back. */
  readonly returnFee: string | null;
  /** Null: nobody takes it back. */
  readonly takingBack: TakingBack | null;
};

export type TakingBack = {
  readonly reason: OfferReturnTable['reason'];
  readonly state: OfferReturnTable['state'];
  readonly troubleCode: string | null;
  readonly trouble: string | null;
  /** Wall clock; null: it does not wait for its turn. */
  readonly nextTryAt: Micros | null;
};

/** One result per id, in the order of `ids`; null for one that was never offered. One statement. */
export async function readOffersOf(db: Database, ids: readonly string[]): Promise<(WithdrawalOffer | null)[]> {
  const { rows } = await sql<Row>`
    SELECT withdrawal.id AS "withdrawalId", offer.contract_id AS "contractId", offer.status,
      offer.execute_before AS "executeBefore", first.created_record_time AS "offeredAt",
      CASE WHEN withdrawal.state = 'RETURNED' THEN (
        SELECT coalesce(sum(posting.amount), 0)::text FROM journal_entry
        JOIN posting ON posting.entry_id = journal_entry.id
        JOIN account ON account.id = posting.credit_account_id AND account.kind = 'FEES'
        WHERE journal_entry.cause = 'withdrawal:' || withdrawal.id || ':back'
      ) END AS "returnFee",
      back.reason, back.state, back.trouble_code AS "troubleCode", back.trouble,
      CASE back.state WHEN 'QUEUED' THEN back.next_try_at END AS "nextTryAt"
    FROM withdrawal
    JOIN LATERAL (
      SELECT * FROM transfer_instruction AS one
      WHERE one.treasury_id = withdrawal.treasury_id AND one.transfer_id = withdrawal.transfer_id AND one.direction = 'OUT'
      ORDER BY one.ended_update_id IS NULL DESC, one.created_record_time DESC LIMIT 1
    ) AS offer ON true
    JOIN LATERAL (
      SELECT min(one.created_record_time) AS created_record_time FROM transfer_instruction AS one
      WHERE one.treasury_id = withdrawal.treasury_id AND one.transfer_id = withdrawal.transfer_id AND one.direction = 'OUT'
    ) AS first ON true
    LEFT JOIN offer_return AS back ON back.withdrawal_id = withdrawal.id
    WHERE withdrawal.id = ANY (${[...ids]}::text[]) AND withdrawal.transfer_id IS NOT NULL
  `.execute(db);
  const byId = new Map(rows.map((row) => [row.withdrawalId, offerOf(row)]));
  return ids.map((id) => byId.get(id) ?? null);
}

type Row = Omit<WithdrawalOffer, 'takingBack'> & { readonly [Field in keyof TakingBack]: TakingBack[Field] | null };

function offerOf({ reason, state, troubleCode, trouble, nextTryAt, ...offer }: Row): WithdrawalOffer {
  const isTakenBack = reason !== null && state !== null;
  return { ...offer, takingBack: isTakenBack ? { reason, state, troubleCode, trouble, nextTryAt } : null };
}
