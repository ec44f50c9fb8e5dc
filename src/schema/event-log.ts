/** `EventLog` and `Viewer`: what a client needs to know of the installation before it subscribes. */
import { formatEventCursor } from '../db/event-cursor.ts';
import type { EventTail } from '../db/event-tail.ts';
import { builder } from './builder.ts';

const EventLogRef = builder.objectRef<EventTail>('EventLog').implement({
  description: 'The log that every subscription with a cursor reads. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    epoch: t.string({
      description:
        'Names the log and is part of every cursor. Another one after the database was replaced, or restored and given a new one. Scope: `read`. Since 0.1.',
      resolve: (tail) => tail.head().epoch,
    }),
    startCursor: t.field({
      type: 'Cursor',
      description: 'Before the first event: resume after it to get everything. Scope: `read`. Since 0.1.',
      resolve: (tail) => formatEventCursor({ epoch: tail.head().epoch, position: 0n }),
    }),
    headCursor: t.field({
      type: 'Cursor',
      description:
        'The newest event this process has seen: read it, then read what you need, then resume after it, and nothing is missed between. Scope: `read`. Since 0.1.',
      resolve: (tail) => formatEventCursor(tail.head()),
    }),
  }),
});

builder.queryField('eventLog', (t) =>
  t.field({
    type: EventLogRef,
    description: 'The event log: where a subscription can start. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: (_root, _args, { tail }) => tail,
  }),
);
