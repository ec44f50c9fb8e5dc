/** `customerBooks`: who keeps the balances of customers here. */
import { type CustomerBooks, type HouseBalance, readCustomerBooks, readHouseBalances } from '../read/customer-books.ts';
import { builder } from './builder.ts';
import { HouseAccountEnum, houseAccountOf } from './house-account.ts';
import { InstrumentRef } from './instrument.ts';

const BooksModeEnum = builder.enumType('BooksMode', {
  description: 'Who keeps the balances of customers. Since 0.1.',
  values: {
    EXTERNAL: {
      description: 'The exchange. Sluice counts per account what crossed the ledger, and refuses nobody for funds.',
    },
    OPENING: {
      description: 'Still the exchange, while it posts what everybody has; nobody is refused for funds yet.',
    },
    INTERNAL: { description: 'Sluice. Nobody withdraws or trades what he has not.' },
  } as const,
});

const HouseBalanceRef = builder.objectRef<HouseBalance>('HouseBalance').implement({
  description: 'What one account of the house has of one instrument. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    houseAccount: t.field({
      type: HouseAccountEnum,
      nullable: true,
      description: 'Which account. Scope: `read`. Since 0.1.',
      resolve: ({ account }) => houseAccountOf(account),
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'Credits less debits, in units of the instrument; below zero: it owes. Scope: `read`. Since 0.1.',
    }),
  }),
});

const CustomerBooksRef = builder.objectRef<CustomerBooks>('CustomerBooks').implement({
  description: 'How the balances of customers are kept. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    mode: t.field({
      type: BooksModeEnum,
      description: 'Who keeps them. Scope: `read`. Since 0.1.',
      resolve: ({ mode }) => mode,
    }),
    changedAt: t.expose('changedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'Since when, by our clock; null: nothing was decided yet. Scope: `read`. Since 0.1.',
    }),
    isBehind: t.exposeBoolean('isBehind', {
      description:
        'The database was restored, and nobody has confirmed that lost post transfers were sent again: withdrawals are refused with `BOOKS_BEHIND`. Scope: `read`. Since 0.1.',
    }),
    houseBalances: t.field({
      type: [HouseBalanceRef],
      description: 'Of the house, by account and instrument. Scope: `read`. Since 0.1.',
      resolve: async ({ network }, _args, { db }) => await readHouseBalances(db, network),
    }),
  }),
});

builder.queryField('customerBooks', (t) =>
  t.field({
    type: CustomerBooksRef,
    description: 'Who keeps the balances of customers in this installation’s network. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _args, { db, network }) =>
      (await readCustomerBooks(db, network)) ?? {
        network,
        mode: 'EXTERNAL' as const,
        changedAt: null,
        changedBy: null,
        isBehind: false,
      },
  }),
);
