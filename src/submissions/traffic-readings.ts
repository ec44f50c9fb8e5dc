/**
 * What is left of the participants' traffic, as Scan said last, less what we have sent since. Owned: written by the monitor, claimed from by whoever submits.
 *
 * A reading is some seconds old when it is written, so what was claimed since the one before it counts as well: for a minute or two the rest looks smaller than it is, never larger.
 * A participant that nobody reads any more, as after a switch to another one, is left out a while after the newest reading of its network. Where nothing can be read, the last reading goes on to count.
 * @see Splice: extra traffic is bought in bytes; a participant that never bought any lives on its base rate, which nobody reports.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';

export type TrafficTotals = {
  /** Bytes of extra traffic, ever. */
  readonly totalConsumed: bigint;
  readonly totalLimit: bigint;
};

export type TrafficReading = TrafficTotals & {
  readonly networkId: number;
  readonly participant: string;
  /** Wall clock, of before it was asked for. */
  readonly readAt: Micros;
};

export type TrafficLeft = {
  readonly participant: string;
  readonly readAt: Micros;
  /** Bytes of extra traffic, as read. */
  readonly balance: bigint;
  /** … less what was claimed since; may be below zero. */
  readonly left: bigint;
  /** Whether it ever bought extra traffic: the rest does not count for who did not. */
  readonly isBought: boolean;
  /** Bytes an hour, over the last hour of readings; null: there are too few. */
  readonly burnPerHour: bigint | null;
};

const COMPANY_MS = 900_000; // Fifteen readings: a participant without one among them is not used, or not there.
const BURN_MS = 3_600_000;
const BURN_MS_MIN = 30_000; // Over less the burn is an accident.
const KEPT_MS = 7 * 86_400_000;

/** Writes it down, and forgets what is a week old. Harmless when repeated. */
export async function recordReading(db: Database, reading: TrafficReading): Promise<void> {
  const { networkId, participant, readAt, totalConsumed, totalLimit } = reading;
  await db
    .insertInto('traffic_reading')
    .values({
      network_id: networkId,
      participant,
      read_at: readAt,
      total_consumed: totalConsumed,
      total_limit: totalLimit,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await db
    .deleteFrom('traffic_reading')
    .where('network_id', '=', networkId)
    .where('read_at', '<', readAt - millisToMicros(KEPT_MS))
    .execute();
}

/** One per participant that is read, by id; empty where none ever was. One statement. */
export async function readTrafficLeft(db: Database, networkId: number): Promise<readonly TrafficLeft[]> {
  const { rows } = await sql<TrafficLeft>`
    WITH newest AS (${newestOf(networkId)})
    SELECT r.participant, r.read_at AS "readAt", r.total_limit - r.total_consumed AS balance, r.total_limit > 0 AS "isBought",
      r.total_limit - r.total_consumed - r.claimed - n.earlier AS left,
      (
        SELECT (greatest(r.total_consumed - o.total_consumed, 0)::numeric * ${millisToMicros(BURN_MS)}::bigint / (r.read_at - o.read_at))::bigint
        FROM traffic_reading o
        WHERE o.network_id = r.network_id AND o.participant = r.participant
          AND o.read_at BETWEEN r.read_at - ${millisToMicros(BURN_MS)}::bigint AND r.read_at - ${millisToMicros(BURN_MS_MIN)}::bigint
        ORDER BY o.read_at LIMIT 1
      ) AS "burnPerHour"
    FROM newest n JOIN traffic_reading r USING (network_id, participant, read_at)
    ORDER BY r.participant`.execute(db);
  return rows;
}

/**
 * Takes `bytes` from what every participant has left, as any of them may be the one that submits; from none where one of them would come below the reserve.
 * Whoever claims waits for whoever claimed before him, so that together they never take more than there is.
 * @returns whether it was taken, or nothing is known that could be taken from.
 */
export async function claimTraffic(
  db: Database,
  { treasuryId, bytes, reserve }: { readonly treasuryId: number; readonly bytes: bigint; readonly reserve: bigint },
): Promise<boolean> {
  return await db.transaction().execute(async (tx) => {
    const { network_id: networkId } = await tx
      .selectFrom('treasury_party')
      .select('network_id')
      .where('id', '=', treasuryId)
      .executeTakeFirstOrThrow();
    const { rows } = await sql<{ participant: string; readAt: Micros; isBought: boolean; left: bigint }>`
      WITH newest AS (${newestOf(networkId)})
      SELECT r.participant, r.read_at AS "readAt", r.total_limit > 0 AS "isBought",
        r.total_limit - r.total_consumed - r.claimed - n.earlier AS left
      FROM newest n JOIN traffic_reading r USING (network_id, participant, read_at)
      ORDER BY r.participant FOR UPDATE OF r`.execute(tx);
    if (rows.some(({ isBought, left }) => isBought && left - bytes < reserve)) return false;
    for (const { participant, readAt } of rows) {
      await tx
        .updateTable('traffic_reading')
        .set((row) => ({ claimed: row('claimed', '+', bytes) }))
        .where('network_id', '=', networkId)
        .where('participant', '=', participant)
        .where('read_at', '=', readAt)
        .execute();
    }
    return true;
  });
}

/** Key of the newest reading of each participant, and what was claimed since the one before it. */
function newestOf(networkId: number) {
  return sql`
    SELECT latest.*, coalesce((
      SELECT p.claimed FROM traffic_reading p
      WHERE p.network_id = latest.network_id AND p.participant = latest.participant AND p.read_at < latest.read_at
        AND p.read_at >= latest.read_at - ${millisToMicros(COMPANY_MS)}::bigint
      ORDER BY p.read_at DESC LIMIT 1
    ), 0) AS earlier
    FROM (
      SELECT network_id, participant, max(read_at) AS read_at, max(max(read_at)) OVER () AS newest_at
      FROM traffic_reading WHERE network_id = ${networkId} GROUP BY network_id, participant
    ) AS latest
    WHERE latest.read_at >= latest.newest_at - ${millisToMicros(COMPANY_MS)}::bigint`;
}
