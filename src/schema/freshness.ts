/** `Freshness`, and the query's own: what any answer is to be taken for. */
import { formatEventCursor } from '../db/event-cursor.ts';
import { type Freshness, type FreshnessInput, freshnessOf, worstFreshness } from '../read/freshness.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { treasuryOfId } from './treasury-party-ref.ts';

const FreshnessStateEnum = builder.enumType('FreshnessState', {
  description: 'How fresh an answer is. Since 0.1.',
  values: {
    LAST_KNOWN: {
      description:
        'The database is away: the last answer that you were given to this very question. What has happened since is not in it.',
    },
    STARTING: { description: 'Nothing has been received yet.' },
    IDLE: { description: 'The ledger’s history is here, up to a normal delay.' },
    BEHIND: { description: 'Messages come, but older ones than a live stream’s (150 s): a backlog is being read.' },
    STALLED: { description: 'No message for 75 s: longer than a participant may be silent.' },
    QUIET: { description: 'Messages come, but the ledger’s time is more than 35 min old.' },
    HALTED: { description: 'Ingestion stopped itself; an operator is needed.' },
  } as const,
});

export const FreshnessRef = builder.objectRef<Freshness>('Freshness').implement({
  description:
    'How fresh an answer is. Told of what was there before the rows of the same answer were read, so they are at least as fresh as it says. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      nullable: true,
      description:
        'All of the ledger’s history up to it is here; by the synchronizer that the treasury party lives on, and of several treasury parties the oldest. Null before the first message. Scope: `read`. Since 0.1.',
    }),
    position: t.field({
      type: 'Cursor',
      description:
        'Every event of the log up to this one is in the answer: resume after it, and nothing is missed between. Scope: `read`. Since 0.1.',
      resolve: (_freshness, _args, { view, tail }) =>
        formatEventCursor(view === undefined ? tail.head() : { epoch: view.epoch, position: view.head }),
    }),
    ageMs: t.exposeFloat('ageMs', {
      nullable: true,
      description:
        'Whole milliseconds from `recordTime` to now, by our clock, not below 0; of a last known answer not below the time since it was read. Null before the first message. Scope: `read`. Since 0.1.',
    }),
    state: t.expose('state', { type: FreshnessStateEnum, description: 'What that means. Scope: `read`. Since 0.1.' }),
  }),
});

/** The freshness of one stream as this answer tells it. */
export function streamFreshness(
  stream: Omit<FreshnessInput, 'now' | 'lastKnownMs'>,
  { clock, view }: ApiContext,
): Freshness {
  return freshnessOf({ ...stream, now: clock.nowMicros(), lastKnownMs: view?.lastKnownMs ?? null });
}

builder.queryField('freshness', (t) =>
  t.field({
    type: FreshnessRef,
    description:
      'How fresh everything else in this answer is. Of all treasury parties: the worst of them. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }) },
    resolve: (_root, { treasury }, { clock, view }) => {
      const wanted = treasuryOfId(treasury);
      const streams = (view?.streams ?? []).filter(
        ({ network, party }) => wanted === null || (network === wanted.network && party === wanted.party),
      );
      if (wanted !== null && streams.length === 0)
        throw apiError('ID_INVALID', 'No such treasury party is served here.');
      return worstFreshness(streams, { now: clock.nowMicros(), lastKnownMs: view?.lastKnownMs ?? null });
    },
  }),
);
