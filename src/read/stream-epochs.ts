/** The offset spaces that a treasury party's stream has been through: where each began, what proved the place, and what was missing before it. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

export type StreamEpoch = {
  readonly network: string;
  readonly party: string;
  readonly epoch: number;
  readonly reason: 'BEGINNING' | 'OPENING' | 'PARTICIPANT_CHANGED' | 'OFFSETS_CHANGED' | 'RECOVERED';
  readonly participantId: string;
  readonly anchorUpdateId: string | null;
  readonly resumedOffset: bigint;
  readonly previousOffset: bigint | null;
  readonly detail: string;
  /** Wall clock. */
  readonly startedAt: Micros;
  readonly gap: HistoryGap | null;
};

export type HistoryGap = {
  readonly afterUpdateId: string | null;
  readonly contractsVanished: number;
  readonly contractsAppeared: number;
  readonly recordedBy: string;
};

/** Of all the given treasury parties, newest first, at most `limit` of each. */
export async function readStreamEpochs(
  db: Database,
  treasuries: readonly { readonly network: string; readonly party: string }[],
  limit: number,
): Promise<StreamEpoch[]> {
  const { rows } = await sql<EpochRow>`
    SELECT wanted.network, wanted.party, found.*
    FROM (SELECT DISTINCT * FROM unnest(
      ${treasuries.map(({ network }) => network)}::text[],
      ${treasuries.map(({ party }) => party)}::text[]
    ) AS wanted (network, party)) AS wanted
    JOIN network ON network.name = wanted.network
    JOIN treasury_party ON treasury_party.network_id = network.id AND treasury_party.party = wanted.party
    CROSS JOIN LATERAL (
      SELECT e.epoch, e.reason, e.participant_id AS "participantId", e.anchor_update_id AS "anchorUpdateId",
        e.resumed_offset AS "resumedOffset", e.previous_offset AS "previousOffset", e.detail, e.started_at AS "startedAt",
        g.after_update_id AS "afterUpdateId", g.contracts_vanished AS "contractsVanished", g.contracts_appeared AS "contractsAppeared",
        g.recorded_by AS "recordedBy"
      FROM stream_epoch e LEFT JOIN history_gap g ON g.treasury_id = e.treasury_id AND g.epoch = e.epoch
      WHERE e.treasury_id = treasury_party.id ORDER BY e.epoch DESC LIMIT ${limit}::int
    ) AS found
    ORDER BY wanted.network, wanted.party, found.epoch DESC`.execute(db);
  return rows.map(({ afterUpdateId, contractsVanished, contractsAppeared, recordedBy, ...epoch }) => ({
    ...epoch,
    gap:
      recordedBy === null
        ? null
        : {
            afterUpdateId,
            contractsVanished: contractsVanished ?? 0,
            contractsAppeared: contractsAppeared ?? 0,
            recordedBy,
          },
  }));
}

type EpochRow = Omit<StreamEpoch, 'gap'> & {
  readonly afterUpdateId: string | null;
  readonly contractsVanished: number | null;
  readonly contractsAppeared: number | null;
  readonly recordedBy: string | null;
};
