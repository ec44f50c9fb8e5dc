/** `accountJournal`: what came to a customer's account and went from it, and what each follows from. */
import { type JournalCauseKind, type JournalItem, keyOfJournalItem, listJournal } from '../read/account-journal.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef, instrumentOfId } from './instrument.ts';

const JournalCauseEnum = builder.enumType('JournalCause', {
  description: 'What an entry of an account’s journal follows from. Since 0.1.',
  values: {
    DEPOSIT: { description: 'A transfer to a treasury was credited; `causeId` is the transfer’s.' },
    WITHDRAWAL: { description: 'A withdrawal was asked for; `causeId` is the withdrawal’s.' },
    WITHDRAWAL_RETURNED: {
      description:
        'A withdrawal was not paid, or its offer came back, less what the return costs; `causeId` is the withdrawal’s.',
    },
    POST_TRANSFER: { description: 'A service posted it; `causeId` is the post transfer’s.' },
    SHORTFALL: {
      description:
        'The house laid it out for a payment that the balance did not cover, after a restore; `causeId` is the withdrawal’s.',
    },
    CORRECTION: { description: 'An earlier entry was corrected; `causeId` is the transfer’s.' },
  } as const satisfies Readonly<Record<JournalCauseKind, unknown>>,
});

const JournalItemRef = builder.objectRef<JournalItem>('AccountJournalEntry').implement({
  description:
    'What one cause moved of one instrument on an account. Never changed afterwards. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'What came; below zero: what went. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
    cause: t.field({
      type: JournalCauseEnum,
      description: 'What it follows from. Scope: `read`. Since 0.1.',
      resolve: ({ kind }) => kind,
    }),
    causeId: t.exposeString('causeId', {
      description: 'Of the transfer (`tr_…`), withdrawal (`wd_…`) or post transfer (`pt_…`). Scope: `read`. Since 0.1.',
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Of the update where the ledger was the cause, else by our clock. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('accountJournal', (t) =>
  t.connection(
    {
      type: JournalItemRef,
      description:
        'The journal of a customer’s account of this installation’s network, newest booked first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        customer: t.arg.string({ required: true, description: 'The exchange’s own name for the account.' }),
        instrument: t.arg.id({ description: 'Only of this `Instrument`, by its global id.' }),
        from: t.arg({
          type: 'RecordTime',
          description: 'Only entries whose record time is this one or later, in UTC.',
        }),
        to: t.arg({ type: 'RecordTime', description: 'Only entries whose record time is earlier, in UTC.' }),
      },
      resolve: async (_root, { customer, instrument, from, to, ...page }, { db, network, principal }) => {
        const filter = {
          account: { network, owner: customer },
          instrument: instrumentOfId(instrument),
          from: from ?? null,
          to: to ?? null,
        };
        return await connectionOf(
          { name: 'accountJournal', key: 'ii' },
          page,
          async (request) =>
            isStorableText(customer) ? await listJournal(db, filter, principal.reach, request) : NO_ROWS,
          keyOfJournalItem,
        );
      },
    },
    { name: 'AccountJournalConnection' },
    { name: 'AccountJournalEdge' },
  ),
);
