/** What the directory has of tokens now, for those who move them: where their registries are read, and whose code they are. Asked at every turn, so that a change takes effect without a restart. */
import { sql } from 'kysely';
import type { ReadSource } from '../config/read-source.ts';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { type RegistryColumns, readSourceOf, type Token } from '../read/tokens.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { implementationOf } from './token-policy.ts';

export type TokenSources = {
  /** @param instrumentId null: the admin's registry as a whole. @returns null where none is known. */
  sourceOf(admin: string, instrumentId: string | null): ReadSource | null;
  /** Whose code moves the instrument. */
  implementationOf(instrument: Instrument): Token['implementation'];
  /** Reads the directory once. @throws RetryableError when the database is away. */
  refresh(): Promise<void>;
  /** Reads it again and again. While the database is away what was known last goes on being true. */
  run(signal: AbortSignal): Promise<void>;
};

const EVERY_MS = 5_000; // How long a change of a registry may take to be heeded by every process.

export function createTokenSources(options: {
  readonly db: Database;
  readonly network: string;
  readonly clock: Clock;
  readonly logger: Logger;
}): TokenSources {
  const { db, network, clock, logger } = options;
  let sources: ReadonlyMap<string, ReadSource> = new Map();
  let implementations: ReadonlyMap<string, Token['implementation']> = new Map();

  const refresh = async (): Promise<void> => {
    const { rows } = await sql<RegistryColumns & { admin: string; instrumentId: string }>`
      SELECT registry.admin, registry.instrument_id AS "instrumentId", strategy, urls, faults_max AS "faultsMax"
      FROM registry JOIN network ON network.id = registry.network_id WHERE network.name = ${network}`.execute(db);
    sources = new Map(
      rows.flatMap((row) => {
        const source = readSourceOf(row);
        return source === null ? [] : [[keyOf(row.admin, row.instrumentId), source] as const];
      }),
    );
    const tokens = await db
      .selectFrom('token')
      .innerJoin('instrument', 'instrument.id', 'token.instrument_id')
      .innerJoin('network', 'network.id', 'instrument.network_id')
      .select(['instrument.admin', 'instrument.instrument_id', 'token.implementation'])
      .where('network.name', '=', network)
      .execute();
    implementations = new Map(
      tokens.map(({ admin, instrument_id: id, implementation }) => [keyOf(admin, id), implementation]),
    );
  };

  return {
    sourceOf: (admin, instrumentId) =>
      sources.get(keyOf(admin, instrumentId ?? '')) ?? sources.get(keyOf(admin, '')) ?? null,
    implementationOf: ({ admin, id }) => implementations.get(keyOf(admin, id)) ?? implementationOf(id),
    refresh,
    run: async (signal) => {
      while (!signal.aborted) {
        try {
          await refresh();
        } catch (error) {
          logger.warn('The token directory could not be read; what was known goes on.', { why: messageOf(error) });
        }
        await clock.sleep(EVERY_MS, signal);
      }
    },
  };
}

function keyOf(admin: string, instrumentId: string): string {
  return JSON.stringify([admin, instrumentId]);
}
