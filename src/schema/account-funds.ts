/** What a customer has of each instrument, and the query of one account. */
import { type AccountFunds, readAccountFunds } from '../read/account-funds.ts';
import { type Account, readAccounts } from '../read/accounts.ts';
import { isStorableText, ledgerKey } from '../read/ledger-keys.ts';
import { reaches } from '../read/reach.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef } from './instrument.ts';

const KEY_PARTS = ['network', 'owner'] as const;
const keyOf = ({ network, owner }: Account): string => ledgerKey(network, owner);

const AccountFundsRef = builder.objectRef<AccountFunds>('AccountFunds').implement({
  description:
    'What a customer has of one instrument. Where the exchange keeps the balances (`customerBooks.mode`), what crossed the ledger for him: that may be below zero, since trades are not known here. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    available: t.expose('available', {
      type: 'Decimal',
      description: 'What he can withdraw or trade, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    inWithdrawals: t.expose('inWithdrawals', {
      type: 'Decimal',
      description:
        'Debited for withdrawals that are not decided yet: it is paid, or comes back. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
    total: t.expose('total', {
      type: 'Decimal',
      description: '`available` + `inWithdrawals`, in units of the instrument. Scope: `read`. Since 0.1.',
    }),
    held: t.expose('held', {
      type: 'Decimal',
      description:
        'What came for him and is not his before a verdict of the screening service; not in `total`. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.objectField(AccountRef, 'funds', (t) =>
  t.loadableGroup({
    type: AccountFundsRef,
    description:
      'What he has, by instrument: one for each that ever touched the account, by admin and id. Scope: `read`. Since 0.1.',
    load: async (keys: string[], { db }) =>
      await readAccountFunds(
        db,
        keys.map((key) => partsOfKey(key, KEY_PARTS)),
      ),
    group: ({ account }) => keyOf(account),
    loaderOptions: { cache: false },
    resolve: keyOf,
  }),
);

builder.queryField('account', (t) =>
  t.field({
    type: AccountRef,
    nullable: true,
    description:
      'A customer’s account of this installation’s network, by the exchange’s own name; null where it was never heard of. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { customer: t.arg.string({ required: true, description: 'The exchange’s own name for the account.' }) },
    resolve: async (_root, { customer }, { db, network, principal }) => {
      const wanted = { network, owner: customer };
      if (!isStorableText(customer) || !reaches(principal.reach, wanted)) return null;
      const [account = null] = await readAccounts(db, [wanted]);
      return account;
    },
  }),
);
