/** Every state with every event: what is listed here moves, everything else is an alarm. */
import { describe, expect, test } from 'vitest';
import {
  isFinal,
  nextState,
  RESOLUTIONS,
  type Transition,
  WITHDRAWAL_STATES,
  type WithdrawalEvent,
  type WithdrawalState,
} from './withdrawal-state.ts';

const EVENTS: readonly WithdrawalEvent[] = [
  { kind: 'POLICY_ALLOWED' },
  { kind: 'POLICY_NEEDS_APPROVAL' },
  { kind: 'POLICY_DENIED' },
  { kind: 'APPROVED' },
  { kind: 'APPROVAL_REFUSED' },
  { kind: 'APPROVAL_EXPIRED' },
  { kind: 'CANCEL_REQUESTED' },
  { kind: 'DEADLINE_PASSED' },
  { kind: 'ATTEMPT_OPENED' },
  ...(['RETRY', 'GIVE_UP'] as const).flatMap((next) =>
    [true, false].map((isCancelRequested) => ({ kind: 'ATTEMPT_DEAD', next, isCancelRequested }) as const),
  ),
  { kind: 'TRANSFER_SEEN' },
  { kind: 'OFFER_SEEN' },
  { kind: 'OFFER_ACCEPTED' },
  { kind: 'OFFER_RETURNED' },
  { kind: 'OFFER_END_UNREADABLE' },
  { kind: 'PAYMENT_RECOVERED', as: 'COMPLETED' },
  { kind: 'PAYMENT_RECOVERED', as: 'OFFERED' },
  { kind: 'PAYMENT_RECOVERED', as: 'UNRESOLVED' },
  { kind: 'INPUTS_VANISHED' },
  ...RESOLUTIONS.map((as) => ({ kind: 'RESOLVED_BY_OPERATOR', as }) as const),
];

/** The whole machine, one line per edge. */
const EDGES: Readonly<Record<string, string>> = {
  'REQUESTED POLICY_ALLOWED': 'QUEUED',
  'REQUESTED POLICY_NEEDS_APPROVAL': 'AWAITING_APPROVAL',
  'REQUESTED POLICY_DENIED': 'REJECTED',
  'REQUESTED CANCEL_REQUESTED': 'CANCELLED',
  'AWAITING_APPROVAL APPROVED': 'QUEUED',
  'AWAITING_APPROVAL APPROVAL_REFUSED': 'REJECTED',
  'AWAITING_APPROVAL APPROVAL_EXPIRED': 'REJECTED',
  'AWAITING_APPROVAL DEADLINE_PASSED': 'FAILED',
  'AWAITING_APPROVAL CANCEL_REQUESTED': 'CANCELLED',
  'AWAITING_APPROVAL RESOLVED_BY_OPERATOR COMPLETED': 'COMPLETED',
  'AWAITING_APPROVAL RESOLVED_BY_OPERATOR FAILED': 'FAILED',
  'QUEUED ATTEMPT_OPENED': 'IN_FLIGHT',
  'QUEUED CANCEL_REQUESTED': 'CANCELLED',
  'QUEUED DEADLINE_PASSED': 'FAILED',
  'QUEUED POLICY_DENIED': 'FAILED',
  'QUEUED TRANSFER_SEEN': 'COMPLETED!',
  'QUEUED OFFER_SEEN': 'OFFERED!',
  'QUEUED RESOLVED_BY_OPERATOR COMPLETED': 'COMPLETED',
  'QUEUED RESOLVED_BY_OPERATOR FAILED': 'FAILED',
  'IN_FLIGHT TRANSFER_SEEN': 'COMPLETED',
  'IN_FLIGHT OFFER_SEEN': 'OFFERED',
  'IN_FLIGHT ATTEMPT_DEAD RETRY': 'QUEUED',
  'IN_FLIGHT ATTEMPT_DEAD GIVE_UP': 'FAILED',
  'IN_FLIGHT ATTEMPT_DEAD RETRY cancelled': 'CANCELLED',
  'IN_FLIGHT ATTEMPT_DEAD GIVE_UP cancelled': 'CANCELLED',
  'IN_FLIGHT INPUTS_VANISHED': 'UNRESOLVED',
  'IN_FLIGHT CANCEL_REQUESTED': 'noted',
  'OFFERED OFFER_ACCEPTED': 'COMPLETED',
  'OFFERED OFFER_RETURNED': 'RETURNED',
  'OFFERED OFFER_END_UNREADABLE': 'UNRESOLVED',
  'OFFERED CANCEL_REQUESTED': 'noted',
  'REQUESTED PAYMENT_RECOVERED COMPLETED': 'COMPLETED',
  'REQUESTED PAYMENT_RECOVERED OFFERED': 'OFFERED',
  'REQUESTED PAYMENT_RECOVERED UNRESOLVED': 'UNRESOLVED',
  'AWAITING_APPROVAL PAYMENT_RECOVERED COMPLETED': 'COMPLETED',
  'AWAITING_APPROVAL PAYMENT_RECOVERED OFFERED': 'OFFERED',
  'AWAITING_APPROVAL PAYMENT_RECOVERED UNRESOLVED': 'UNRESOLVED',
  'QUEUED PAYMENT_RECOVERED COMPLETED': 'COMPLETED',
  'QUEUED PAYMENT_RECOVERED OFFERED': 'OFFERED',
  'QUEUED PAYMENT_RECOVERED UNRESOLVED': 'UNRESOLVED',
  'IN_FLIGHT PAYMENT_RECOVERED COMPLETED': 'COMPLETED',
  'IN_FLIGHT PAYMENT_RECOVERED OFFERED': 'OFFERED',
  'IN_FLIGHT PAYMENT_RECOVERED UNRESOLVED': 'UNRESOLVED',
  'UNRESOLVED RESOLVED_BY_OPERATOR COMPLETED': 'COMPLETED',
  'UNRESOLVED RESOLVED_BY_OPERATOR RETURNED': 'RETURNED',
  'UNRESOLVED RESOLVED_BY_OPERATOR FAILED': 'FAILED',
  'UNRESOLVED PAYMENT_RECOVERED COMPLETED': 'COMPLETED',
  'UNRESOLVED PAYMENT_RECOVERED OFFERED': 'OFFERED',
  'UNRESOLVED PAYMENT_RECOVERED UNRESOLVED': 'UNRESOLVED',
  'UNRESOLVED TRANSFER_SEEN': 'COMPLETED',
  'UNRESOLVED OFFER_ACCEPTED': 'COMPLETED',
  'UNRESOLVED OFFER_SEEN': 'OFFERED',
  'UNRESOLVED OFFER_RETURNED': 'RETURNED',
  'UNRESOLVED ATTEMPT_DEAD RETRY': 'QUEUED',
  'UNRESOLVED ATTEMPT_DEAD GIVE_UP': 'FAILED',
  'UNRESOLVED ATTEMPT_DEAD RETRY cancelled': 'CANCELLED',
  'UNRESOLVED ATTEMPT_DEAD GIVE_UP cancelled': 'CANCELLED',
};

