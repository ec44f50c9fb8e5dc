/** An instrument that withdrawals are offered of. */
import { sql } from 'kysely';
import type { Database } from '../../src/db/connection.ts';
import type { Instrument } from '../../src/tokens/transfer-record.ts';

/** Writes down that it is paid by offers which stand for so many seconds, as a person would have decided it. */
export async function payByOffers(db: Database, { admin, id }: Instrument, validitySeconds: number): Promise<void> {
  await sql`
    INSERT INTO token (instrument_id, implementation, packages, credits_deposits, accepts_offers, deposit_min, pays_direct, pays_offers,
      offer_validity_seconds, onboarded_at, onboarded_by)
    SELECT id, 'UTILITY_REGISTRY', '{}', true, true, 0, true, true, ${validitySeconds}, 0, 'simulation'
    FROM instrument WHERE admin = ${admin} AND instrument_id = ${id}`.execute(db);
}
