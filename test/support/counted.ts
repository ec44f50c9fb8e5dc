/** A database that notes every statement of the API, and can say afterwards how many rows of a table they looked at. */
import type { CompiledQuery } from 'kysely';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import type { TestDatabase } from './database.ts';

export type CountedDatabase = {
  readonly db: Database;
  /** Since the last {@link forget}. */
  readonly statements: readonly CompiledQuery[];
  forget(): void;
  /** Rows of a table that the noted statements look at, when they are run again: by the server’s own count. */
  visited(table: string): Promise<number>;
  close(): Promise<void>;
};

export function countStatements(database: TestDatabase): CountedDatabase {
  const counted = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-counted',
    poolSizeMax: 4,
    logger: database.logger,
  });
  const statements: CompiledQuery[] = [];
  const db = counted.db.withPlugin({
    transformQuery: ({ node, queryId }) => {
      statements.push(counted.db.getExecutor().compileQuery(node, queryId));
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  return {
    db,
    statements,
    forget: () => {
      statements.length = 0;
    },
    visited: async (table) => {
      let sum = 0;
      for (const { sql: text, parameters } of statements) {
        const { rows } = await counted.pool.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }>(
          `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
          [...parameters],
        );
        sum += visitedIn(rows[0]?.['QUERY PLAN'][0]?.Plan, table);
      }
      return sum;
    },
    close: counted.close,
  };
}

type PlanNode = {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
};

function visitedIn(node: PlanNode | undefined, table: string): number {
  if (node === undefined) return Number.NaN;
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  const own = ((node['Actual Rows'] ?? 0) + removed) * (node['Actual Loops'] ?? 0);
  const below = (node.Plans ?? []).map((child) => visitedIn(child, table)).reduce((sum, count) => sum + count, 0);
  return (node['Relation Name'] === table ? own : 0) + below;
}
