/** `Token`, the directory's entry for an instrument, and its queries. */
import type { ReadSource } from '../config/read-source.ts';
import {
  keyOfToken,
  listTokens,
  type MetadataDifference,
  type MissingPackage,
  type PinnedMetadata,
  readTokenChanges,
  readTokens,
  type Token,
  type TokenChange,
} from '../read/tokens.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef } from './instrument.ts';

const KEY_PARTS = ['network', 'admin', 'instrumentId'] as const;
const CHANGES_MAX = 50;

export const ReadStrategyEnum = builder.enumType('RegistryStrategy', {
  description: 'How a registry is read, and how far one of its servers is believed. Since 0.1.',
  values: {
    PROXY: { description: 'Through the Scan proxy of our own validator, which asks several Scans itself.' },
    ROTATE: { description: 'One server at a time, chosen at random; after a failure another one.' },
    QUORUM: { description: 'All servers at once; an answer counts when enough of them gave it alike.' },
  } as const,
});

export const TokenImplementationEnum = builder.enumType('TokenImplementation', {
  description:
    'Whose contracts move a token: it decides by which rules a transfer is judged before it is signed. Since 0.1.',
  values: {
    SPLICE_AMULET: { description: 'Canton Coin’s.' },
    UTILITY_REGISTRY: { description: 'Those of the registry utility, as USDCx and others use it.' },
    OTHER: {
      description: 'Others: judged by who signs and who acts alone, unless the factory turns out to be a known one.',
    },
  } as const,
});

const RegistrySourceRef = builder.objectRef<ReadSource>('RegistrySource').implement({
  description: 'Where the registry of a token’s admin is read. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    strategy: t.field({
      type: ReadStrategyEnum,
      description: 'How it is read. Scope: `read`. Since 0.1.',
      resolve: ({ strategy }) => STRATEGIES[strategy],
    }),
    urls: t.stringList({
      description: 'Its servers; none for the proxy. Scope: `read`. Since 0.1.',
      resolve: (source) => (source.strategy === 'proxy' ? [] : source.urls),
    }),
    faultsMax: t.int({
      description: 'How many of the servers may be wrong without harm; 0 but for a quorum. Scope: `read`. Since 0.1.',
      resolve: (source) => (source.strategy === 'quorum' ? source.faultsMax : 0),
    }),
  }),
});

const STRATEGIES = { proxy: 'PROXY', rotate: 'ROTATE', quorum: 'QUORUM' } as const;

const PinnedMetadataRef = builder.objectRef<PinnedMetadata>('PinnedTokenMetadata').implement({
  description:
    'What the registry said when it was first asked, or when somebody pinned it anew. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The registry’s name for it. Scope: `read`. Since 0.1.' }),
    symbol: t.exposeString('symbol', {
      description: 'A few letters, e.g. for a price list. Scope: `read`. Since 0.1.',
    }),
    decimals: t.exposeInt('decimals', {
      description:
        'Digits after the point that make sense to show. Amounts here always have ten. Scope: `read`. Since 0.1.',
    }),
    pinnedAt: t.expose('pinnedAt', {
      type: 'RecordTime',
      description: 'Since when it holds, by our clock. Scope: `read`. Since 0.1.',
    }),
  }),
});

const DifferenceRef = builder.objectRef<MetadataDifference>('TokenMetadataDifference').implement({
  description:
    'Something a registry says otherwise now than when it was pinned. Nothing of it is taken over. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    field: t.exposeString('field', {
      description: '`admin`, `id`, `name`, `symbol` or `decimals`. Scope: `read`. Since 0.1.',
    }),
    pinned: t.exposeString('pinned', { description: 'What holds. Scope: `read`. Since 0.1.' }),
    found: t.exposeString('found', { description: 'What it says now. Scope: `read`. Since 0.1.' }),
  }),
});

const MissingPackageRef = builder.objectRef<MissingPackage>('MissingTokenPackage').implement({
  description:
    'A package that not every host of a treasury party can use: transfers of the token will be refused. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    package: t.exposeString('package', { description: 'Its name. Scope: `read`. Since 0.1.' }),
    treasury: t.exposeString('treasury', { description: 'Our name of the treasury party. Scope: `read`. Since 0.1.' }),
    why: t.exposeString('why', { description: 'In words, for people. Scope: `read`. Since 0.1.' }),
  }),
});

const TokenChangeRef = builder.objectRef<TokenChange>('TokenChange').implement({
  description: 'One decision about a token, kept for ever. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    action: t.exposeString('action', {
      description: '`ADDED`, `POLICY`, `REGISTRY`, `PINNED`, `FROZEN` or `ENABLED`. Scope: `read`. Since 0.1.',
    }),
    changedAt: t.expose('changedAt', { type: 'RecordTime', description: 'By our clock. Scope: `read`. Since 0.1.' }),
    changedBy: t.exposeString('changedBy', {
      description: 'Name of a principal, or `configuration`. Scope: `read`. Since 0.1.',
    }),
    why: t.exposeString('why', { description: 'In their words. Scope: `read`. Since 0.1.' }),
    before: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What was decided until then; null: nothing. Scope: `read`. Since 0.1.',
      resolve: ({ before }) => before,
    }),
    after: t.field({
      type: 'JSON',
      description: 'What holds since. Scope: `read`. Since 0.1.',
      resolve: ({ after }) => after,
    }),
  }),
});

