/** What a network has decided about the screening of its deposits, as a row: for tests in which nobody is asked to decide. */
import { sql } from 'kysely';
import type { Database } from '../../src/db/connection.ts';

export async function decideScreening(db: Database, network: string, isOn: boolean): Promise<void> {
  await sql`
    INSERT INTO deposit_screening (network_id, is_on, decided_at, decided_by, why) SELECT id, ${isOn}, 1, 'test', 'test' FROM network WHERE name = ${network}
    ON CONFLICT (network_id) DO UPDATE SET is_on = excluded.is_on`.execute(db);
}
