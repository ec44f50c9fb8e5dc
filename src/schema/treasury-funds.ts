/** `TreasuryFunds`: what a treasury can pay with at this moment, and the pool of large holdings it keeps. */
import { readTreasuryFunds, type TreasuryFunds } from '../withdrawals/pool/pool-targets.ts';
import { builder } from './builder.ts';
import { InstrumentRef } from './instrument.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';

const HoldingPoolRef = builder.objectRef<TreasuryFunds>('HoldingPool').implement({
  description:
    'So many large holdings are kept ready, so that as many withdrawals can be under way at once. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    targetCount: t.int({
      description: 'Holdings wanted. Scope: `read`. Since 0.1.',
      resolve: ({ poolCount }) => poolCount ?? 0,
    }),
    targetAmount: t.field({
      type: 'Decimal',
      description: 'Least amount of each, in units of the instrument. Scope: `read`. Since 0.1.',
      resolve: ({ poolAmount }) => poolAmount ?? '0',
    }),
    count: t.exposeInt('largeCount', {
      description: 'Holdings of that amount or more, free or reserved. Scope: `read`. Since 0.1.',
    }),
  }),
});

const TreasuryFundsRef = builder.objectRef<TreasuryFunds>('TreasuryFunds').implement({
  description:
    'What a treasury party can pay with at this moment, as the automation sees it: unlike in `balances`, a lock that has ended by the ledger’s time counts as none. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who pays. Scope: `read`. Since 0.1.',
      resolve: ({ party, treasury }, _args, { network }) => ({ network, party, name: treasury }),
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'With what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument: name, admin, instrumentId, isAccepted }, _args, { network }) => ({
        network,
        admin,
        instrumentId,
        name,
        isAccepted,
      }),
    }),
    free: t.expose('free', {
      type: 'Decimal',
      description: 'Neither locked nor reserved, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    freeCount: t.exposeInt('freeCount', { description: 'In so many holdings. Scope: `read`. Since 0.1.' }),
    reserved: t.expose('reserved', {
      type: 'Decimal',
      description: 'What open attempts may spend, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    locked: t.expose('locked', {
      type: 'Decimal',
      description: 'What has a lock that holds, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    pool: t.field({
      type: HoldingPoolRef,
      nullable: true,
      description: 'Null: none is set. Scope: `read`. Since 0.1.',
      resolve: (funds) => (funds.poolCount === null ? null : funds),
    }),
    selfTransfersUnderWay: t.exposeInt('selfTransfersUnderWay', {
      description: 'Merges and splits that are open, by their count. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('treasuryFunds', (t) =>
  t.field({
    type: [TreasuryFundsRef],
    description:
      'One per treasury party and instrument of this network that holds something or has a pool, by name. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _args, { db, network }) => [...(await readTreasuryFunds(db, network))],
  }),
);
