/** `Account`, what the books say is on it, and its queries. */
import { type DepositAccount, readDepositAccountsOf } from '../deposits/deposit-accounts.ts';
import {
  type Account,
  type AccountBalance,
  keyOfAccount,
  listAccounts,
  readAccountBalances,
  readAccounts,
} from '../read/accounts.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { builder } from './builder.ts';
import { connectionOf, PAGE_SIZE_MAX } from './connection.ts';
import { DepositAccountRef } from './deposit-account-ref.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef } from './instrument.ts';

const KEY_PARTS = ['network', 'owner'] as const;
const keyOf = ({ network, owner }: Account): string => ledgerKey(network, owner);
const partsOf = (keys: readonly string[]) => keys.map((key) => partsOfKey(key, KEY_PARTS));

const AccountBalanceRef = builder.objectRef<AccountBalance>('AccountBalance').implement({
  description: 'What the books say of one account and one instrument. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'Credits less debits, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const AccountRef = builder.objectRef<Account>('Account');

builder.node(AccountRef, {
  description:
    'A customer’s account at the exchange, as far as it crossed the ledger: what the exchange’s own books say is not known here. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: keyOf },
  loadManyWithoutCache: async (keys, { db }) => await readAccounts(db, partsOf(keys)),
  fields: (t) => ({
    network: t.exposeString('network', { description: 'Name of the Canton network. Scope: `read`. Since 0.1.' }),
    customer: t.exposeString('owner', {
      description: 'The exchange’s own name for the account. Scope: `read`. Since 0.1.',
    }),
    balances: t.loadableGroup({
      type: AccountBalanceRef,
      description: 'One per instrument ever booked, by admin and id. Scope: `read`. Since 0.1.',
      load: async (keys: string[], { db }) => await readAccountBalances(db, partsOf(keys)),
      group: ({ account }) => keyOf(account),
      loaderOptions: { cache: false },
      resolve: keyOf,
    }),
    held: t.loadableGroup({
      type: AccountBalanceRef,
      description:
        'What came for it and is not available: it waits for the verdict of the screening service, or was denied. One per instrument that was ever held. Scope: `read`. Since 0.1.',
      load: async (keys: string[], { db }) => await readAccountBalances(db, partsOf(keys), 'HELD'),
      group: ({ account }) => keyOf(account),
      loaderOptions: { cache: false },
      resolve: keyOf,
    }),
    depositAccounts: t.loadableGroup({
      type: DepositAccountRef,
      description: `Its memos, by id; the first ${PAGE_SIZE_MAX}. Scope: \`read\`. Since 0.1.`,
      load: async (keys: string[], { db }) => await readDepositAccountsOf(db, partsOf(keys), PAGE_SIZE_MAX),
      group: ({ network, account }: DepositAccount) => ledgerKey(network, account),
      loaderOptions: { cache: false },
      resolve: keyOf,
    }),
  }),
});

builder.queryFields((t) => ({
  accounts: t.connection(
    {
      type: AccountRef,
      description: 'Customers’ accounts, by network and name. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      resolve: async (_root, page, { db, principal }) =>
        await connectionOf(
          { name: 'accounts', key: 'tt' },
          page,
          async (request) => await listAccounts(db, principal.reach, request),
          keyOfAccount,
        ),
    },
    { name: 'AccountConnection' },
    { name: 'AccountEdge' },
  ),
}));
