/**
 * The life of a withdrawal.
 *
 *   REQUESTED           stored with its booking; policy has not spoken. Allowed → QUEUED, needs people → AWAITING_APPROVAL, denied → REJECTED.
 *   AWAITING_APPROVAL   enough approvals → QUEUED; refused or too late → REJECTED; cancelled → CANCELLED; deadline passed → FAILED. Paid before, as below: COMPLETED or FAILED.
 *   QUEUED              nothing that could pay is alive: there never was an attempt, or every one of them is proven dead. Inputs reserved for a new
 *                       attempt → IN_FLIGHT. Cancelled → CANCELLED. Deadline passed, or denied at the second look → FAILED. Two people, with evidence, end one that waits
 *                       because the ledger shows that it was paid before: COMPLETED or FAILED.
 *   IN_FLIGHT           an attempt is open; a signature may exist. Nothing but the ledger ends it: its transfer seen → COMPLETED, its offer seen → OFFERED, or the
 *                       attempt lapsed by proof → QUEUED for another one, or CANCELLED if that was asked for, or FAILED. Cancelling is a wish here, remembered
 *                       beside the state. Errors of any call are not events of this machine.
 *   OFFERED             the money is in an offer. Accepted → COMPLETED; ended with the funds back → RETURNED; ended in a way we cannot read → UNRESOLVED.
 *   UNRESOLVED          nobody can read whether it was paid: its offer ended in a way we do not know, or the inputs of its attempt went in a way that nobody saw. Two people, with evidence, decide
 *                       COMPLETED, RETURNED or FAILED. Where the ledger's word comes after all, it is what counts, as if there had never been a doubt.
 *   REJECTED, CANCELLED, FAILED, RETURNED, COMPLETED   final. Never left.
 *
 * A database that went back in time may have lost what led to a payment: one that the ledger shows, sealed by us for this very withdrawal, ends whatever has not ended (PAYMENT_RECOVERED). One that says of itself that it failed
 * leaves it UNRESOLVED: it is neither paid again nor booked back until people have found out where the money is.
 *
 * After a crash in any state the row says what may be in flight at most, and the same events lead on from there. An event that a state does not list is an alarm and
 * changes nothing, with one exception: a transfer of ours that is seen while QUEUED contradicts a proof. It was paid, so paying again would be worse: the
 * withdrawal is COMPLETED, and the alarm is raised all the same.
 */
import { unreachable } from '../env/errors.ts';

export const WITHDRAWAL_STATES = [
  'REQUESTED',
  'AWAITING_APPROVAL',
  'QUEUED',
  'IN_FLIGHT',
  'OFFERED',
  'UNRESOLVED',
  'REJECTED',
  'CANCELLED',
  'FAILED',
  'RETURNED',
  'COMPLETED',
] as const;
export type WithdrawalState = (typeof WITHDRAWAL_STATES)[number];

const FINAL_STATES: ReadonlySet<WithdrawalState> = new Set([
  'REJECTED',
  'CANCELLED',
  'FAILED',
  'RETURNED',
  'COMPLETED',
]);

export function isFinal(state: WithdrawalState): boolean {
  return FINAL_STATES.has(state);
}

export type WithdrawalEvent =
  | { readonly kind: 'POLICY_ALLOWED' }
  | { readonly kind: 'POLICY_NEEDS_APPROVAL' }
  | { readonly kind: 'POLICY_DENIED' }
  | { readonly kind: 'APPROVED' }
  | { readonly kind: 'APPROVAL_REFUSED' }
  | { readonly kind: 'APPROVAL_EXPIRED' }
  | { readonly kind: 'CANCEL_REQUESTED' }
  | { readonly kind: 'DEADLINE_PASSED' }
  /** Inputs are reserved and an attempt is open. */
  | { readonly kind: 'ATTEMPT_OPENED' }
  /** Ingestion saw a record time strictly past the attempt's target, or the attempt was given up before any signature was asked for. */
  | { readonly kind: 'ATTEMPT_DEAD'; readonly next: 'RETRY' | 'GIVE_UP'; readonly isCancelRequested: boolean }
  | { readonly kind: 'TRANSFER_SEEN' }
  | { readonly kind: 'OFFER_SEEN' }
  | { readonly kind: 'OFFER_ACCEPTED' }
  | { readonly kind: 'OFFER_RETURNED' }
  /** Its payment is on the ledger, and the database that knew of the attempt was lost. */
  | { readonly kind: 'PAYMENT_RECOVERED'; readonly as: 'COMPLETED' | 'OFFERED' | 'UNRESOLVED' }
  | { readonly kind: 'OFFER_END_UNREADABLE' }
  /** The ledger is past the attempt's target, and what it was to spend is gone, where nobody could read how. */
  | { readonly kind: 'INPUTS_VANISHED' }
  /** Two people, with evidence. */
  | { readonly kind: 'RESOLVED_BY_OPERATOR'; readonly as: Resolution };

export const RESOLUTIONS = ['COMPLETED', 'RETURNED', 'FAILED'] as const;
export type Resolution = (typeof RESOLUTIONS)[number];

