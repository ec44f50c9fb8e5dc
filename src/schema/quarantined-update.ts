/** `QuarantinedUpdate` and its query: what waits to be read again, and what was. */
import { keyOfQuarantinedUpdate, listQuarantinedUpdates, type QuarantinedUpdate } from '../read/quarantined-updates.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

const QuarantinedUpdateRef = builder.objectRef<QuarantinedUpdate>('QuarantinedUpdate').implement({
  description:
    'An update of the ledger that is stored and whose effects could not be told, or booked, when it came. `sluice reparse` reads it again. What it touched is frozen, see `freezes`. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Whose history it is part of. Scope: `operate`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    updateId: t.exposeString('updateId', { description: 'Its id on the ledger. Scope: `operate`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'When it was recorded, by the ledger’s time. Scope: `operate`. Since 0.1.',
    }),
    reason: t.exposeString('reason', {
      description: 'Stable, for programs, e.g. `VALUE_NOT_UNDERSTOOD`. Scope: `operate`. Since 0.1.',
    }),
    detail: t.exposeString('detail', { description: 'For people; may change. Scope: `operate`. Since 0.1.' }),
    quarantinedAt: t.expose('quarantinedAt', {
      type: 'RecordTime',
      description: 'Since when, by our clock. Scope: `operate`. Since 0.1.',
    }),
    closedAt: t.field({
      type: 'RecordTime',
      nullable: true,
      description: 'When it was read and booked after all, by our clock; null: it waits. Scope: `operate`. Since 0.1.',
      resolve: ({ closed }) => closed?.at,
    }),
    closedBy: t.string({
      nullable: true,
      description: 'Who had it read again; null: it waits. Scope: `operate`. Since 0.1.',
      resolve: ({ closed }) => closed?.by,
    }),
  }),
});

builder.queryField('quarantinedUpdates', (t) =>
  t.connection(
    {
      type: QuarantinedUpdateRef,
      description: 'Updates in quarantine, and those that were, newest first. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
      args: {
        isOpen: t.arg.boolean({ description: 'Only those that wait, or that do not any more.' }),
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
      },
      resolve: async (_root, { isOpen, treasury, ...page }, { db }) => {
        const filter = { isOpen: isOpen ?? null, treasury: treasuryOfId(treasury) };
        const shape = { name: 'quarantinedUpdates', key: 'it' };
        const read = async (request: Parameters<typeof listQuarantinedUpdates>[2]) =>
          await listQuarantinedUpdates(db, filter, request);
        return await connectionOf(shape, page, read, keyOfQuarantinedUpdate);
      },
    },
    { name: 'QuarantinedUpdateConnection' },
    { name: 'QuarantinedUpdateEdge' },
  ),
);
