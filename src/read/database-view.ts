/**
 * How far the database is that an answer is read from: the end of the event log and where each stream stands, in one statement and so of one
 * snapshot. Taken before the rows it speaks of, it says too little at worst and never too much.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { recordTimePassed } from '../ingestion/home-synchronizer.ts';

export type StreamView = {
  readonly network: string;
  readonly party: string;
  readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
  /** Wall clock of the last message. */
  readonly observedAt: Micros | null;
  /** Of its own synchronizer: all of the ledger's history up to it is here. */
  readonly recordTime: Micros | null;
};

export type DatabaseView = {
  readonly epoch: string;
  /** Everything up to this position of the event log is in what is read from now on. */
  readonly head: bigint;
  /** True: a read replica, which may be behind its primary. */
  readonly isStandby: boolean;
  /** By network and party. */
  readonly streams: readonly StreamView[];
};

type Row = Omit<DatabaseView, 'streams'> &
  Omit<StreamView, 'network' | 'party'> & { readonly network: string | null; readonly party: string | null };

/** @throws RetryableError of the database. */
export async function readDatabaseView(db: Database): Promise<DatabaseView> {
  const { rows } = await sql<Row>`
    SELECT log.epoch, log.last_position AS head, pg_is_in_recovery() AS "isStandby", treasury.network, treasury.party,
      coalesce(stream.status, 'STARTING') AS status, stream.observed_at AS "observedAt",
      ${recordTimePassed(sql`treasury.id`)} AS "recordTime"
    FROM event_log AS log
    LEFT JOIN (
      SELECT treasury_party.id, network.name AS network, treasury_party.party
      FROM treasury_party JOIN network ON network.id = treasury_party.network_id
    ) AS treasury ON true
    LEFT JOIN ingestion_stream AS stream ON stream.treasury_id = treasury.id
    ORDER BY treasury.network, treasury.party
  `.execute(db);
  const [{ epoch, head, isStandby } = { epoch: '', head: 0n, isStandby: false }] = rows;
  const streams = rows.flatMap(({ network, party, status, observedAt, recordTime }) =>
    network === null || party === null ? [] : [{ network, party, status, observedAt, recordTime }],
  );
  return { epoch, head, isStandby, streams };
}