export type Transition =
  | { readonly kind: 'MOVED'; readonly state: WithdrawalState }
  /** Remembered beside the state, which stays. */
  | { readonly kind: 'NOTED' }
  /** The event does not belong to this state: nothing changes, somebody must look. */
  | { readonly kind: 'ALARM' }
  /** It moves, and somebody must look. */
  | { readonly kind: 'MOVED_WITH_ALARM'; readonly state: WithdrawalState };

const moved = (state: WithdrawalState): Transition => ({ kind: 'MOVED', state });
const ALARM: Transition = { kind: 'ALARM' };
const NOTED: Transition = { kind: 'NOTED' };

/** Pure. @returns what `event` does to a withdrawal in `state`; see the description above. */
export function nextState(state: WithdrawalState, event: WithdrawalEvent): Transition {
  switch (state) {
    case 'REQUESTED':
      return fromRequested(event);
    case 'AWAITING_APPROVAL':
      return fromAwaitingApproval(event);
    case 'QUEUED':
      return fromQueued(event);
    case 'IN_FLIGHT':
      return fromInFlight(event);
    case 'OFFERED':
      return fromOffered(event);
    case 'UNRESOLVED':
      return fromUnresolved(event);
    case 'REJECTED':
    case 'CANCELLED':
    case 'FAILED':
    case 'RETURNED':
    case 'COMPLETED':
      return ALARM;
    default:
      return unreachable(state);
  }
}

function fromRequested(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'POLICY_ALLOWED':
      return moved('QUEUED');
    case 'POLICY_NEEDS_APPROVAL':
      return moved('AWAITING_APPROVAL');
    case 'POLICY_DENIED':
      return moved('REJECTED');
    case 'CANCEL_REQUESTED':
      return moved('CANCELLED');
    case 'PAYMENT_RECOVERED':
      return moved(event.as);
    default:
      return ALARM;
  }
}

function fromAwaitingApproval(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'APPROVED':
      return moved('QUEUED');
    case 'APPROVAL_REFUSED':
    case 'APPROVAL_EXPIRED':
      return moved('REJECTED');
    case 'DEADLINE_PASSED':
      return moved('FAILED');
    case 'CANCEL_REQUESTED':
      return moved('CANCELLED');
    case 'RESOLVED_BY_OPERATOR':
      return event.as === 'RETURNED' ? ALARM : moved(event.as);
    case 'PAYMENT_RECOVERED':
      return moved(event.as);
    default:
      return ALARM;
  }
}

function fromQueued(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'ATTEMPT_OPENED':
      return moved('IN_FLIGHT');
    case 'CANCEL_REQUESTED':
      return moved('CANCELLED');
    case 'DEADLINE_PASSED':
    case 'POLICY_DENIED':
      return moved('FAILED');
    case 'RESOLVED_BY_OPERATOR':
      // Nothing of it was offered, so nothing can have come back.
      return event.as === 'RETURNED' ? ALARM : moved(event.as);
    case 'TRANSFER_SEEN':
      return { kind: 'MOVED_WITH_ALARM', state: 'COMPLETED' };
    case 'OFFER_SEEN':
      return { kind: 'MOVED_WITH_ALARM', state: 'OFFERED' };
    case 'PAYMENT_RECOVERED':
      return moved(event.as);
    default:
      return ALARM;
  }
}

function fromInFlight(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'TRANSFER_SEEN':
      return moved('COMPLETED');
    case 'OFFER_SEEN':
      return moved('OFFERED');
    case 'ATTEMPT_DEAD':
      if (event.isCancelRequested) return moved('CANCELLED');
      return moved(event.next === 'RETRY' ? 'QUEUED' : 'FAILED');
    case 'INPUTS_VANISHED':
      return moved('UNRESOLVED');
    case 'CANCEL_REQUESTED':
      return NOTED;
    case 'PAYMENT_RECOVERED':
      return moved(event.as);
    default:
      return ALARM;
  }
}

function fromOffered(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'OFFER_ACCEPTED':
      return moved('COMPLETED');
    case 'OFFER_RETURNED':
      return moved('RETURNED');
    case 'OFFER_END_UNREADABLE':
      return moved('UNRESOLVED');
    case 'CANCEL_REQUESTED':
      return NOTED;
    default:
      return ALARM;
  }
}

/** The ledger's word, if it comes after all, does what it does in flight or offered. */
function fromUnresolved(event: WithdrawalEvent): Transition {
  switch (event.kind) {
    case 'RESOLVED_BY_OPERATOR':
    case 'PAYMENT_RECOVERED':
      return moved(event.as);
    case 'TRANSFER_SEEN':
    case 'OFFER_ACCEPTED':
      return moved('COMPLETED');
    case 'OFFER_SEEN':
      return moved('OFFERED');
    case 'OFFER_RETURNED':
      return moved('RETURNED');
    case 'ATTEMPT_DEAD':
      return fromInFlight(event);
    default:
      return ALARM;
  }
}
