/** `Verification`: books, holdings and the ledger's active contracts, compared at one offset; and its query, which is also the coverage figure. */
import { microsToMillis } from '../env/clock.ts';
import {
  type ContractDifference,
  readVerifications,
  type Verification,
  type VerificationResult,
  type VerifiedInstrument,
} from '../read/verifications.ts';
import { builder } from './builder.ts';
import { InstrumentRef } from './instrument.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';

const ContractDifferenceRef = builder.objectRef<ContractDifference>('ContractDifference').implement({
  description: 'A contract of which the ledger and the database do not say the same. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    kind: t.exposeString('kind', {
      description:
        '`MISSING` (active on the ledger, not in the database), `EXTRA` (the other way round), `OTHER` (another amount or instrument), the same with `OFFER_` for offers, `UNREADABLE` (the ledger’s cannot be read). Scope: `read`. Since 0.1.',
    }),
    contractId: t.exposeString('contractId', { description: 'Contract id on the ledger. Scope: `read`. Since 0.1.' }),
  }),
});

const VerifiedInstrumentRef = builder.objectRef<VerifiedInstrument>('VerifiedInstrument').implement({
  description:
    'One instrument of a treasury party in a comparison: three sums that must be equal. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Which. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    onLedger: t.expose('onLedger', {
      type: 'Decimal',
      description: 'Sum of the holdings active on the ledger, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    inHoldings: t.expose('inHoldings', {
      type: 'Decimal',
      description: 'Sum of the holdings in the database, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    inBooks: t.expose('inBooks', {
      type: 'Decimal',
      description: 'What the books say is held, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    contractsCount: t.expose('contractsCount', {
      type: 'BigInt',
      description: 'Holdings active on the ledger. Scope: `read`. Since 0.1.',
    }),
    isEqual: t.exposeBoolean('isEqual', {
      description: 'True: the sums are equal, and no contract differs. Scope: `read`. Since 0.1.',
    }),
    differingCount: t.expose('differingCount', {
      type: 'BigInt',
      description: 'Contracts that differ, offers included. Scope: `read`. Since 0.1.',
    }),
    differences: t.field({
      type: [ContractDifferenceRef],
      description: 'The first of them. Scope: `read`. Since 0.1.',
      resolve: ({ differences }) => [...differences],
    }),
  }),
});

const VerificationResultRef = builder.objectRef<VerificationResult>('VerificationResult').implement({
  description: 'What a comparison found. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    checkedAt: t.expose('checkedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    ageMs: t.float({
      description: 'Whole milliseconds since then, by our clock, not below 0. Scope: `read`. Since 0.1.',
      resolve: ({ checkedAt }, _args, { clock }) => Math.max(0, microsToMillis(clock.nowMicros() - checkedAt)),
    }),
    durationMs: t.exposeInt('durationMs', { description: 'Milliseconds it took. Scope: `read`. Since 0.1.' }),
    ledgerOffset: t.expose('ledgerOffset', {
      type: 'BigInt',
      description: 'The one offset at which all was compared, local to the participant. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
    isEqual: t.exposeBoolean('isEqual', { description: 'True: nothing differs at all. Scope: `read`. Since 0.1.' }),
    isInDoubt: t.exposeBoolean('isInDoubt', {
      description:
        'True: what differs is money that is credited and paid out; it is frozen, see `freezes`. What differs only in instruments that are not accepted, or in offers of others, freezes nothing: anybody can make such. Scope: `read`. Since 0.1.',
    }),
    holdingsCount: t.expose('holdingsCount', {
      type: 'BigInt',
      description: 'Holdings compared. Scope: `read`. Since 0.1.',
    }),
    offersCount: t.expose('offersCount', { type: 'BigInt', description: 'Offers compared. Scope: `read`. Since 0.1.' }),
    instruments: t.field({
      type: [VerifiedInstrumentRef],
      description: 'Every instrument compared, by admin and id. Scope: `read`. Since 0.1.',
      resolve: ({ instruments }) => [...instruments],
    }),
    othersCount: t.expose('othersCount', {
      type: 'BigInt',
      description: 'Contracts that differ and belong to no instrument of the database. Scope: `read`. Since 0.1.',
    }),
    others: t.field({
      type: [ContractDifferenceRef],
      description: 'The first of them. Scope: `read`. Since 0.1.',
      resolve: ({ others }) => [...others],
    }),
  }),
});

const VerificationRef = builder.objectRef<Verification>('Verification').implement({
  description:
    'How far a treasury party’s books and holdings are known to be what the ledger says. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Whose. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    triedAt: t.expose('triedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it was last tried, by our clock; null: never. Scope: `read`. Since 0.1.',
    }),
    trouble: t.exposeString('trouble', {
      nullable: true,
      description:
        'Why the last try could not compare, for people; null: it did, or there was none. It says nothing of the money. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
    result: t.field({
      type: VerificationResultRef,
      nullable: true,
      description: 'The newest comparison that was made; null: none yet. Scope: `read`. Since 0.1.',
      resolve: ({ result }) => result,
    }),
  }),
});

builder.queryField('verifications', (t) =>
  t.field({
    type: [VerificationRef],
    description:
      'The newest comparison of each treasury party with the ledger, by network and party. One is made in the background every `SLUICE_VERIFY_SECONDS`. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _args, { db }) => await readVerifications(db),
  }),
);
