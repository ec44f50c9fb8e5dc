/** `WithdrawalAttempt` and `DefiniteFailureProof`: what may be in flight, and what certainly never was. */

import type { WithdrawalAttempt } from '../read/withdrawal-attempts.ts';
import { explainProof, type FailureProof } from '../read/withdrawals.ts';
import { builder } from './builder.ts';

export const DefiniteFailureProofRef = builder.objectRef<FailureProof>('DefiniteFailureProof').implement({
  description:
    'Why an attempt did not pay and never will: the ledger commits it at its last record time or before, and all of its synchronizer’s history past that time is here, without it. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    attempt: t.exposeInt('attempt', { description: 'Number of the attempt. Scope: `read`. Since 0.1.' }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Logical id of the synchronizer both times are of. Scope: `read`. Since 0.1.',
    }),
    targetRecordTime: t.expose('targetRecordTime', {
      type: 'RecordTime',
      description: 'The last record time it could commit at, inclusive. Scope: `read`. Since 0.1.',
    }),
    passedRecordTime: t.expose('passedRecordTime', {
      type: 'RecordTime',
      description:
        'Record time up to which all history was here when it was ended; later than the former. Scope: `read`. Since 0.1.',
    }),
    explanation: t.string({
      description: 'The same in words, for people; may change. Scope: `read`. Since 0.1.',
      resolve: explainProof,
    }),
  }),
});

const WithdrawalAttemptStateEnum = builder.enumType('WithdrawalAttemptState', {
  description: 'Where an attempt stands. Only `OPEN` ever changes. Since 0.1.',
  values: {
    OPEN: { description: 'It may still commit, up to its last record time.' },
    SETTLED: { description: 'Its transaction was seen on the ledger.' },
    LAPSED: { description: 'The ledger has passed its last record time without it; `proof` says so.' },
    GIVEN_UP: { description: 'Ended before a signature was asked for: nothing of it ever existed.' },
  } as const,
});

export const WithdrawalAttemptRef = builder.objectRef<WithdrawalAttempt>('WithdrawalAttempt').implement({
  description:
    'One attempt to pay, with fixed inputs and a fixed end. Every try of it spends the same holdings, so the ledger commits one at most; the next attempt opens only when this one is certainly dead. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'From 1. Scope: `read`. Since 0.1.' }),
    state: t.expose('state', {
      type: WithdrawalAttemptStateEnum,
      description: 'Where it stands. Scope: `read`. Since 0.1.',
    }),
    openedAt: t.expose('openedAt', {
      type: 'RecordTime',
      description: 'When its inputs were reserved, by our clock. Scope: `read`. Since 0.1.',
    }),
    closedAt: t.expose('closedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it ended, by our clock; null: it is open. Scope: `read`. Since 0.1.',
    }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Logical id of the synchronizer it runs on. Scope: `read`. Since 0.1.',
    }),
    targetRecordTime: t.expose('targetRecordTime', {
      type: 'RecordTime',
      description:
        'The last record time of that synchronizer at which it may commit, inclusive. Scope: `read`. Since 0.1.',
    }),
    tries: t.exposeInt('tries', {
      description: 'How often it may have been sent to the ledger. Scope: `read`. Since 0.1.',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description:
        'Why the last try came to nothing, for people. It decides nothing: what was refused here may commit all the same. Null: no trouble. Scope: `read`. Since 0.1.',
    }),
    isSignatureRequested: t.exposeBoolean('isSignatureRequested', {
      description: 'True: a signature may exist, and only the ledger ends it. Scope: `read`. Since 0.1.',
    }),
    inputs: t.stringList({
      description: 'Contract ids of the holdings it spends, sorted. Scope: `read`. Since 0.1.',
      resolve: ({ inputs }) => [...inputs],
    }),
    proof: t.field({
      type: DefiniteFailureProofRef,
      nullable: true,
      description: 'That it never paid and never will; null: it did not lapse. Scope: `read`. Since 0.1.',
      resolve: ({ proof }) => proof,
    }),
  }),
});
