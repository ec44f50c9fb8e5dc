/** Faults of one check, so many as people can look at: a broken migration may leave one per row of a table. */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';

/** Told of one by one; of the others, how many they are. */
export const FAULTS_MAX = 100;

/** Stands for others that were found with it. */
export type MoreFaults<Fault> = { readonly kind: 'MORE_FAULTS'; readonly like: Fault; readonly count: number };

/**
 * @param check a query whose first columns name what is at fault, so that the same ones are told of at every look, whatever amounts follow.
 * @param faultOf what a row of it says.
 */
export async function faultsOf<Row, Fault>(
  db: Database | Transaction,
  check: RawBuilder<Row>,
  faultOf: (row: Row) => Fault,
): Promise<readonly (Fault | MoreFaults<Fault>)[]> {
  const { rows } =
    await sql<Row>`SELECT * FROM (${check}) AS found ORDER BY found::text LIMIT ${FAULTS_MAX + 1}`.execute(db);
  const faults = rows.slice(0, FAULTS_MAX).map(faultOf);
  const like = faults.at(-1);
  if (like === undefined || rows.length <= FAULTS_MAX) return faults;
  const counted = await sql<{ count: bigint }>`SELECT count(*) AS count FROM (${check}) AS found`.execute(db);
  const count = Number(counted.rows[0]?.count ?? 0n) - FAULTS_MAX;
  return [...faults, { kind: 'MORE_FAULTS', like, count }];
}
