/** One look at a token: what its registry says now, compared with what was pinned, and which packages its hosts lack. Writes what it found, and says aloud what got worse. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { isPoison } from '../ingestion/poison.ts';
import type { Channel } from '../ledger/channel.ts';
import type { MetadataDifference, MissingPackage, Token } from '../read/tokens.ts';
import { CONFIGURATION } from './configured-tokens.ts';
import { missingPackages } from './package-look.ts';
import type { OpenRegistry, TokenMetadata } from './registry-access.ts';
import { note, shownPin, writePin } from './token-rows.ts';

export type TokenLookOptions = {
  readonly db: Database;
  readonly openRegistry: OpenRegistry;
  /** Of a participant that hosts the treasuries; null: packages are not looked at. */
  readonly call: Channel['call'] | null;
  readonly treasuries: readonly { readonly name: string; readonly party: string }[];
  readonly clock: Clock;
  readonly logger: Logger;
};

/** @throws RetryableError when the database is away. What registry and participants fail at is written down; what cannot be is told, and the other tokens are looked at all the same. */
export async function lookAtToken(options: TokenLookOptions, token: Token): Promise<void> {
  const { call, logger } = options;
  try {
    await lookAtRegistry(options, token);
    if (call !== null) await lookAtPackages({ ...options, call }, token);
  } catch (error) {
    if (!isPoison(error)) throw error;
    logger.error('What was seen of a token could not be written down.', { ...token.instrument, why: messageOf(error) });
  }
}

async function lookAtRegistry({ db, openRegistry, clock, logger }: TokenLookOptions, token: Token): Promise<void> {
  const { instrument, registry, pinned } = token;
  if (registry === null) return;
  const facts = { network: instrument.network, admin: instrument.admin, id: instrument.instrumentId };
  let found: Found;
  try {
    const asked = openRegistry({ admin: instrument.admin, id: instrument.instrumentId }, registry);
    const [adminId, metadata] = await Promise.all([asked.adminId(), asked.metadata()]);
    found = { adminId, metadata };
  } catch (error) {
    const trouble = messageOf(error);
    if (token.registryTrouble === null) logger.warn('The registry of a token gives no answer.', { ...facts, trouble });
    await write(db, token, { registry_tried_at: clock.nowMicros(), registry_trouble: trouble });
    return;
  }
  const differs = differencesOf(token, found);
  const nowMicros = clock.nowMicros();
  if (pinned === null && differs.length === 0 && found.metadata !== null) {
    const { metadata } = found;
    const why = 'The first answer of its registry.';
    await db.transaction().execute(async (tx) => {
      const id = await lockUnpinned(tx, token);
      if (id === null) return;
      await writePin(tx, id, metadata, nowMicros);
      await note(tx, id, {
        action: 'PINNED',
        by: CONFIGURATION,
        why,
        before: null,
        after: shownPin(metadata),
        nowMicros,
      });
    });
    return;
  }
  const isNew = JSON.stringify(differs) !== JSON.stringify(token.registryDiffers);
  if (isNew && differs.length > 0) {
    logger.error('A registry says otherwise of a token than when it was pinned. Nothing is taken over.', {
      ...facts,
      differs,
    });
  }
  await write(db, token, {
    registry_tried_at: nowMicros,
    registry_checked_at: nowMicros,
    registry_trouble: null,
    registry_differs: differs.length === 0 ? null : JSON.stringify(differs),
  });
}

type Found = { readonly adminId: string; readonly metadata: TokenMetadata | null };

/** What would change if the registry were believed. */
export function differencesOf(
  { instrument, pinned }: Pick<Token, 'instrument' | 'pinned'>,
  { adminId, metadata }: Found,
): readonly MetadataDifference[] {
  const differs = (field: string, before: string, now: string): readonly MetadataDifference[] =>
    before === now ? [] : [{ field, pinned: before, found: now }];
  return [
    ...differs('admin', instrument.admin, adminId),
    ...differs('id', instrument.instrumentId, metadata?.id ?? 'unknown to the registry'),
    ...(pinned === null || metadata === null
      ? []
      : [
          ...differs('name', pinned.name, metadata.name),
          ...differs('symbol', pinned.symbol, metadata.symbol),
          ...differs('decimals', String(pinned.decimals), String(metadata.decimals)),
        ]),
  ];
}

async function lookAtPackages(
  { db, call, treasuries, clock, logger }: TokenLookOptions & { readonly call: Channel['call'] },
  token: Token,
): Promise<void> {
  const { instrument, packages } = token;
  let missing: readonly MissingPackage[];
  try {
    missing = await missingPackages(call, { treasuries, packages });
  } catch (error) {
    await write(db, token, { packages_trouble: messageOf(error) });
    return;
  }
  const isNew = JSON.stringify(missing) !== JSON.stringify(token.packagesMissing);
  if (isNew && missing.length > 0) {
    const { network, admin, instrumentId: id } = instrument;
    logger.error('Hosts of a treasury lack packages of a token: its transfers will be refused.', {
      network,
      admin,
      id,
      missing,
    });
  }
  await write(db, token, {
    packages_checked_at: clock.nowMicros(),
    packages_trouble: null,
    packages_missing: missing.length === 0 ? null : JSON.stringify(missing),
  });
}

type Written = Partial<
  Record<'registry_tried_at' | 'registry_checked_at' | 'packages_checked_at', bigint> &
    Record<'registry_trouble' | 'registry_differs' | 'packages_trouble' | 'packages_missing', string | null>
>;

async function write(db: Database, { instrument }: Token, columns: Written): Promise<void> {
  await db
    .updateTable('token')
    .set(columns)
    .where('instrument_id', 'in', (select) =>
      select
        .selectFrom('instrument')
        .innerJoin('network', 'network.id', 'instrument.network_id')
        .select('instrument.id')
        .where('network.name', '=', instrument.network)
        .where('instrument.admin', '=', instrument.admin)
        .where('instrument.instrument_id', '=', instrument.instrumentId),
    )
    .execute();
}

/** @returns null where somebody else has pinned it meanwhile. */
async function lockUnpinned(tx: Parameters<typeof writePin>[0], { instrument }: Token): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`
    SELECT instrument.id
    FROM token JOIN instrument ON instrument.id = token.instrument_id JOIN network ON network.id = instrument.network_id
    WHERE network.name = ${instrument.network} AND instrument.admin = ${instrument.admin}
      AND instrument.instrument_id = ${instrument.instrumentId} AND token.pinned_at IS NULL
    FOR UPDATE OF token`.execute(tx);
  return rows[0]?.id ?? null;
}
