/** The rows of the token directory: how an entry is written, and what of it is kept in its history. */
import { formatReadSource, type ReadSource } from '../config/read-source.ts';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { JsonValue } from '../gen/db.ts';
import type { Token, TokenPolicy } from '../read/tokens.ts';
import type { TokenMetadata } from './registry-access.ts';

/** Who decides, and why; kept for ever. */
export type Decision = { readonly by: string; readonly why: string };

/** Makes the instrument ours. A row that ingestion added when it saw the first holding is taken over. @returns the database's number. */
export async function acceptInstrument(
  tx: Transaction,
  network: number,
  { admin, instrumentId, name }: { readonly admin: string; readonly instrumentId: string; readonly name: string },
): Promise<number> {
  await tx
    .insertInto('instrument')
    .values({ network_id: network, admin, instrument_id: instrumentId, name, is_accepted: true })
    .onConflict((conflict) => conflict.columns(['network_id', 'admin', 'instrument_id']).doNothing())
    .execute();
  // Only what differs: another process may be ingesting, and a row that is rewritten is a row that is waited for.
  await tx
    .updateTable('instrument')
    .set({ name, is_accepted: true })
    .where('network_id', '=', network)
    .where('admin', '=', admin)
    .where('instrument_id', '=', instrumentId)
    .where(({ eb, or }) => or([eb('name', '!=', name), eb('is_accepted', '=', false)]))
    .execute();
  const { id } = await tx
    .selectFrom('instrument')
    .select('id')
    .where('network_id', '=', network)
    .where('admin', '=', admin)
    .where('instrument_id', '=', instrumentId)
    .executeTakeFirstOrThrow();
  return id;
}

/** @returns whether the entry is new. */
export async function insertToken(
  tx: Transaction,
  id: number,
  token: {
    readonly policy: TokenPolicy;
    readonly implementation: Token['implementation'];
    readonly packages: readonly string[];
    readonly nowMicros: Micros;
    readonly by: string;
  },
): Promise<{ readonly inserted: boolean }> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('token')
    .values({
      instrument_id: id,
      implementation: token.implementation,
      packages: [...token.packages],
      ...policyColumns(token.policy),
      onboarded_at: token.nowMicros,
      onboarded_by: token.by,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return { inserted: numInsertedOrUpdatedRows === 1n };
}

/** Adds to the entry's history. */
export async function note(
  tx: Transaction,
  id: number,
  change: Decision & {
    readonly action: 'ADDED' | 'POLICY' | 'REGISTRY' | 'PINNED' | 'FROZEN' | 'ENABLED';
    readonly before: JsonValue;
    readonly after: JsonValue;
    readonly nowMicros: Micros;
  },
): Promise<void> {
  await tx
    .insertInto('token_change')
    .values({
      instrument_id: id,
      action: change.action,
      changed_at: change.nowMicros,
      changed_by: change.by,
      why: change.why,
      before: change.before === null ? null : JSON.stringify(change.before),
      after: JSON.stringify(change.after),
    })
    .execute();
}

/** What of an entry is kept in its history. */
export function shown(token: Token): JsonValue {
  const { implementation, packages, registry, pinned, isFrozen } = token;
  return {
    ...policyOf(token),
    implementation,
    packages,
    isFrozen,
    registry: sourceShown(registry),
    pinned: pinned && shownPin(pinned),
  };
}

/** @param instrumentId of an instrument with a registry of its own; '': every other one of the admin. */
export async function writeRegistry(
  tx: Transaction,
  { network, admin, instrumentId }: { readonly network: number; readonly admin: string; readonly instrumentId: string },
  source: ReadSource,
): Promise<void> {
  const columns = {
    strategy: STRATEGIES[source.strategy],
    urls: source.strategy === 'proxy' ? [] : [...source.urls],
    faults_max: source.strategy === 'quorum' ? source.faultsMax : 0,
  };
  await tx
    .insertInto('registry')
    .values({ network_id: network, admin, instrument_id: instrumentId, ...columns })
    .onConflict((conflict) => conflict.columns(['network_id', 'admin', 'instrument_id']).doUpdateSet(columns))
    .execute();
}

const STRATEGIES = { proxy: 'PROXY', rotate: 'ROTATE', quorum: 'QUORUM' } as const;

/** What the registry says now is what it is held to from now on. */
export async function writePin(tx: Transaction, id: number, found: TokenMetadata, nowMicros: Micros): Promise<void> {
  await tx
    .updateTable('token')
    .set({
      pinned_at: nowMicros,
      pinned_name: found.name,
      pinned_symbol: found.symbol,
      pinned_decimals: found.decimals,
      registry_tried_at: nowMicros,
      registry_checked_at: nowMicros,
      registry_trouble: null,
      registry_differs: null,
    })
    .where('instrument_id', '=', id)
    .execute();
}

export function policyOf(token: Token): TokenPolicy {
  const { creditsDeposits, acceptsOffers, depositMin, paysDirect, paysOffers, offerValiditySeconds, returnFee } = token;
  return { creditsDeposits, acceptsOffers, depositMin, paysDirect, paysOffers, offerValiditySeconds, returnFee };
}

export function policyColumns(policy: TokenPolicy) {
  return {
    credits_deposits: policy.creditsDeposits,
    accepts_offers: policy.acceptsOffers,
    deposit_min: policy.depositMin,
    pays_direct: policy.paysDirect,
    pays_offers: policy.paysOffers,
    offer_validity_seconds: policy.offerValiditySeconds,
    return_fee: policy.returnFee,
  };
}

/** As the configuration writes it. */
export function sourceShown(source: ReadSource | null): string | null {
  return source && formatReadSource(source);
}

export function shownPin({ name, symbol, decimals }: TokenMetadata | NonNullable<Token['pinned']>): JsonValue {
  return { name, symbol, decimals };
}
