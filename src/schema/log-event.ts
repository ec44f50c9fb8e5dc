/** `events`: the whole log as one stream. */
import { formatEventCursor } from '../db/event-cursor.ts';
import type { LogEvent } from '../db/event-page.ts';
import { DEPOSIT_FEED_TYPES } from '../deposits/deposit-events.ts';
import { APPROVAL_CHANGED } from '../policy/approval-events.ts';
import { approvalUpdateOf } from '../read/approval-feed.ts';
import { createLogFeed, type LogFeed } from '../read/log-feed.ts';
import { withdrawalUpdateOf } from '../read/withdrawal-feed.ts';
import { WITHDRAWAL_CHANGED } from '../withdrawals/withdrawal-events.ts';
import { apiError, cursorErrorOf } from './api-error.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { DepositEventRef, depositEventOf } from './deposit-event.ts';
import { EventTypeEnum, eventTypeOf, logTypesOf, scopeLackingFor } from './event-types.ts';
import { ApprovalUpdateRef } from './withdrawal-policy.ts';
import { WithdrawalUpdateRef } from './withdrawal-update.ts';

const DEPOSIT_TYPES: ReadonlySet<string> = new Set(DEPOSIT_FEED_TYPES);

const EventRef = builder.objectRef<LogEvent>('Event').implement({
  description:
    'An event of the log. What it holds are facts as recorded and never changes, but for what `deposit`, `withdrawal` and `approval` point at. Scopes: `subscribe` and `read`. Since 0.1.',
  authScopes: { $all: { subscribe: true, read: true } },
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description: 'Store it with what you did about the event, and resume `after` it. Scope: `read`. Since 0.1.',
      resolve: ({ position }, _args, { tail }) => formatEventCursor({ epoch: tail.head().epoch, position }),
    }),
    eventId: t.exposeString('eventId', {
      description: 'The same for the same event in every installation: deduplicate by it. Scope: `read`. Since 0.1.',
    }),
    type: t.field({
      type: EventTypeEnum,
      description: 'What happened. Scope: `read`. Since 0.1.',
      resolve: ({ type }) => eventTypeOf(type),
    }),
    subject: t.exposeString('subject', {
      description:
        'The id of what it is about: of a transfer, a withdrawal, a halt and so on. Scope: `read`. Since 0.1.',
    }),
    recordedAt: t.expose('recordedAt', {
      type: 'RecordTime',
      description: 'When it was written, by our clock; order comes from the log alone. Scope: `read`. Since 0.1.',
    }),
    payload: t.expose('payload', {
      type: 'JSON',
      description: 'All that was recorded of it, amounts and times as text. Scope: `read`. Since 0.1.',
    }),
    deposit: t.field({
      type: DepositEventRef,
      nullable: true,
      description: 'As `deposits` tells it; null: it is not about a deposit. Scope: `read`. Since 0.1.',
      resolve: (event, _args, { tail }) =>
        DEPOSIT_TYPES.has(event.type) ? depositEventOf(event, tail.head().epoch) : null,
    }),
    withdrawal: t.field({
      type: WithdrawalUpdateRef,
      nullable: true,
      description:
        'As `withdrawals` tells it; null: it is not a change of a withdrawal’s state. Scope: `read`. Since 0.1.',
      resolve: (event, _args, { tail }) =>
        event.type === WITHDRAWAL_CHANGED ? withdrawalUpdateOf(event, tail.head().epoch) : null,
    }),
    approval: t.field({
      type: ApprovalUpdateRef,
      nullable: true,
      description: 'As `pendingApprovals` tells it; null: it is not about an approval. Scope: `read`. Since 0.1.',
      resolve: (event, _args, { tail }) =>
        event.type === APPROVAL_CHANGED ? approvalUpdateOf(event, tail.head().epoch) : null,
    }),
  }),
});

builder.subscriptionField('events', (t) =>
  t.field({
    type: EventRef,
    description:
      'Everything that happens: at least once, in order, first what came after the cursor, then what comes. Types that need a scope you lack are left out where you name none, and refused where you name them. Ends only by an error or a cut connection: resume after the last cursor. `CURSOR_FROM_ANOTHER_LOG` means that the log was replaced: start again from one of the cursors in the error. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'The last cursor seen. Null: only what comes from now on; for everything from the beginning pass `Query.eventLog.startCursor`.',
      }),
      types: t.arg({ type: [EventTypeEnum], description: 'Only of these types. Null: of all.' }),
    },
    subscribe: async (_root, { after, types: wanted }, { tail, principal }: ApiContext): Promise<LogFeed<LogEvent>> => {
      const named = logTypesOf(wanted);
      const refused = named?.find((type) => scopeLackingFor(type, principal.scopes) !== null);
      if (refused !== undefined) {
        throw apiError('FORBIDDEN', `Your principal may not be told of events of type ${eventTypeOf(refused)}.`);
      }
      try {
        const { position } = await tail.pointAfter(after ?? null);
        // What has no name here cannot be looked for by one: then all is read.
        const types = wanted?.includes('OTHER') === true ? null : named;
        const subscription = { after: position, ...(types === null ? {} : { types }) };
        return createLogFeed(tail, subscription, (event) => {
          const isWanted = wanted?.includes(eventTypeOf(event.type)) !== false;
          return isWanted && scopeLackingFor(event.type, principal.scopes) === null ? event : null;
        });
      } catch (error) {
        throw cursorErrorOf(error);
      }
    },
    resolve: (event: LogEvent) => event,
  }),
);
