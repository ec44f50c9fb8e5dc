/**
 * What is known of a request before anything is written of it, in one statement: whether its key made a withdrawal before, whether the ledger shows its payment, and whether a restored database may have lost it.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { isRestoring, safeTimeOfLost } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { isPaidBefore } from './earlier-payment.ts';
import type { WithdrawalRequest } from './request-terms.ts';

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

/** Who would pay what, by the database's numbers. */
export type PlainTarget = {
  readonly networkId: number;
  readonly treasuryId: number;
  readonly treasuryParty: string;
  readonly instrumentKey: number;
};

/** Of an instrument that is paid out, in the network of the treasury `t`, its number. @param admin, id and @param receiver as SQL. Columns `isOwnReceiver`, `instrumentKey`. */
export function targetColumns({
  admin,
  id,
  receiver,
}: {
  readonly admin: RawBuilder<unknown>;
  readonly id: RawBuilder<unknown>;
  readonly receiver: RawBuilder<unknown>;
}): RawBuilder<unknown> {
  return sql`
    EXISTS (SELECT FROM treasury_party own WHERE own.network_id = t.network_id AND own.party = ${receiver}) AS "isOwnReceiver", (
      SELECT i.id FROM instrument i LEFT JOIN token ON token.instrument_id = i.id
      WHERE i.network_id = t.network_id AND i.admin = ${admin} AND i.instrument_id = ${id} AND i.is_accepted
        AND (token.instrument_id IS NULL OR token.pays_direct OR token.pays_offers)
    ) AS "instrumentKey"`;
}

/**
 * As {@link lookAtRequest}, for several in one statement, and where each would be paid from.
 * @returns by the id; left out is whatever there is more to say of: a key that was used, a payment that is there already, a treasury that nobody knows, or one that is to be chosen of several, an instrument that is not paid, a receiver who is
 * ourselves, and all while something that a restore lost may still be paid.
 */
export async function lookAtPlain(
  tx: Transaction,
  network: string,
  asked: readonly { readonly id: string; readonly request: WithdrawalRequest }[],
): Promise<ReadonlyMap<string, PlainTarget>> {
  const of = (text: (request: WithdrawalRequest) => string | null) => asked.map(({ request }) => text(request));
  const { rows } = await sql<{
    id: string;
    networkId: number;
    treasuryId: number;
    treasuryParty: string;
    isOwnReceiver: boolean;
    instrumentKey: number | null;
  }>`
    SELECT asked.id, t.network_id AS "networkId", t.id AS "treasuryId", t.party AS "treasuryParty",
      ${targetColumns({ admin: sql`asked.admin`, id: sql`asked.instrument`, receiver: sql`asked.receiver` })}
    FROM unnest(${asked.map(({ id }) => id)}::text[], ${of(({ treasuryParty }) => treasuryParty)}::text[],
      ${of(({ instrument }) => instrument.admin)}::text[], ${of(({ instrument }) => instrument.id)}::text[], ${of(({ receiver }) => receiver)}::text[]
    ) AS asked (id, party, admin, instrument, receiver)
    JOIN network n ON n.name = ${network}
    JOIN treasury_party t ON t.network_id = n.id AND t.party = coalesce(asked.party, (
      SELECT min(lone.party) FROM treasury_party lone WHERE lone.network_id = n.id HAVING count(*) = 1
    ))
    WHERE NOT EXISTS (SELECT FROM withdrawal stored WHERE stored.id = asked.id)
      AND NOT ${isPaidBefore(sql`ARRAY[asked.id]`)} AND NOT ${isRestoring(sql`t.id`)}`.execute(tx);
  return new Map(
    rows.flatMap(({ id, isOwnReceiver, instrumentKey, ...target }) =>
      isOwnReceiver || instrumentKey === null ? [] : [[id, { ...target, instrumentKey }]],
    ),
  );
}
