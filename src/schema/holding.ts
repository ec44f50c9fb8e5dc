/** `Holding` and its query. */
import { type Holding, type HoldingLock, keyOfHolding, listHoldings, readHoldings } from '../read/holdings.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef, instrumentOfId } from './instrument.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

const KEY_PARTS = ['network', 'party', 'contractId'] as const;

const HoldingStateEnum = builder.enumType('HoldingState', {
  description: 'Which holdings to list. Since 0.1.',
  values: {
    ACTIVE: { description: 'Held now.' },
    ARCHIVED: { description: 'Spent, merged or unlocked into another one.' },
    ALL: { description: 'Both.' },
  } as const,
});

const HoldingLockRef = builder.objectRef<HoldingLock>('HoldingLock').implement({
  description: 'Why a holding cannot be spent at will. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    holders: t.stringList({
      description: 'Party ids of those who can unlock it. Scope: `read`. Since 0.1.',
      resolve: ({ holders }) => [...holders],
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it expires, by the ledger’s time; null: it names no time. Scope: `read`. Since 0.1.',
    }),
    expiresAfterMicros: t.expose('expiresAfter', {
      type: 'BigInt',
      nullable: true,
      description: 'Microseconds it lasts from its creation; null: it names no duration. Scope: `read`. Since 0.1.',
    }),
    context: t.exposeString('context', {
      nullable: true,
      description: 'What it is for, as the ledger says; null: not said. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const HoldingRef = builder.objectRef<Holding>('Holding');

builder.node(HoldingRef, {
  description:
    'One holding (UTXO) of a treasury party: a contract that stands for an amount, spent as a whole. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ treasury, contractId }) => ledgerKey(treasury.network, treasury.party, contractId) },
  loadManyWithoutCache: async (keys, { db }) =>
    await readHoldings(
      db,
      keys.map((key) => partsOfKey(key, KEY_PARTS)),
    ),
  fields: (t) => ({
    contractId: t.exposeString('contractId', { description: 'Contract id on the ledger. Scope: `read`. Since 0.1.' }),
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Its owner. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What is held. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'In units of the instrument, as created. Scope: `read`. Since 0.1.',
    }),
    template: t.exposeString('template', {
      description: 'Package name, module and entity of the contract, joined by `:`. Scope: `read`. Since 0.1.',
    }),
    lock: t.field({
      type: HoldingLockRef,
      nullable: true,
      description: 'Null: it can be spent. Scope: `read`. Since 0.1.',
      resolve: ({ lock }) => lock,
    }),
    createdUpdateId: t.exposeString('createdUpdateId', {
      description: 'Id of the update that created it. Scope: `read`. Since 0.1.',
    }),
    createdAt: t.expose('createdRecordTime', {
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `read`. Since 0.1.',
    }),
    archivedUpdateId: t.exposeString('archivedUpdateId', {
      nullable: true,
      description: 'Id of the update that archived it; null: active. Scope: `read`. Since 0.1.',
    }),
    archivedAt: t.expose('archivedRecordTime', {
      type: 'RecordTime',
      nullable: true,
      description: 'Record time of that update; null: active. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('holdings', (t) =>
  t.connection(
    {
      type: HoldingRef,
      description: 'Holdings of the treasury parties, newest first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        instrument: t.arg.id({ description: 'Only of this `Instrument`, by its global id.' }),
        state: t.arg({
          type: HoldingStateEnum,
          defaultValue: 'ACTIVE',
          description: 'Active ones unless told otherwise.',
        }),
      },
      resolve: async (_root, { treasury, instrument, state, ...page }, { db }) => {
        const filter = {
          treasury: treasuryOfId(treasury),
          instrument: instrumentOfId(instrument),
          state: state ?? 'ACTIVE',
        };
        return await connectionOf(
          { name: 'holdings', key: 'ittt' },
          page,
          async (request) => await listHoldings(db, filter, request),
          keyOfHolding,
        );
      },
    },
    { name: 'HoldingConnection' },
    { name: 'HoldingEdge' },
  ),
);
