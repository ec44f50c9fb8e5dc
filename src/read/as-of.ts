/**
 * The record time that a question about the past means, and whether this database can answer it: not before what was read of the ledger,
 * and not after.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { recordTimePassed } from '../ingestion/home-synchronizer.ts';
import { SNAPSHOT_PREFIX } from '../ingestion/known-updates.ts';
import { IMPORT_RECORD_TIME } from '../ingestion/next-position.ts';
import type { TreasuryParty } from './treasury-parties.ts';

/** Of one treasury party: from when to when its history is here, both inclusive; null: nothing was read. */
export type KnownHistory = {
  readonly treasury: TreasuryParty;
  readonly from: Micros | null;
  readonly to: Micros | null;
};

/**
 * All treasury parties, by network and party. Where a history was taken over as a balance, or goes on behind a gap, it begins with the first
 * update after that, and what was taken over is no such update: what was held before is not known. `to` is the newest record time known to be complete.
 */
export async function readKnownHistory(db: Database): Promise<readonly KnownHistory[]> {
  const { rows } = await sql<TreasuryParty & { readonly from: Micros | null; readonly to: Micros | null }>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name, known.to, coalesce(
      (SELECT first.record_time FROM ledger_update AS first
        WHERE first.treasury_id = treasury_party.id AND first.epoch >= known.since
          AND first.record_time <> ${IMPORT_RECORD_TIME} AND NOT starts_with(first.update_id, ${SNAPSHOT_PREFIX}) ORDER BY first.epoch, first.ledger_offset LIMIT 1),
      known.to
    ) AS "from"
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    CROSS JOIN LATERAL (
      SELECT
        ${recordTimePassed(sql`treasury_party.id`)} AS "to",
        coalesce((SELECT max(begun.epoch) FROM stream_epoch AS begun
          WHERE begun.treasury_id = treasury_party.id AND begun.reason IN ('OPENING', 'RECOVERED')), 0) AS since
    ) AS known
    ORDER BY network.name, treasury_party.party
  `.execute(db);
  return rows.map(({ network, party, name, from, to }) => ({ treasury: { network, party, name }, from, to }));
}

/**
 * The record time of the newest ledger update that any event up to `position` tells about: whoever has followed the log so far knows of the
 * ledger up to it. Null: none tells of the ledger.
 *
 * Read backwards from the position: an event about the ledger is never far, since every deposit and every payment is one.
 */
export async function recordTimeAt(db: Database, position: bigint): Promise<Micros | null> {
  const { rows } = await sql<{ recordTime: Micros | null }>`
    SELECT (
      SELECT max(told.record_time) FROM ledger_update AS told
      WHERE told.treasury_id = ANY (ARRAY(SELECT id FROM treasury_party)) AND told.update_id = newest.payload ->> 'updateId'
    ) AS "recordTime"
    FROM event AS newest
    WHERE newest.position <= ${position}::bigint AND newest.payload ->> 'updateId' IS NOT NULL
    ORDER BY newest.position DESC LIMIT 1
  `.execute(db);
  return rows[0]?.recordTime ?? null;
}
