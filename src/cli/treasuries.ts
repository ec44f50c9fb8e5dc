import type { Database } from '../db/connection.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';

/** Every treasury party of the database, by network and name, whatever this process is configured to serve. */
export async function listTreasuries(db: Database): Promise<readonly Treasury[]> {
  return await db
    .selectFrom('treasury_party')
    .innerJoin('network', 'network.id', 'treasury_party.network_id')
    .select(['treasury_party.id', 'party', 'treasury_party.name', 'network_id as networkId', 'network.name as network'])
    .orderBy('network.name')
    .orderBy('treasury_party.name')
    .execute();
}
