/** Faults of one check, so many as people can look at: a broken migration may leave one per row of a table. */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';

/** Told of one by one; of the others, how many they are. */
export const FAULTS_MAX = 100;

/** Stands for others that were found with it. */
export type MoreFaults<Fault> = {
  readonly kind: 'MORE_FAULTS';
  readonly like: Fault;
  readonly count: number;
  /** Of what is at fault in all that the check found: another one where something else is, though as many are. */
  readonly digest: string;
};

/**
 * @param check a query whose first column names what is at fault, so that the same ones are told of at every look, whatever amounts follow.
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
  const { rows: counted } = await sql<{ count: bigint; digest: string }>`
    SELECT count(*) AS count, coalesce(sum(hashtextextended(name.value, 0)::numeric), 0)::text AS digest
    FROM (${check}) AS found CROSS JOIN LATERAL (SELECT value FROM json_each_text(row_to_json(found)) LIMIT 1) AS name`.execute(
    db,
  );
  const [{ count, digest } = { count: BigInt(rows.length), digest: '' }] = counted;
  return [...faults, { kind: 'MORE_FAULTS', like, count: Number(count) - FAULTS_MAX, digest }];
}
