/** The servers that registries and Scan are read from, as the processes that ask them reported them last. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { REPORT_AGE_MS_MAX } from '../scan/health-report.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';

export type RegistryInstance = {
  readonly url: string;
  readonly process: string;
  readonly state: 'WELL' | 'FAILING' | 'RESTING' | 'PROBING';
  readonly asked: bigint;
  readonly answered: bigint;
  readonly failed: bigint;
  readonly spared: bigint;
  readonly dissented: bigint;
  readonly restsUntil: Micros | null;
  readonly lastAnswerAt: Micros | null;
  readonly lastFailureAt: Micros | null;
  /** Its code. */
  readonly lastFailure: string | null;
  readonly lastDissentAt: Micros | null;
  /** What was asked. */
  readonly lastDissent: string | null;
  readonly reportedAt: Micros;
};

export const keyOfRegistryInstance = ({ url, process }: RegistryInstance): PageKey => [url, process];

/** By URL, of processes that reported lately. @param isSuspect true: only those that failed last or ever said something else than the others. */
export async function listRegistryInstances(
  db: Database,
  { isSuspect, nowMicros }: { readonly isSuspect: boolean; readonly nowMicros: Micros },
  page: PageRequest,
): Promise<Page<RegistryInstance>> {
  const keyset = keysetOf([sql`url`, sql`process`], 'ascending', page);
  const { rows } = await sql<RegistryInstance>`
    SELECT url, process, state, asked, answered, failed, spared, dissented, rests_until AS "restsUntil", last_answer_at AS "lastAnswerAt",
      last_failure_at AS "lastFailureAt", last_failure AS "lastFailure", last_dissent_at AS "lastDissentAt", last_dissent AS "lastDissent",
      reported_at AS "reportedAt"
    FROM registry_instance
    WHERE ${keyset.where} AND reported_at >= ${nowMicros - millisToMicros(REPORT_AGE_MS_MAX)}
      AND (NOT ${isSuspect}::boolean OR state <> 'WELL' OR dissented > 0)
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows, page);
}
