/** The token directory: what somebody decided about an instrument, and what its registry and the hosting participants say of it. */
import { type RawBuilder, sql } from 'kysely';
import type { ReadSource } from '../config/read-source.ts';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { JsonValue } from '../gen/db.ts';
import type { Instrument } from './instruments.ts';
import { ledgerKey } from './ledger-keys.ts';
import { keysetOf, type Page, type PageRequest, pageOf } from './page.ts';

export type TokenPolicy = {
  readonly creditsDeposits: boolean;
  readonly acceptsOffers: boolean;
  /** Of an offer, to be accepted. PostgreSQL's decimal text. */
  readonly depositMin: string;
  readonly paysDirect: boolean;
  readonly paysOffers: boolean;
  readonly offerValiditySeconds: number;
  /** Kept from the customer when an offer of ours comes back; at most what he asked for. PostgreSQL's decimal text. */
  readonly returnFee: string;
};

export type PinnedMetadata = {
  readonly name: string;
  readonly symbol: string;
  readonly decimals: number;
  /** Wall clock. */
  readonly pinnedAt: Micros;
};

export type MetadataDifference = { readonly field: string; readonly pinned: string; readonly found: string };

export type MissingPackage = { readonly package: string; readonly treasury: string; readonly why: string };

export type Token = TokenPolicy & {
  readonly instrument: Instrument;
  /** Whether an operator's freeze covers the instrument of every treasury. Other freezes are told by `freezes`. */
  readonly isFrozen: boolean;
  readonly implementation: 'SPLICE_AMULET' | 'UTILITY_REGISTRY' | 'OTHER';
  readonly packages: readonly string[];
  /** Null: none is known, so nothing of it is paid and no offer is accepted. */
  readonly registry: ReadSource | null;
  readonly version: number;
  readonly onboardedAt: Micros;
  readonly onboardedBy: string;
  /** Null: its registry has never answered. */
  readonly pinned: PinnedMetadata | null;
  readonly registryCheckedAt: Micros | null;
  readonly registryTrouble: string | null;
  /** Empty: what the registry says is what was pinned. */
  readonly registryDiffers: readonly MetadataDifference[];
  readonly packagesCheckedAt: Micros | null;
  readonly packagesTrouble: string | null;
  readonly packagesMissing: readonly MissingPackage[];
};

export type TokenChange = {
  readonly action: string;
  readonly changedAt: Micros;
  readonly changedBy: string;
  readonly why: string;
  readonly before: JsonValue;
  readonly after: JsonValue;
};

export type TokenKey = { readonly network: string; readonly admin: string; readonly instrumentId: string };

