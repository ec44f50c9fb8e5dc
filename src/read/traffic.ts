/** What is left of the traffic of a network's participants, as it was read last. */
import type { Database } from '../db/connection.ts';
import { readTrafficLeft, type TrafficLeft } from '../submissions/traffic-readings.ts';

/** By network name; by participant id. Empty where nothing was ever read. */
export async function readTraffic(db: Database, network: string): Promise<readonly TrafficLeft[]> {
  const known = await db.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
  return known === undefined ? [] : await readTrafficLeft(db, known.id);
}
