/** Mistakes with offers that Sluice accepts. */
import type { Mutant } from './mutants.ts';

const SINK = 'deposits/acceptance/offer-sink.ts';
const PURPOSE = 'deposits/acceptance/offer-purpose.ts';
const SETTLE = 'for (const attempt of open) await settleAttempt(tx, attempt, nowMicros);';

export const OFFER_MUTANTS: readonly Mutant[] = [
  {
    name: 'rejected-offer-counts-as-accepted',
    mistake: 'An offer that was given back counts as one that we accepted.',
    company: ['acceptances'],
    changes: [
      {
        file: SINK,
        find: `return { state: 'ENDED', reason: 'REJECTED' };`,
        replace: `return { state: 'DONE', reason: null };`,
      },
    ],
  },
  {
    name: 'offer-end-settles-nothing',
    mistake: 'When an offer ends, the attempt to accept it stays open until it lapses.',
    company: ['acceptances'],
    changes: [{ file: SINK, find: SETTLE, replace: '' }],
  },
  {
    name: 'dead-attempt-loses-its-offer',
    mistake: 'An offer whose attempt is dead is tried no more.',
    company: ['acceptances', 'executeDropped'],
    changes: [{ file: PURPOSE, find: `set({ state: 'QUEUED', reason,`, replace: `set({ state: 'ENDED', reason,` }],
  },
];
