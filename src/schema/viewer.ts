/** `Viewer`: who asks, and what he may. */
import type { Account } from '../read/accounts.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { type Principal, SCOPE_MEANINGS } from './principal.ts';

const meanings = Object.entries(SCOPE_MEANINGS).map(([scope, meaning]) => `\`${scope}\`: ${meaning}`);

const ViewerRef = builder.objectRef<Principal>('Viewer').implement({
  description: 'The principal of this request. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in logs and in `createdBy`. Scope: `read`. Since 0.1.' }),
    client: t.exposeString('client', {
      description:
        'Whose idempotency keys its requests bring: the same for every key and token of one client. Scope: `read`. Since 0.1.',
    }),
    scopes: t.stringList({
      description: `What it may do. ${meanings.join('; ')}. Scope: \`read\`. Since 0.1.`,
      resolve: ({ scopes }) => [...scopes].sort(),
    }),
    account: t.field({
      type: AccountRef,
      nullable: true,
      description:
        'The one account that it sees; null: it sees all. An account that nothing was ever booked or registered for has no balances. Scope: `read`. Since 0.1.',
      resolve: ({ reach }): Account | null =>
        reach.kind === 'ACCOUNT' ? { network: reach.network, owner: reach.owner } : null,
    }),
    expiresAt: t.field({
      type: 'RecordTime',
      nullable: true,
      description:
        'When its credential ends, by our clock: connections are closed then. Null: not by itself. Scope: `read`. Since 0.1.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerRef,
    description: 'Who asks. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: (_root, _args, { principal }) => principal,
  }),
);
