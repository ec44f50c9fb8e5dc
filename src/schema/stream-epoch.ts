/** `StreamEpoch`: the offset spaces that a stream has been through. Canton's counterpart of a reorganisation: nothing is undone, but offsets mean something else. */
import type { HistoryGap, StreamEpoch } from '../read/stream-epochs.ts';
import { builder } from './builder.ts';

const StreamEpochReasonEnum = builder.enumType('StreamEpochReason', {
  description: 'Why an offset space began. Since 0.1.',
  values: {
    BEGINNING: { description: 'The stream’s first.' },
    OPENING: { description: 'The stream’s first; it began with an opening balance.' },
    PARTICIPANT_CHANGED: { description: 'Another participant took over.' },
    OFFSETS_CHANGED: { description: 'The same participant numbers its history otherwise, as after a restore.' },
    RECOVERED: { description: 'An operator let the stream go on behind a gap.' },
  } as const,
});

const HistoryGapRef = builder.objectRef<HistoryGap>('HistoryGap').implement({
  description: 'A part of the ledger’s history that this database does not have. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    afterUpdateId: t.exposeString('afterUpdateId', {
      nullable: true,
      description: 'The newest update before it; null: none. Scope: `operate`. Since 0.1.',
    }),
    contractsVanished: t.exposeInt('contractsVanished', {
      description:
        'Contracts of the party that were gone behind it; booked as unexplained. Scope: `operate`. Since 0.1.',
    }),
    contractsAppeared: t.exposeInt('contractsAppeared', {
      description: 'Holdings that were new behind it; taken over as opening balance. Scope: `operate`. Since 0.1.',
    }),
    recordedBy: t.exposeString('recordedBy', {
      description: 'Who accepted to be without it. Scope: `operate`. Since 0.1.',
    }),
  }),
});

export const StreamEpochRef = builder.objectRef<StreamEpoch>('StreamEpoch').implement({
  description: 'One offset space of a stream, and how its place was found in it. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    epoch: t.exposeInt('epoch', { description: 'Its number, from 1. Scope: `operate`. Since 0.1.' }),
    reason: t.expose('reason', {
      type: StreamEpochReasonEnum,
      description: 'Why it began. Scope: `operate`. Since 0.1.',
    }),
    participantId: t.exposeString('participantId', {
      description: 'Whose offsets these are. Scope: `operate`. Since 0.1.',
    }),
    anchorUpdateId: t.exposeString('anchorUpdateId', {
      nullable: true,
      description:
        'Our newest update by then, by which the place was found; null: none was needed. Scope: `operate`. Since 0.1.',
    }),
    resumedOffset: t.expose('resumedOffset', {
      type: 'BigInt',
      description: 'Where reading began, exclusive. Scope: `operate`. Since 0.1.',
    }),
    previousOffset: t.expose('previousOffset', {
      type: 'BigInt',
      nullable: true,
      description: 'Where the stream stood in the epoch before; null for the first. Scope: `operate`. Since 0.1.',
    }),
    detail: t.exposeString('detail', { description: 'For people. Scope: `operate`. Since 0.1.' }),
    startedAt: t.expose('startedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `operate`. Since 0.1.',
    }),
    gap: t.field({
      type: HistoryGapRef,
      nullable: true,
      description: 'What is missing before it; null: nothing. Scope: `operate`. Since 0.1.',
      resolve: ({ gap }) => gap,
    }),
  }),
});
