/** `Balance` and its query. */
import { type Balance, keyOfBalance, listBalances } from '../read/balances.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef, instrumentOfId } from './instrument.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

export const BalanceRef = builder.objectRef<Balance>('Balance').implement({
  description:
    'What a treasury party holds of one instrument, summed from the ledger’s own holdings. `total` = `available` + `locked`; `reserved` is part of `available`, `held` of `total`, `incoming` of none. For a time of the past see `balancesAsOf`. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who holds it. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What is held. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    total: t.expose('total', {
      type: 'Decimal',
      description: 'Sum of all active holdings, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    available: t.expose('available', {
      type: 'Decimal',
      description: 'Sum of the active holdings without a lock, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    reserved: t.expose('reserved', {
      type: 'Decimal',
      description:
        'Of `available`, what open attempts may spend until each is paid or certainly dead: not to be counted on. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
    locked: t.expose('locked', {
      type: 'Decimal',
      description:
        'Sum of the active holdings with a lock, in units of the instrument, expired ones included: a lock ends when the ledger archives the holding. Scope: `read`. Since 0.1.',
    }),
    held: t.expose('held', {
      type: 'Decimal',
      description:
        'Of `total`, what came and is credited to nobody yet: it waits for the screening service, or for a decision of the desk. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
    incoming: t.expose('incoming', {
      type: 'Decimal',
      description:
        'Sum of the open offers to us, in units of the instrument; not ours yet and not in `total`. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('balances', (t) =>
  t.connection(
    {
      type: BalanceRef,
      description:
        'Balances of the treasury parties, by network, party, admin and instrument id: accepted instruments, and others where something is held or offered. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        instrument: t.arg.id({ description: 'Only of this `Instrument`, by its global id.' }),
      },
      resolve: async (_root, { treasury, instrument, ...page }, { db }) => {
        const wanted = treasuryOfId(treasury);
        const filter = {
          treasuries: wanted === null ? null : [wanted],
          instrument: instrumentOfId(instrument),
          isAcceptedOnly: false,
        };
        return await connectionOf(
          { name: 'balances', key: 'tttt' },
          page,
          async (request) => await listBalances(db, filter, request),
          keyOfBalance,
        );
      },
    },
    { name: 'BalanceConnection' },
    { name: 'BalanceEdge' },
  ),
);
