/** How far the history of each treasury party is in this database. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { recordTimePassed } from '../ingestion/home-synchronizer.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type IngestionStream = {
  readonly treasury: TreasuryParty;
  readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
  readonly statusReason: string | null;
  readonly epoch: number;
  readonly participantId: string | null;
  readonly ledgerOffset: bigint;
  readonly updatesCount: bigint;
  readonly quarantinedCount: bigint;
  /** Wall clock of the last message received. */
  readonly observedAt: Micros | null;
  /** Of its own synchronizer: all of the ledger's history up to it is here. Null: nothing was heard of it yet. */
  readonly recordTime: Micros | null;
  readonly synchronizers: readonly SynchronizerTime[];
};

export type SynchronizerTime = { readonly synchronizerId: string; readonly recordTime: Micros };

/**
 * All streams, by network and party. A treasury party that was never read has one too, in its initial state.
 * One statement, so that position and record times belong together.
 */
export async function readIngestionStreams(db: Database): Promise<IngestionStream[]> {
  const { rows } = await sql<StreamRow>`
    SELECT network.name AS network, treasury_party.party, treasury_party.name,
      coalesce(stream.status, 'STARTING') AS status, stream.status_reason AS "statusReason",
      coalesce(stream.epoch, 1) AS epoch, stream.participant_id AS "participantId",
      coalesce(stream.ledger_offset, 0) AS "ledgerOffset", coalesce(stream.updates_count, 0) AS "updatesCount",
      stream.observed_at AS "observedAt", ${recordTimePassed(sql`treasury_party.id`)} AS "recordTime",
      (SELECT count(*) FROM quarantine WHERE quarantine.treasury_id = treasury_party.id AND quarantine.closed_at IS NULL) AS "quarantinedCount",
      ARRAY(SELECT synchronizer_id FROM synchronizer_time
        WHERE synchronizer_time.treasury_id = treasury_party.id ORDER BY synchronizer_id) AS "synchronizerIds",
      ARRAY(SELECT record_time FROM synchronizer_time
        WHERE synchronizer_time.treasury_id = treasury_party.id ORDER BY synchronizer_id) AS "recordTimes"
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    LEFT JOIN ingestion_stream AS stream ON stream.treasury_id = treasury_party.id
    ORDER BY network.name, treasury_party.party
  `.execute(db);
  return rows.map(({ network, party, name, synchronizerIds, recordTimes, ...rest }) => ({
    ...rest,
    treasury: { network, party, name },
    synchronizers: synchronizerIds.map((synchronizerId, index) => ({
      synchronizerId,
      recordTime: recordTimes[index] ?? 0n,
    })),
  }));
}

type StreamRow = TreasuryParty &
  Omit<IngestionStream, 'treasury' | 'synchronizers' | 'status'> & {
    readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
    readonly synchronizerIds: readonly string[];
    readonly recordTimes: readonly Micros[];
  };
