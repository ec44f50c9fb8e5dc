/** `ServiceConfig`: what this installation is, what it does, and what it bounds. */
import packageJson from '../../package.json' with { type: 'json' };
import type { ApiLimits, ClientLimits, QueryLimits } from './api-limits.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';

const QueryLimitsRef = builder.objectRef<QueryLimits>('QueryLimits').implement({
  description: 'What one operation may have; more is refused before it is executed. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    tokensMax: t.exposeInt('tokensMax', { description: 'Tokens of the document. Scope: `read`. Since 0.1.' }),
    depthMax: t.exposeInt('depthMax', { description: 'Fields within each other. Scope: `read`. Since 0.1.' }),
    fieldsMax: t.exposeInt('fieldsMax', { description: 'Fields, fragments spread out. Scope: `read`. Since 0.1.' }),
    breadthMax: t.exposeInt('breadthMax', { description: 'Fields beside each other. Scope: `read`. Since 0.1.' }),
    aliasesMax: t.exposeInt('aliasesMax', { description: 'Aliases. Scope: `read`. Since 0.1.' }),
    directivesMax: t.exposeInt('directivesMax', { description: 'Directives. Scope: `read`. Since 0.1.' }),
    costMax: t.exposeInt('costMax', {
      description: 'Points of cost: fields times the rows they are asked for. Scope: `read`. Since 0.1.',
    }),
  }),
});

const ClientLimitsRef = builder.objectRef<ClientLimits>('ClientLimits').implement({
  description: 'What one client may have at the same time, of each process that serves it. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    socketsMax: t.exposeInt('socketsMax', { description: 'WebSockets and SSE streams. Scope: `read`. Since 0.1.' }),
    subscriptionsMax: t.exposeInt('subscriptionsMax', { description: 'Subscriptions. Scope: `read`. Since 0.1.' }),
    operationsMax: t.exposeInt('operationsMax', {
      description: 'Queries and mutations in flight. Scope: `read`. Since 0.1.',
    }),
    requestsPerSecond: t.exposeInt('requestsPerSecond', {
      description: 'Operations begun in a second, in the long run. Scope: `read`. Since 0.1.',
    }),
    requestsBurst: t.exposeInt('requestsBurst', {
      description: 'Operations that may begin at once after a pause. Scope: `read`. Since 0.1.',
    }),
  }),
});

const ApiLimitsRef = builder.objectRef<ApiLimits>('ApiLimits').implement({
  description: 'What the API bounds, as configured. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    query: t.field({
      type: QueryLimitsRef,
      description: 'Of one operation. Scope: `read`. Since 0.1.',
      resolve: ({ query }) => query,
    }),
    client: t.field({
      type: ClientLimitsRef,
      description: 'Of the client that asks. Scope: `read`. Since 0.1.',
      resolve: ({ customer, service }, _args, { principal }) =>
        principal.reach.kind === 'ACCOUNT' ? customer : service,
    }),
    pageSizeDefault: t.exposeInt('pageSizeDefault', {
      description: 'Rows of a page where no number is given. Scope: `read`. Since 0.1.',
    }),
    pageSizeMax: t.exposeInt('pageSizeMax', { description: 'Rows of a page. Scope: `read`. Since 0.1.' }),
    bodyBytesMax: t.exposeInt('bodyBytesMax', {
      description: 'Bytes of an HTTP request’s body. Scope: `read`. Since 0.1.',
    }),
    messageBytesMax: t.exposeInt('messageBytesMax', {
      description: 'Bytes of one WebSocket message. Scope: `read`. Since 0.1.',
    }),
    executionMsMax: t.exposeInt('executionMsMax', {
      description: 'Milliseconds of one query or mutation. Scope: `read`. Since 0.1.',
    }),
  }),
});

const ServiceConfigRef = builder.objectRef<ApiContext>('ServiceConfig').implement({
  description: 'What this installation is, what it does, and what it bounds. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    version: t.string({
      description: 'Of Sluice in the process that answers. Scope: `read`. Since 0.1.',
      resolve: () => packageJson.version,
    }),
    network: t.exposeString('network', { description: 'Canton network it serves. Scope: `read`. Since 0.1.' }),
    paysOut: t.boolean({
      description: 'Whether withdrawals are on: where not, their mutations are refused. Scope: `read`. Since 0.1.',
      resolve: ({ withdrawals }) => withdrawals !== null,
    }),
    looksAhead: t.boolean({
      description: 'Whether `withdrawalPreflight` can be asked. Scope: `read`. Since 0.1.',
      resolve: ({ preflight }) => preflight !== null,
    }),
    limits: t.field({
      type: ApiLimitsRef,
      description: 'What is bounded, and by how much. Scope: `read`. Since 0.1.',
      resolve: ({ limits }) => limits,
    }),
  }),
});

builder.queryField('serviceConfig', (t) =>
  t.field({
    type: ServiceConfigRef,
    description: 'What this installation is, what it does, and what it bounds. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: (_root, _args, context) => context,
  }),
);
