/** `IngestionStream` with its freshness, its query and its subscription. */
import { type IngestionStream, readIngestionStreams, type SynchronizerTime } from '../read/ingestion-streams.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { readStreamEpochs } from '../read/stream-epochs.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { FreshnessRef, streamFreshness } from './freshness.ts';
import { partsOfKey } from './global-id.ts';
import { StreamEpochRef } from './stream-epoch.ts';
import { TREASURY_KEY_PARTS, TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

const IngestionStatusEnum = builder.enumType('IngestionStatus', {
  description: 'What the worker of a stream does. Since 0.1.',
  values: {
    STARTING: { description: 'Not connected yet.' },
    RUNNING: { description: 'Reads the participant’s stream.' },
    HALTED: { description: 'Stopped itself, because its position is in doubt; `statusReason` says why.' },
  } as const,
});

const SynchronizerTimeRef = builder.objectRef<SynchronizerTime>('SynchronizerTime').implement({
  description: 'How far the history of one synchronizer is here. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    synchronizerId: t.exposeString('synchronizerId', { description: 'Its logical id. Scope: `read`. Since 0.1.' }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'A record time: all of its history up to it is here. Scope: `read`. Since 0.1.',
    }),
  }),
});

const EPOCHS_SHOWN_MAX = 50; // Each is a restore or a switch: a handful in years.

const keyOf = ({ treasury }: IngestionStream): string => ledgerKey(treasury.network, treasury.party);

export const IngestionStreamRef = builder.objectRef<IngestionStream>('IngestionStream');

builder.node(IngestionStreamRef, {
  description: 'How far the ledger’s history of one treasury party is in this database. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: keyOf },
  loadManyWithoutCache: async (keys, { db }) => {
    const streams = await readIngestionStreams(db);
    return keys.map((key) => streams.find((stream) => keyOf(stream) === key) ?? null);
  },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Whose history. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    status: t.expose('status', {
      type: IngestionStatusEnum,
      description: 'What the worker does. Scope: `read`. Since 0.1.',
    }),
    statusReason: t.exposeString('statusReason', {
      nullable: true,
      description: 'Why it halted; null: it did not. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
    freshness: t.field({
      type: FreshnessRef,
      description: 'How fresh its data is. Scope: `read`. Since 0.1.',
      resolve: (stream, _args, context) => streamFreshness(stream, context),
    }),
    synchronizers: t.field({
      type: [SynchronizerTimeRef],
      description: 'By id. Scope: `read`. Since 0.1.',
      resolve: ({ synchronizers }) => [...synchronizers],
    }),
    updatesCount: t.expose('updatesCount', {
      type: 'BigInt',
      description: 'Updates stored so far. Scope: `read`. Since 0.1.',
    }),
    quarantinedCount: t.expose('quarantinedCount', {
      type: 'BigInt',
      description: 'Updates stored whose effects could not be told; an operator should look. Scope: `read`. Since 0.1.',
    }),
    observedAt: t.expose('observedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When the last message came, by our clock; null: none yet. Scope: `read`. Since 0.1.',
    }),
    epoch: t.exposeInt('epoch', {
      description:
        'Of the offset space, from 1; grows with another or a restored participant. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
    epochs: t.loadableGroup({
      type: StreamEpochRef,
      description: `The offset spaces it has been through, newest first; the last ${EPOCHS_SHOWN_MAX}. Scope: \`operate\`. Since 0.1.`,
      authScopes: { operate: true },
      load: async (keys: string[], { db }) =>
        await readStreamEpochs(
          db,
          keys.map((key) => partsOfKey(key, TREASURY_KEY_PARTS)),
          EPOCHS_SHOWN_MAX,
        ),
      group: ({ network, party }) => ledgerKey(network, party),
      loaderOptions: { cache: false },
      resolve: keyOf,
    }),
    participantId: t.exposeString('participantId', {
      nullable: true,
      description: 'Whose offsets these are; null before the first connection. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
    ledgerOffset: t.expose('ledgerOffset', {
      type: 'BigInt',
      description:
        'The participant’s offset up to which all is here, local to this participant and epoch; 0: nothing yet. Scope: `operate`. Since 0.1.',
      authScopes: { operate: true },
    }),
  }),
});

builder.queryField('ingestionStreams', (t) =>
  t.field({
    type: [IngestionStreamRef],
    description: 'One per treasury party, by network and party. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }) },
    resolve: async (_root, { treasury }, { db }) => {
      const wanted = keyOfTreasury(treasury);
      return (await readIngestionStreams(db)).filter((stream) => wanted === null || keyOf(stream) === wanted);
    },
  }),
);

builder.subscriptionField('ingestionProgress', (t) =>
  t.field({
    type: IngestionStreamRef,
    description:
      'The state of each stream at once, and again whenever it has changed. Conflated: a slow reader skips to the newest. Nothing to resume. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: { treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }) },
    subscribe: (_root, { treasury }, { progress }: ApiContext) => progress.subscribe(keyOfTreasury(treasury)),
    resolve: (stream: IngestionStream) => stream,
  }),
);

function keyOfTreasury(id: string | null | undefined): string | null {
  const treasury = treasuryOfId(id);
  return treasury === null ? null : ledgerKey(treasury.network, treasury.party);
}
