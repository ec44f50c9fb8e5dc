/** `PastBalance`, what an account had, and from when to when can be asked. */
import { type KnownHistory, readKnownHistory } from '../read/as-of.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import {
  keyOfPastBalance,
  listPastBalances,
  type PastAccountBalance,
  type PastBalance,
  readPastAccountBalances,
} from '../read/past-balances.ts';
import { AccountRef } from './account.ts';
import { AsOfInput, parseAsOf, printAsOf, recordTimeOf } from './as-of.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import type { ApiContext } from './context.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef, instrumentOfId } from './instrument.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

const PastBalanceRef = builder.objectRef<PastBalance>('PastBalance').implement({
  description:
    'What a treasury party held of one instrument when the ledger was at `recordTime`, summed from the ledger’s own holdings: exact, however long ago. `total` = `available` + `locked`. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who held it. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What was held. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description:
        'A record time: everything recorded up to and at it is counted, nothing later. Scope: `read`. Since 0.1.',
    }),
    total: t.expose('total', {
      type: 'Decimal',
      description: 'Sum of the holdings active then, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    available: t.expose('available', {
      type: 'Decimal',
      description:
        'Of `total`, what had no lock, in units of the instrument. What was reserved then is not kept: it was our decision, not the ledger’s. Scope: `read`. Since 0.1.',
    }),
    locked: t.expose('locked', {
      type: 'Decimal',
      description: 'Of `total`, what had a lock, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    incoming: t.expose('incoming', {
      type: 'Decimal',
      description:
        'Sum of the offers to us that were open then, in units of the instrument; in no other number. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('balancesAsOf', (t) =>
  t.connection(
    {
      type: PastBalanceRef,
      description:
        'Balances of the treasury parties at a time of the past, by network, party, admin and instrument id: accepted instruments, and others where something was held or offered. `AS_OF_NOT_KNOWN`: that time is not in this database, see `availableRange`. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        asOf: t.arg({ type: AsOfInput, required: true, description: 'When.' }),
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        instrument: t.arg.id({ description: 'Only of this `Instrument`, by its global id.' }),
      },
      resolve: async (_root, { asOf, treasury, instrument, ...page }, context: ApiContext) => {
        const party = treasuryOfId(treasury);
        const recordTime = await recordTimeOf(asOf, party, context);
        const filter = { recordTime, treasury: party, instrument: instrumentOfId(instrument) };
        return await connectionOf(
          { name: 'balancesAsOf', key: 'tttt' },
          page,
          async (request) => await listPastBalances(context.db, filter, request),
          keyOfPastBalance,
        );
      },
    },
    { name: 'PastBalanceConnection' },
    { name: 'PastBalanceEdge' },
  ),
);

type KeyedBalance = PastAccountBalance & { readonly key: string };

const PastAccountBalanceRef = builder.objectRef<KeyedBalance>('PastAccountBalance').implement({
  description: 'What the books said of one account and one instrument at a time of the past. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    recordTime: t.field({
      type: 'RecordTime',
      description: 'A record time: entries dated up to and at it are counted. Scope: `read`. Since 0.1.',
      resolve: ({ account }) => account.recordTime,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'Credits less debits, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
  }),
});

const ACCOUNT_KEY_PARTS = ['network', 'owner', 'asOf'] as const;

builder.objectField(AccountRef, 'balancesAsOf', (t) =>
  t.loadableGroup({
    type: PastAccountBalanceRef,
    description:
      'What the books said at a time of the past: one per instrument booked by then, by admin and id. Entries that follow from the ledger are dated by its record time, what somebody asked for by our clock. Scope: `read`. Since 0.1.',
    args: { asOf: t.arg({ type: AsOfInput, required: true, description: 'When.' }) },
    load: async (keys: string[], context) => await readByKey(keys, context),
    group: ({ key }: KeyedBalance) => key,
    loaderOptions: { cache: false },
    resolve: ({ network, owner }, { asOf }) => ledgerKey(network, owner, printAsOf(asOf)),
  }),
);

/** One look-up of the time per place in the past, however many accounts ask for it. */
async function readByKey(keys: readonly string[], context: ApiContext): Promise<KeyedBalance[]> {
  const wanted = keys.map((key) => ({ key, ...partsOfKey(key, ACCOUNT_KEY_PARTS) }));
  const times = new Map<string, bigint>();
  for (const asOf of new Set(wanted.map((one) => one.asOf))) {
    times.set(asOf, await recordTimeOf(parseAsOf(asOf), null, context));
  }
  const accounts = wanted.map(({ network, owner, asOf }) => ({ network, owner, recordTime: times.get(asOf) ?? 0n }));
  const rows = await readPastAccountBalances(context.db, accounts);
  return wanted.flatMap(({ key, network, owner, asOf }) =>
    rows
      .filter(({ account }) => account.network === network && account.owner === owner)
      .filter(({ account }) => account.recordTime === times.get(asOf))
      .map((row) => ({ ...row, key })),
  );
}

const AvailableRangeRef = builder.objectRef<KnownHistory>('AvailableRange').implement({
  description: 'From when to when the history of one treasury party is here. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Whose. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    from: t.expose('from', {
      type: 'RecordTime',
      nullable: true,
      description:
        'The oldest record time that can be asked for: of the first update, or of the first after a balance was taken over or a gap was accepted. Null: nothing was read. Scope: `read`. Since 0.1.',
    }),
    to: t.expose('to', {
      type: 'RecordTime',
      nullable: true,
      description:
        'The newest: all of the ledger’s history up to it is here. Null: nothing was read. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('availableRange', (t) =>
  t.field({
    type: [AvailableRangeRef],
    description:
      'What `asOf` can be, per treasury party, by network and party. Cursors: from `eventLog.startCursor` to `headCursor`. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _args, { db }) => [...(await readKnownHistory(db))],
  }),
);
