/** What each statement costs the database, by its own account (pg_stat_statements, which the embedded server brings along). */
import { sql } from 'kysely';
import type { Database } from '../src/db/connection.ts';

/** Of a server that is to tell. Counting costs a few percent itself, so ratios are not to be taken with it. */
export const COUNTING_SETTINGS = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
  'pg_stat_statements.max': '10000',
};

const SHOWN = 60;
const TEXT_LENGTH = 110;

/** Forgets what was counted so far. */
export async function countAnew(db: Database): Promise<void> {
  await sql`CREATE EXTENSION IF NOT EXISTS pg_stat_statements`.execute(db);
  await sql`SELECT pg_stat_statements_reset()`.execute(db);
}

/** Prints the dearest statements since then, per unit of work. */
export async function printCosts(db: Database, units: number): Promise<void> {
  const { rows } = await sql<{ query: string; calls: bigint; rows: bigint; planning: number; executing: number }>`
    SELECT query, calls, rows, total_plan_time AS planning, total_exec_time AS executing
    FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY total_plan_time + total_exec_time DESC`.execute(
    db,
  );
  const sum = (of: (row: (typeof rows)[number]) => number): string =>
    (rows.reduce((total, row) => total + of(row), 0) / units).toFixed(2);
  console.log(
    `per unit: ${sum(({ calls }) => Number(calls))} statements, ${sum(({ planning }) => planning)} ms planned, ${sum(({ executing }) => executing)} ms executed`,
  );
  for (const { query, calls, rows: count, planning, executing } of rows.slice(0, SHOWN)) {
    const per = (value: number): string => (value / units).toFixed(3).padStart(7);
    const text = query.replaceAll(/\s+/g, ' ').trim().slice(0, TEXT_LENGTH);
    console.log(
      `${per(planning + executing)} = ${per(planning)} + ${per(executing)} ms, ${per(Number(calls))} calls, ${per(Number(count))} rows  ${text}`,
    );
  }
}
