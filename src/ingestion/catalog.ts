/** What this installation serves: its network, treasury parties and accepted instruments, from the configuration into the database. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { knowNetwork } from '../db/known-network.ts';
import { assert } from '../env/errors.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import type { KnownInstrument, Treasury } from './effect-sink.ts';

export type CatalogConfig = {
  readonly network: string;
  readonly treasuries: readonly { readonly name: string; readonly party: string }[];
  readonly instruments: readonly (Instrument & { readonly name: string })[];
};

/**
 * Writes the catalog and returns the treasuries in the order given. Idempotent. A party keeps its row for ever; names follow the configuration.
 * An instrument that is no longer configured stops being accepted, its past stays. What the token directory has an entry for is the directory's business alone.
 *
 * Changes and locks only what differs (`ON CONFLICT DO UPDATE` locks even what its WHERE leaves alone): another process may be ingesting, and its transactions hold
 * the treasury's row by their foreign keys while they may wait for an instrument. Rewriting both here would deadlock with them.
 */
export async function registerCatalog(db: Database, config: CatalogConfig): Promise<readonly Treasury[]> {
  return db.transaction().execute(async (tx) => {
    await knowNetwork(tx, config.network);
    const { id: networkId } = await tx
      .selectFrom('network')
      .select('id')
      .where('name', '=', config.network)
      .executeTakeFirstOrThrow();

    const admins = config.instruments.map(({ admin }) => admin);
    const ids = config.instruments.map(({ id }) => id);
    await sql`
      UPDATE instrument SET is_accepted = false
      WHERE network_id = ${networkId} AND is_accepted AND NOT EXISTS (SELECT FROM token WHERE token.instrument_id = instrument.id)
        AND (admin, instrument_id) NOT IN (SELECT * FROM unnest(${admins}::text[], ${ids}::text[]))`.execute(tx);
    for (const { admin, id, name } of config.instruments) {
      await tx
        .insertInto('instrument')
        .values({ network_id: networkId, admin, instrument_id: id, name, is_accepted: true })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await tx
        .updateTable('instrument')
        .set({ name, is_accepted: true })
        .where('network_id', '=', networkId)
        .where('admin', '=', admin)
        .where('instrument_id', '=', id)
        .where(({ eb, or }) => or([eb('name', '!=', name), eb('is_accepted', '=', false)]))
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('token').select('token.instrument_id').whereRef('token.instrument_id', '=', 'instrument.id'),
            ),
          ),
        )
        .execute();
    }

    const treasuries: Treasury[] = [];
    for (const { name, party } of config.treasuries) {
      await tx
        .insertInto('treasury_party')
        .values({ network_id: networkId, party, name })
        .onConflict((conflict) => conflict.columns(['network_id', 'party']).doNothing())
        .execute();
      const known = await tx
        .selectFrom('treasury_party')
        .select(['id', 'name'])
        .where('network_id', '=', networkId)
        .where('party', '=', party)
        .executeTakeFirstOrThrow();
      const { id } = known;
      if (known.name !== name) await tx.updateTable('treasury_party').set({ name }).where('id', '=', id).execute();
      await tx
        .insertInto('ingestion_stream')
        .values({ treasury_id: id })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      treasuries.push({ id, party, name, networkId, network: config.network });
    }
    return treasuries;
  });
}

/** Instruments by (admin, id). Those never seen before are added, not accepted: their holdings are kept, their deposits credit nobody. */
export type InstrumentBook = {
  /** @returns the instrument for each of `wanted`. Rows it had to add become visible with `tx`. */
  resolve(tx: Transaction, wanted: readonly Instrument[]): Promise<(instrument: Instrument) => KnownInstrument>;
};

export function createInstrumentBook(networkId: number): InstrumentBook {
  return {
    resolve: async (tx, wanted) => {
      const admins = wanted.map((instrument) => instrument.admin);
      const ids = wanted.map((instrument) => instrument.id);
      const find = () =>
        sql<{ key: number; admin: string; id: string; isAccepted: boolean }>`
        SELECT instrument.id AS key, admin, instrument.instrument_id AS id,
          is_accepted AND coalesce(token.credits_deposits, true) AS "isAccepted"
        FROM instrument LEFT JOIN token ON token.instrument_id = instrument.id
        WHERE network_id = ${networkId}
          AND (admin, instrument.instrument_id) IN (SELECT * FROM unnest(${admins}::text[], ${ids}::text[]))`.execute(
          tx,
        );

      let { rows } = await find();
      const isMissing = ({ admin, id }: Instrument) => !rows.some((row) => row.admin === admin && row.id === id);
      if (wanted.some(isMissing)) {
        // Sorted, so that two treasuries that meet the same instruments wait for each other and do not deadlock.
        await sql`
          INSERT INTO instrument (network_id, admin, instrument_id, name, is_accepted)
          SELECT DISTINCT ${networkId}::smallint, admin, id, id, false
          FROM unnest(${admins}::text[], ${ids}::text[]) AS wanted (admin, id)
          ORDER BY admin, id
          ON CONFLICT DO NOTHING`.execute(tx);
        ({ rows } = await find());
      }

      const byKey = new Map(rows.map((row) => [keyOf(row), row]));
      return (instrument) => {
        const known = byKey.get(keyOf(instrument));
        assert(known !== undefined, 'An instrument was not asked for.', instrument);
        return known;
      };
    },
  };
}

function keyOf({ admin, id }: Instrument): string {
  return JSON.stringify([admin, id]);
}
