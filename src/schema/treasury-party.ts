/** `TreasuryParty` and its queries. */
import { readBalancesOf } from '../read/balances.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { listTreasuryParties, readTreasuryParties, type TreasuryParty } from '../read/treasury-parties.ts';
import { BalanceRef } from './balance.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { partsOfKey } from './global-id.ts';
import { TREASURY_KEY_PARTS, TreasuryPartyRef } from './treasury-party-ref.ts';

const keyOf = ({ network, party }: TreasuryParty): string => ledgerKey(network, party);

builder.node(TreasuryPartyRef, {
  description: 'A party of ours on the ledger that holds customers’ tokens. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: keyOf },
  loadManyWithoutCache: async (keys, { db }) =>
    await readTreasuryParties(
      db,
      keys.map((key) => partsOfKey(key, TREASURY_KEY_PARTS)),
    ),
  fields: (t) => ({
    network: t.exposeString('network', { description: 'Name of the Canton network. Scope: `read`. Since 0.1.' }),
    party: t.exposeString('party', { description: 'Party id on the ledger. Scope: `read`. Since 0.1.' }),
    name: t.exposeString('name', { description: 'Our name for it. Scope: `read`. Since 0.1.' }),
    balances: t.loadableGroup({
      type: BalanceRef,
      description:
        'What it holds of each accepted instrument, by admin and id. For all instruments see `Query.balances`. Scope: `read`. Since 0.1.',
      load: async (keys: string[], { db }) =>
        await readBalancesOf(
          db,
          keys.map((key) => partsOfKey(key, TREASURY_KEY_PARTS)),
        ),
      group: ({ treasury }) => keyOf(treasury),
      loaderOptions: { cache: false },
      resolve: keyOf,
    }),
  }),
});

builder.queryFields((t) => ({
  treasuryParties: t.connection(
    {
      type: TreasuryPartyRef,
      description: 'The treasury parties served here, by network and party. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      resolve: async (_root, page, { db }) =>
        await connectionOf(
          { name: 'treasuryParties', key: 'tt' },
          page,
          async (request) => await listTreasuryParties(db, request),
          ({ network, party }) => [network, party],
        ),
    },
    { name: 'TreasuryPartyConnection' },
    { name: 'TreasuryPartyEdge' },
  ),
}));
