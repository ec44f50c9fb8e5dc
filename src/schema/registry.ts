/** `RegistryInstance` and its query: which registries and Scans are well, and who said something else than the others. */
import { keyOfRegistryInstance, listRegistryInstances, type RegistryInstance } from '../read/registry-instances.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';

const RegistryInstanceState = builder.enumType('RegistryInstanceState', {
  description: 'How a registry or Scan instance fares, to the process that asks it. Since 0.1.',
  values: {
    WELL: { description: 'Its last answer was one.' },
    FAILING: { description: 'It failed lately, not often enough to be left alone.' },
    RESTING: { description: 'It failed too often, or asked for a pause: it is not asked before `restsUntil`.' },
    PROBING: { description: 'Its rest is over: the next answer decides.' },
  } as const,
});

const RegistryInstanceRef = builder.objectRef<RegistryInstance>('RegistryInstance').implement({
  description:
    'One server that a token’s registry or Scan is read from, as one process of this installation knows it. Counters begin with the process. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    url: t.exposeString('url', { description: 'Where it is asked. Scope: `read`. Since 0.1.' }),
    process: t.exposeString('process', {
      description: 'Who asks: host, process id and a random part. Scope: `read`. Since 0.1.',
    }),
    state: t.field({
      type: RegistryInstanceState,
      description: 'How it fares. Scope: `read`. Since 0.1.',
      resolve: ({ state }) => state,
    }),
    asked: t.expose('asked', { type: 'BigInt', description: 'Questions put to it. Scope: `read`. Since 0.1.' }),
    answered: t.expose('answered', {
      type: 'BigInt',
      description: 'Of these, answered; a clear no is an answer. Scope: `read`. Since 0.1.',
    }),
    failed: t.expose('failed', {
      type: 'BigInt',
      description: 'Of these, not answered, or not so that it could be used. Scope: `read`. Since 0.1.',
    }),
    spared: t.expose('spared', {
      type: 'BigInt',
      description: 'Questions not put to it, because it rested or our own rate was used up. Scope: `read`. Since 0.1.',
    }),
    dissented: t.expose('dissented', {
      type: 'BigInt',
      description:
        'Answers that differed from what enough others agreed on, in the fields that matter. Above 0: find out whether it lags or lies. Scope: `read`. Since 0.1.',
    }),
    restsUntil: t.expose('restsUntil', {
      type: 'RecordTime',
      nullable: true,
      description: 'By our clock; null: it does not rest. Scope: `read`. Since 0.1.',
    }),
    lastAnswerAt: t.expose('lastAnswerAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'By our clock; null: it never answered. Scope: `read`. Since 0.1.',
    }),
    lastFailureAt: t.expose('lastFailureAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'By our clock; null: it never failed. Scope: `read`. Since 0.1.',
    }),
    lastFailure: t.exposeString('lastFailure', {
      nullable: true,
      description:
        'The code of its last failure, e.g. `REGISTRY_TIMEOUT`; null: it never failed. Scope: `read`. Since 0.1.',
    }),
    lastDissentAt: t.expose('lastDissentAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'By our clock; null: it never differed. Scope: `read`. Since 0.1.',
    }),
    lastDissent: t.exposeString('lastDissent', {
      nullable: true,
      description: 'What was asked when it differed last; null: it never did. Scope: `read`. Since 0.1.',
    }),
    reportedAt: t.expose('reportedAt', {
      type: 'RecordTime',
      description: 'When the process reported this, by our clock. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('registryInstances', (t) =>
  t.connection(
    {
      type: RegistryInstanceRef,
      description:
        'The registry and Scan instances that were asked, by URL, as reported within the last minute. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        isSuspect: t.arg.boolean({
          description: 'True: only those that fail at present, or have ever said something else than the others.',
        }),
      },
      resolve: async (_root, { isSuspect, ...page }, { db, clock }) => {
        const filter = { isSuspect: isSuspect ?? false, nowMicros: clock.nowMicros() };
        const shape = { name: 'registryInstances', key: 'tt' };
        return await connectionOf(
          shape,
          page,
          async (request) => await listRegistryInstances(db, filter, request),
          keyOfRegistryInstance,
        );
      },
    },
    { name: 'RegistryInstanceConnection' },
    { name: 'RegistryInstanceEdge' },
  ),
);
