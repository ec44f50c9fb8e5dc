/** The types of the event log as the API names them. The log’s own names are kept apart, so that neither binds the other. */
import { BOOKS_SHORTFALL, POST_TRANSFER_POSTED } from '../books/book-events.ts';
import { DEPOSIT_ACCOUNT_CHANGED } from '../deposits/deposit-account-changes.ts';
import { DEPOSIT_ACCOUNT_CREATED } from '../deposits/deposit-accounts.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_DENIED,
  DEPOSIT_HELD,
  DEPOSIT_REFUNDED,
  DEPOSIT_UNATTRIBUTED,
  DESK_DECISION,
  OFFER_ENDED,
  OFFER_RECEIVED,
} from '../deposits/deposit-events.ts';
import { SCREENING_ASKED_AGAIN } from '../deposits/screening-requests.ts';
import { APPROVAL_CHANGED } from '../policy/approval-events.ts';
import { POLICY_CHANGED } from '../policy/policy-changes.ts';
import { HALT_CHANGED } from '../submissions/halt-events.ts';
import { WITHDRAWAL_CHANGED, WITHDRAWAL_RESOLUTION, WITHDRAWAL_STOPPED } from '../withdrawals/withdrawal-events.ts';
import { builder } from './builder.ts';
import type { Scope } from './principal.ts';

const TYPES = {
  DEPOSIT_CREDITED: { type: DEPOSIT_CREDITED, description: 'A deposit is on a customer’s account.' },
  DEPOSIT_UNATTRIBUTED: { type: DEPOSIT_UNATTRIBUTED, description: 'A deposit belongs to nobody we know.' },
  DEPOSIT_HELD: { type: DEPOSIT_HELD, description: 'A deposit waits for the screening service.' },
  DEPOSIT_DENIED: { type: DEPOSIT_DENIED, description: 'The screening service denied a deposit.' },
  DEPOSIT_REFUNDED: { type: DEPOSIT_REFUNDED, description: 'A deposit goes back to its sender.' },
  DEPOSIT_ACCOUNT_CREATED: { type: DEPOSIT_ACCOUNT_CREATED, description: 'A memo was given to an account.' },
  DEPOSIT_ACCOUNT_CHANGED: { type: DEPOSIT_ACCOUNT_CHANGED, description: 'A memo was disabled or enabled.' },
  DESK_DECISION: { type: DESK_DECISION, description: 'The desk decided about a deposit. Needs scope `desk`.' },
  SCREENING_ASKED_AGAIN: {
    type: SCREENING_ASKED_AGAIN,
    description: 'Somebody had the screening service asked again. Needs scope `desk`.',
  },
  OFFER_RECEIVED: { type: OFFER_RECEIVED, description: 'An offer to us appeared.' },
  OFFER_ENDED: { type: OFFER_ENDED, description: 'An offer to us ended without reaching us.' },
  WITHDRAWAL_CHANGED: { type: WITHDRAWAL_CHANGED, description: 'A withdrawal came into a state.' },
  WITHDRAWAL_APPROVAL: { type: APPROVAL_CHANGED, description: 'Something was said to a withdrawal that needs people.' },
  WITHDRAWAL_STOPPED: { type: WITHDRAWAL_STOPPED, description: 'A withdrawal was held, parked, or let go on.' },
  WITHDRAWAL_RESOLUTION: {
    type: WITHDRAWAL_RESOLUTION,
    description: 'People decide a withdrawal that nobody can read. Needs scope `operate`.',
  },
  HALT_CHANGED: { type: HALT_CHANGED, description: 'Payouts were halted, or a halt was lifted.' },
  POLICY_CHANGED: { type: POLICY_CHANGED, description: 'Something was said to a change of the policy.' },
  POST_TRANSFER_POSTED: { type: POST_TRANSFER_POSTED, description: 'Amounts moved between customers’ accounts.' },
  BOOKS_SHORTFALL: { type: BOOKS_SHORTFALL, description: 'The books lack what the ledger paid.' },
} as const;

export type EventType = keyof typeof TYPES | 'OTHER';

/** What a principal must have beside `read` to be told of a type. */
const SCOPE_OF_TYPE: ReadonlyMap<string, Scope> = new Map<string, Scope>([
  [DESK_DECISION, 'desk'],
  [SCREENING_ASKED_AGAIN, 'desk'],
  [WITHDRAWAL_RESOLUTION, 'operate'],
]);

const API_NAMES: ReadonlyMap<string, EventType> = new Map(
  Object.entries(TYPES).map(([name, { type }]) => [type, name as keyof typeof TYPES]),
);

export const EventTypeEnum = builder.enumType('EventType', {
  description: 'What happened. Since 0.1.',
  values: {
    ...TYPES,
    OTHER: { description: 'Of a type that is newer than this server: `payload` says what it is.' },
  },
});

export function eventTypeOf(type: string): EventType {
  return API_NAMES.get(type) ?? 'OTHER';
}

/** @returns the scope that is lacking; null: the principal may be told. */
export function scopeLackingFor(type: string, scopes: ReadonlySet<Scope>): Scope | null {
  const needed = SCOPE_OF_TYPE.get(type);
  // Auditors see whatever anybody sees.
  return needed === undefined || scopes.has(needed) || scopes.has('audit') ? null : needed;
}

/** The log’s names; null: all. */
export function logTypesOf(types: readonly EventType[] | null | undefined): string[] | null {
  return types == null ? null : types.flatMap((name) => (name === 'OTHER' ? [] : [TYPES[name].type]));
}
