/**
 * The configuration's instruments and registries as the first entries of the directory. An entry that is there already is left alone: from then on the directory decides, and what the
 * configuration says otherwise is told and not done. So an instrument that is taken out of the configuration stays what it is in the directory.
 */
import { sql } from 'kysely';
import type { ConfiguredRegistry } from '../config/read-source.ts';
import type { ConfiguredInstrument } from '../config/values.ts';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import { readTokens } from '../read/tokens.ts';
import { DEFAULT_POLICY, implementationOf, packagesOf } from './token-policy.ts';
import { acceptInstrument, insertToken, note, shown, sourceShown, writeRegistry } from './token-rows.ts';

/**
 * Idempotent; several processes may do it at once. Tokens that it adds are enabled, and pinned at the first look at their registry.
 * @param config.network must have its row already (`registerCatalog`).
 */
export async function adoptConfiguredTokens(
  db: Database,
  config: {
    readonly network: string;
    readonly instruments: readonly ConfiguredInstrument[];
    readonly registries: readonly ConfiguredRegistry[];
  },
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  const network = await db
    .selectFrom('network')
    .select('id')
    .where('name', '=', config.network)
    .executeTakeFirstOrThrow();
  await adoptRegistries(db, network.id, config.registries, logger);
  for (const { admin, id: instrumentId, name } of config.instruments) {
    const key = { network: config.network, admin, instrumentId };
    const [known] = await readTokens(db, [key]);
    if (known != null) {
      if (known.instrument.name !== name) {
        logger.warn('The configuration names a token otherwise; the directory decides.', {
          ...key,
          configured: name,
          name: known.instrument.name,
        });
      }
      continue;
    }
    const nowMicros = clock.nowMicros();
    await db.transaction().execute(async (tx) => {
      const row = await acceptInstrument(tx, network.id, { admin, instrumentId, name });
      const implementation = implementationOf(instrumentId);
      const { inserted } = await insertToken(tx, row, {
        policy: DEFAULT_POLICY,
        implementation,
        packages: packagesOf(implementation),
        nowMicros,
        by: CONFIGURATION,
      });
      const [token] = await readTokens(tx, [key]);
      if (!inserted || token == null) return;
      const why = 'Named in SLUICE_INSTRUMENTS.';
      await note(tx, row, { action: 'ADDED', by: CONFIGURATION, why, before: null, after: shown(token), nowMicros });
    });
  }
}

export const CONFIGURATION = 'configuration';

async function adoptRegistries(
  db: Database,
  network: number,
  registries: readonly ConfiguredRegistry[],
  logger: Logger,
): Promise<void> {
  for (const { admin, instrumentId, source } of registries) {
    const { rows } = await sql<{ strategy: string; urls: readonly string[]; faultsMax: number }>`
      SELECT strategy, urls, faults_max AS "faultsMax" FROM registry
      WHERE network_id = ${network} AND admin = ${admin} AND instrument_id = ${instrumentId ?? ''}`.execute(db);
    const [known] = rows;
    if (known === undefined) {
      await db.transaction().execute(async (tx) => {
        await writeRegistry(tx, { network, admin, instrumentId: instrumentId ?? '' }, source);
      });
      continue;
    }
    const urls = source.strategy === 'proxy' ? [] : source.urls;
    const isSame =
      known.strategy.toLowerCase() === source.strategy &&
      JSON.stringify(known.urls) === JSON.stringify(urls) &&
      (source.strategy !== 'quorum' || source.faultsMax === known.faultsMax);
    if (!isSame) {
      logger.warn('The configuration reads a registry elsewhere; the directory decides.', {
        admin,
        instrumentId,
        configured: sourceShown(source),
        urls: known.urls,
      });
    }
  }
}