/** By network, admin and id. */
export async function listTokens(db: Database, page: PageRequest): Promise<Page<Token>> {
  const keyset = keysetOf([sql`network.name`, sql`instrument.admin`, sql`instrument.instrument_id`], 'ascending', page);
  const { rows } = await sql<TokenRow>`
    SELECT ${COLUMNS} FROM token ${JOINS} WHERE ${keyset.where} ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(
    db,
  );
  return pageOf(rows.map(tokenOf), page);
}

/** One result per key, in the order of `keys`; null where nobody has decided about the instrument. */
export async function readTokens(db: Database | Transaction, keys: readonly TokenKey[]): Promise<(Token | null)[]> {
  const { rows } = await sql<TokenRow>`
    SELECT ${COLUMNS} FROM token ${JOINS}
    WHERE (network.name, instrument.admin, instrument.instrument_id) IN (
      SELECT * FROM unnest(
        ${keys.map((key) => key.network)}::text[],
        ${keys.map((key) => key.admin)}::text[],
        ${keys.map((key) => key.instrumentId)}::text[]))`.execute(db);
  const byKey = new Map(rows.map((row) => [keyOfToken(row), tokenOf(row)]));
  return keys.map((key) => byKey.get(keyOfToken(key)) ?? null);
}

/** Every token of a network, by admin and id. */
export async function readTokensOfNetwork(db: Database, network: string): Promise<readonly Token[]> {
  const { rows } = await sql<TokenRow>`
    SELECT ${COLUMNS} FROM token ${JOINS} WHERE network.name = ${network}
    ORDER BY instrument.admin, instrument.instrument_id`.execute(db);
  return rows.map(tokenOf);
}

/** Per token what was changed of it, newest first, the newest `limit`. One statement. */
export async function readTokenChanges(
  db: Database,
  keys: readonly TokenKey[],
  limit: number,
): Promise<readonly (readonly TokenChange[])[]> {
  const { rows } = await sql<TokenChange & TokenKey>`
    SELECT network.name AS network, instrument.admin, instrument.instrument_id AS "instrumentId", change.action,
      change.changed_at AS "changedAt", change.changed_by AS "changedBy", change.why, change.before, change.after
    FROM unnest(
      ${keys.map((key) => key.network)}::text[],
      ${keys.map((key) => key.admin)}::text[],
      ${keys.map((key) => key.instrumentId)}::text[]) AS wanted (network, admin, instrument_id)
    JOIN network ON network.name = wanted.network
    JOIN instrument ON instrument.network_id = network.id AND instrument.admin = wanted.admin
      AND instrument.instrument_id = wanted.instrument_id
    CROSS JOIN LATERAL (
      SELECT * FROM token_change WHERE token_change.instrument_id = instrument.id ORDER BY token_change.id DESC LIMIT ${limit}
    ) AS change
    ORDER BY change.id DESC`.execute(db);
  const byKey = Map.groupBy(rows, keyOfToken);
  return keys.map((key) => (byKey.get(keyOfToken(key)) ?? []).map(({ network, admin, instrumentId, ...rest }) => rest));
}

export function keyOfToken({ network, admin, instrumentId }: TokenKey): string {
  return ledgerKey(network, admin, instrumentId);
}

const COLUMNS: RawBuilder<unknown> = sql`
  network.name AS network, instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
  instrument.is_accepted AS "isAccepted",
  token.implementation, token.packages, token.credits_deposits AS "creditsDeposits", token.accepts_offers AS "acceptsOffers",
  token.deposit_min::text AS "depositMin", token.pays_direct AS "paysDirect", token.pays_offers AS "paysOffers",
  token.offer_validity_seconds AS "offerValiditySeconds", token.return_fee::text AS "returnFee", token.version, token.onboarded_at AS "onboardedAt",
  token.onboarded_by AS "onboardedBy", token.pinned_at AS "pinnedAt", token.pinned_name AS "pinnedName",
  token.pinned_symbol AS "pinnedSymbol", token.pinned_decimals AS "pinnedDecimals",
  token.registry_checked_at AS "registryCheckedAt", token.registry_trouble AS "registryTrouble",
  token.registry_differs AS "registryDiffers", token.packages_checked_at AS "packagesCheckedAt",
  token.packages_trouble AS "packagesTrouble", token.packages_missing AS "packagesMissing",
  registry.urls, registry.strategy, registry.faults_max AS "faultsMax",
  EXISTS (
    SELECT FROM money_freeze
    WHERE lifted_at IS NULL AND reason = 'OPERATOR' AND treasury_id IS NULL AND money_freeze.instrument_id = instrument.id
  ) AS "isFrozen"`;

const JOINS: RawBuilder<unknown> = sql`
  JOIN instrument ON instrument.id = token.instrument_id
  JOIN network ON network.id = instrument.network_id
  LEFT JOIN LATERAL (
    SELECT urls, strategy, faults_max FROM registry
    WHERE registry.network_id = instrument.network_id AND registry.admin = instrument.admin
      AND registry.instrument_id IN (instrument.instrument_id, '')
    ORDER BY registry.instrument_id DESC LIMIT 1
  ) AS registry ON true`;

type TokenRow = TokenPolicy &
  Pick<
    Token,
    | 'isFrozen'
    | 'implementation'
    | 'packages'
    | 'version'
    | 'onboardedAt'
    | 'onboardedBy'
    | 'registryCheckedAt'
    | 'registryTrouble'
    | 'packagesCheckedAt'
    | 'packagesTrouble'
  > &
  TokenKey & {
    readonly instrumentName: string;
    readonly isAccepted: boolean;
    readonly pinnedAt: Micros | null;
    readonly pinnedName: string | null;
    readonly pinnedSymbol: string | null;
    readonly pinnedDecimals: number | null;
    readonly registryDiffers: readonly MetadataDifference[] | null;
    readonly packagesMissing: readonly MissingPackage[] | null;
  } & RegistryColumns;

/** All null: no registry is known. */
export type RegistryColumns = {
  readonly urls: readonly string[] | null;
  readonly strategy: 'PROXY' | 'ROTATE' | 'QUORUM' | null;
  readonly faultsMax: number | null;
};

export function readSourceOf({ urls, strategy, faultsMax }: RegistryColumns): ReadSource | null {
  switch (strategy) {
    case null:
      return null;
    case 'PROXY':
      return { strategy: 'proxy' };
    case 'ROTATE':
      return { strategy: 'rotate', urls: urls ?? [] };
    case 'QUORUM':
      return { strategy: 'quorum', urls: urls ?? [], faultsMax: faultsMax ?? 0 };
  }
}

function tokenOf(row: TokenRow): Token {
  const { network, admin, instrumentId, instrumentName, isAccepted, urls, strategy, faultsMax, ...rest } = row;
  const { pinnedAt, pinnedName, pinnedSymbol, pinnedDecimals, registryDiffers, packagesMissing, ...token } = rest;
  return {
    ...token,
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    registry: readSourceOf({ urls, strategy, faultsMax }),
    // The four are there together or not at all: a constraint of the table.
    pinned:
      pinnedAt === null || pinnedName === null || pinnedSymbol === null || pinnedDecimals === null
        ? null
        : { name: pinnedName, symbol: pinnedSymbol, decimals: pinnedDecimals, pinnedAt },
    registryDiffers: registryDiffers ?? [],
    packagesMissing: packagesMissing ?? [],
  };
}
