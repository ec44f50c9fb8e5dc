/** `Viewer`: who asks, and what he may. */
import { builder } from './builder.ts';
import { type Principal, SCOPE_MEANINGS } from './principal.ts';

const meanings = Object.entries(SCOPE_MEANINGS).map(([scope, meaning]) => `\`${scope}\`: ${meaning}`);

const ViewerRef = builder.objectRef<Principal>('Viewer').implement({
  description: 'The principal of this request. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in logs and in `createdBy`. Scope: `read`. Since 0.1.' }),
    scopes: t.stringList({
      description: `What it may do. ${meanings.join('; ')}. Scope: \`read\`. Since 0.1.`,
      resolve: ({ scopes }) => [...scopes].sort(),
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
