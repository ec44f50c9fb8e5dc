/** The deadline of a withdrawal: the last record time at which it may be signed for. Judged by the ledger's clock as ingestion has committed it, never by ours. */
import { type RawBuilder, sql } from 'kysely';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';

/** Whether the treasury's ledger has passed `deadline` (null: none), both as SQL of the statement it stands in. */
export function isPastDeadline(deadline: RawBuilder<unknown>, treasuryId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(${deadline} IS NOT NULL AND EXISTS (
    SELECT FROM synchronizer_time AS ledger
    WHERE ledger.treasury_id = ${treasuryId} AND ledger.synchronizer_id = ${homeSynchronizerOf(treasuryId)} AND ledger.record_time > ${deadline}
  ))`;
}
