/** `Freeze`, its query, and what keeps a withdrawal waiting. */
import { type Freeze, keyOfFreeze, listFreezes, readFreezesOfWithdrawals } from '../read/freezes.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef } from './instrument.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';
import { WithdrawalRef } from './withdrawal.ts';

const FreezeRef = builder.objectRef<Freeze>('Freeze').implement({
  description:
    'Money that must not move until somebody has looked: nothing of what it covers is reserved or signed. What comes in is credited all the same. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    freezeId: t.expose('id', { type: 'BigInt', description: 'Its number. Scope: `read`. Since 0.1.' }),
    treasury: t.field({
      type: TreasuryPartyRef,
      nullable: true,
      description: 'Whose money; null: every treasury party’s. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      nullable: true,
      description: 'Which instrument; null: every one. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    reason: t.exposeString('reason', {
      description:
        'Stable, for programs: `LEDGER_DIFFERS` (the active contracts of the ledger are not what is stored), `QUARANTINE` (an update that touches holdings could not be read), `OPERATOR`, and others. Scope: `read`. Since 0.1.',
    }),
    detail: t.exposeString('detail', { description: 'For people; may change. Scope: `read`. Since 0.1.' }),
    cause: t.exposeString('cause', {
      description: 'What it follows from, e.g. `update:1220…`. Scope: `read`. Since 0.1.',
    }),
    openedAt: t.expose('openedAt', {
      type: 'RecordTime',
      description: 'Since when it stands, by our clock. Scope: `read`. Since 0.1.',
    }),
    openedBy: t.exposeString('openedBy', {
      description: 'A principal, or the part of Sluice that found it. Scope: `read`. Since 0.1.',
    }),
    liftedAt: t.field({
      type: 'RecordTime',
      nullable: true,
      description: 'When it was lifted, by our clock; null: it stands. Scope: `read`. Since 0.1.',
      resolve: ({ lifted }) => lifted?.at,
    }),
    liftedBy: t.string({
      nullable: true,
      description: 'Who lifted it; null: it stands. Scope: `read`. Since 0.1.',
      resolve: ({ lifted }) => lifted?.by,
    }),
    liftDetail: t.string({
      nullable: true,
      description: 'Why it could be lifted; null: it stands. Scope: `read`. Since 0.1.',
      resolve: ({ lifted }) => lifted?.detail,
    }),
  }),
});

builder.queryField('freezes', (t) =>
  t.connection(
    {
      type: FreezeRef,
      description: 'Freezes, newest first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        isOpen: t.arg.boolean({ description: 'Only those that stand, or were lifted.' }),
        treasury: t.arg.id({ description: 'Only those that touch this `TreasuryParty`, by its global id.' }),
      },
      resolve: async (_root, { isOpen, treasury, ...page }, { db }) => {
        const filter = { isOpen: isOpen ?? null, treasury: treasuryOfId(treasury) };
        const shape = { name: 'freezes', key: 'i' };
        return await connectionOf(shape, page, async (request) => await listFreezes(db, filter, request), keyOfFreeze);
      },
    },
    { name: 'FreezeConnection' },
    { name: 'FreezeEdge' },
  ),
);

builder.objectField(WithdrawalRef, 'frozenBy', (t) =>
  t.loadableList({
    type: FreezeRef,
    description:
      'The freezes that keep it from being paid, oldest first: it waits until they are lifted. Empty: none, or nothing of it remains to be paid. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readFreezesOfWithdrawals(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);
