/**
 * What is known of a request before anything is written of it, in one statement: whether its key made a withdrawal before, whether the ledger shows its payment, and whether a restored database may have lost it.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { safeTimeOfLost } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { isPaidBefore } from './earlier-payment.ts';

export type KnownRequest = {
  /** What its key stands for; null: nothing yet. */
  readonly stored: { readonly requestHash: Buffer; readonly treasuryParty: string } | null;
  /** The ledger shows a payment that carries its id. */
  readonly hasPaid: boolean;
  /** Until then it may be among what a restored database lost, and be paid; null: nothing is lost. */
  readonly safeRecordTime: Micros | null;
};

/** @param id of the withdrawal that the key makes. @param treasuryParty who is named to pay; null: nobody is. */
export async function lookAtRequest(
  tx: Transaction,
  {
    id,
    network,
    treasuryParty,
  }: { readonly id: string; readonly network: string; readonly treasuryParty: string | null },
): Promise<KnownRequest> {
  const { rows } = await sql<{
    requestHash: Buffer | null;
    treasuryParty: string | null;
    hasPaid: boolean;
    safeRecordTime: bigint | null;
  }>`
    SELECT stored.request_hash AS "requestHash", payer.party AS "treasuryParty", ${isPaidBefore(sql`${[id]}::text[]`)} AS "hasPaid",
      ${safeTimeOfLost(network, treasuryParty)} AS "safeRecordTime"
    FROM (SELECT ${id}::text AS id) AS asked
    LEFT JOIN withdrawal stored ON stored.id = asked.id LEFT JOIN treasury_party payer ON payer.id = stored.treasury_id`.execute(
    tx,
  );
  const [row] = rows;
  if (row === undefined) return { stored: null, hasPaid: false, safeRecordTime: null };
  const { requestHash, treasuryParty: party, hasPaid, safeRecordTime } = row;
  return {
    stored: requestHash === null || party === null ? null : { requestHash, treasuryParty: party },
    hasPaid,
    safeRecordTime,
  };
}