function nameOf(event: WithdrawalEvent): string {
  if (event.kind === 'ATTEMPT_DEAD') return `${event.kind} ${event.next}${event.isCancelRequested ? ' cancelled' : ''}`;
  return event.kind === 'RESOLVED_BY_OPERATOR' || event.kind === 'PAYMENT_RECOVERED'
    ? `${event.kind} ${event.as}`
    : event.kind;
}

function shown(transition: Transition): string {
  switch (transition.kind) {
    case 'MOVED':
      return transition.state;
    case 'MOVED_WITH_ALARM':
      return `${transition.state}!`;
    case 'NOTED':
      return 'noted';
    case 'ALARM':
      return 'alarm';
  }
}

describe.each(WITHDRAWAL_STATES)('in %s', (state) => {
  test.each(EVENTS.map((event) => [nameOf(event), event] as const))('%s', (name, event) => {
    expect(shown(nextState(state, event))).toBe(EDGES[`${state} ${name}`] ?? 'alarm');
  });
});

test('every edge listed belongs to a state and an event that exist', () => {
  const possible = WITHDRAWAL_STATES.flatMap((state) => EVENTS.map((event) => `${state} ${nameOf(event)}`));
  expect(Object.keys(EDGES).filter((edge) => !possible.includes(edge))).toEqual([]);
});

test('final states are never left, and every other state can still reach one', () => {
  const reaches = (from: WithdrawalState, seen = new Set<WithdrawalState>()): boolean => {
    if (isFinal(from)) return true;
    if (seen.has(from)) return false;
    seen.add(from);
    return EVENTS.some((event) => {
      const transition = nextState(from, event);
      return 'state' in transition && reaches(transition.state, seen);
    });
  };

  expect(WITHDRAWAL_STATES.filter((state) => !reaches(state))).toEqual([]);
  for (const state of WITHDRAWAL_STATES.filter(isFinal)) {
    expect(EVENTS.map((event) => nextState(state, event).kind)).toEqual(EVENTS.map(() => 'ALARM'));
  }
});

test('from the moment an attempt is open, nothing but the ledger ends a withdrawal', () => {
  const byLedger = new Set([
    'ATTEMPT_DEAD',
    'TRANSFER_SEEN',
    'OFFER_SEEN',
    'OFFER_ACCEPTED',
    'OFFER_RETURNED',
    'OFFER_END_UNREADABLE',
    'PAYMENT_RECOVERED',
    'INPUTS_VANISHED',
  ]);

  for (const state of ['IN_FLIGHT', 'OFFERED'] as const) {
    const others = EVENTS.filter(({ kind }) => !byLedger.has(kind));
    expect(others.map((event) => 'state' in nextState(state, event))).toEqual(others.map(() => false));
  }
});