export const TokenRef = builder.objectRef<Token>('Token').implement({
  description:
    'What was decided about an instrument, and what its registry and the hosting participants say of it. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Which one. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    isFrozen: t.exposeBoolean('isFrozen', {
      description:
        'Whether an operator has stopped it for every treasury: deposits are credited, nothing is reserved or signed. A token that was added by hand is frozen until it is enabled. Other freezes: `Query.freezes`. Scope: `read`. Since 0.1.',
    }),
    creditsDeposits: t.exposeBoolean('creditsDeposits', {
      description:
        'Whether deposits with a known memo are credited; else they wait unattributed. Scope: `read`. Since 0.1.',
    }),
    acceptsOffers: t.exposeBoolean('acceptsOffers', {
      description: 'Whether offers to known deposit accounts are accepted by themselves. Scope: `read`. Since 0.1.',
    }),
    depositMin: t.expose('depositMin', {
      type: 'Decimal',
      description:
        'Offers below it, in units of the instrument, are left alone. What came directly is here already, and credited whatever it is. Scope: `read`. Since 0.1.',
    }),
    paysDirect: t.exposeBoolean('paysDirect', {
      description:
        'Whether receivers with a preapproval are paid, at once. With neither this nor offers new withdrawals of it are refused. Scope: `read`. Since 0.1.',
    }),
    paysOffers: t.exposeBoolean('paysOffers', {
      description:
        'Whether others are made an offer, which locks the money until they accept. Scope: `read`. Since 0.1.',
    }),
    offerValiditySeconds: t.exposeInt('offerValiditySeconds', {
      description:
        'Seconds that an offer of ours stands, from the last moment at which it may be made. Scope: `read`. Since 0.1.',
    }),
    returnFee: t.expose('returnFee', {
      type: 'Decimal',
      description:
        'Kept from the customer when an offer of ours comes back, in units of the instrument; at most what he asked for. Scope: `read`. Since 0.1.',
    }),
    implementation: t.exposeString('implementation', {
      description: 'Whose contracts move it: `SPLICE_AMULET`, `UTILITY_REGISTRY` or `OTHER`. Scope: `read`. Since 0.1.',
    }),
    packages: t.exposeStringList('packages', {
      description:
        'Names of the packages that every hosting participant has to know and to vet. Scope: `read`. Since 0.1.',
    }),
    registry: t.field({
      type: RegistrySourceRef,
      nullable: true,
      description:
        'Where its registry is read; null: nobody said, so nothing of it can be moved. Scope: `read`. Since 0.1.',
      resolve: ({ registry }) => registry,
    }),
    version: t.exposeInt('version', {
      description: 'Of the policy: whoever changes it names the one that he saw. Scope: `read`. Since 0.1.',
    }),
    pinned: t.field({
      type: PinnedMetadataRef,
      nullable: true,
      description: 'What its registry said of it; null: it has not answered yet. Scope: `read`. Since 0.1.',
      resolve: ({ pinned }) => pinned,
    }),
    registryDiffers: t.field({
      type: [DifferenceRef],
      description: 'What its registry says otherwise since. Empty: nothing. Scope: `read`. Since 0.1.',
      resolve: ({ registryDiffers }) => registryDiffers,
    }),
    registryCheckedAt: t.expose('registryCheckedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When its registry last answered, by our clock. Scope: `read`. Since 0.1.',
    }),
    registryTrouble: t.exposeString('registryTrouble', {
      nullable: true,
      description: 'Why the last question was not answered; null: it was. Scope: `read`. Since 0.1.',
    }),
    packagesMissing: t.field({
      type: [MissingPackageRef],
      description: 'What hosts of a treasury lack, as of `packagesCheckedAt`. Scope: `read`. Since 0.1.',
      resolve: ({ packagesMissing }) => packagesMissing,
    }),
    packagesCheckedAt: t.expose('packagesCheckedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When the participant was last asked, by our clock; null: never. Scope: `read`. Since 0.1.',
    }),
    packagesTrouble: t.exposeString('packagesTrouble', {
      nullable: true,
      description: 'Why it gave no answer the last time; null: it did. Scope: `read`. Since 0.1.',
    }),
    changes: t.loadableList({
      type: TokenChangeRef,
      description: `Who decided what about it, newest first, the newest ${CHANGES_MAX}. Scope: \`read\`. Since 0.1.`,
      load: async (keys: string[], { db }) =>
        (
          await readTokenChanges(
            db,
            keys.map((key) => partsOfKey(key, KEY_PARTS)),
            CHANGES_MAX,
          )
        ).map((changes) => [...changes]),
      loaderOptions: { cache: false },
      resolve: ({ instrument }) => keyOfToken(instrument),
    }),
  }),
});

builder.objectField(InstrumentRef, 'token', (t) =>
  t.loadable({
    type: TokenRef,
    nullable: true,
    description:
      'What was decided about it; null: nobody did, so deposits of it are not credited. Scope: `read`. Since 0.1.',
    load: async (keys: string[], { db }) =>
      await readTokens(
        db,
        keys.map((key) => partsOfKey(key, KEY_PARTS)),
      ),
    loaderOptions: { cache: false },
    resolve: (instrument) => keyOfToken(instrument),
  }),
);

builder.queryField('tokens', (t) =>
  t.connection(
    {
      type: TokenRef,
      description: 'The token directory, by network, admin and id. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      resolve: async (_root, page, { db }) =>
        await connectionOf(
          { name: 'tokens', key: 'ttt' },
          page,
          async (request) => await listTokens(db, request),
          ({ instrument }) => [instrument.network, instrument.admin, instrument.instrumentId],
        ),
    },
    { name: 'TokenConnection' },
    { name: 'TokenEdge' },
  ),
);
