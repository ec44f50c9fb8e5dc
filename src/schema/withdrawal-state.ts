/** `WithdrawalState`. */
import { builder } from './builder.ts';

export const WithdrawalStateEnum = builder.enumType('WithdrawalState', {
  description:
    'Where a withdrawal stands. `COMPLETED`, `FAILED`, `CANCELLED`, `REJECTED` and `RETURNED` are final and never left. Since 0.1.',
  values: {
    REQUESTED: { description: 'Stored and debited; not judged yet.' },
    AWAITING_APPROVAL: { description: 'People have to approve it.' },
    QUEUED: { description: 'Waits for funds; nothing that could pay is alive.' },
    IN_FLIGHT: { description: 'An attempt is open and may pay; `decidableBy` says until when this can be unknown.' },
    OFFERED: { description: 'The money is in an offer that the receiver has yet to accept.' },
    UNRESOLVED: { description: 'Its offer ended in a way that could not be read; a person decides with evidence.' },
    REJECTED: { description: 'Refused by policy or people; final, booked back.' },
    CANCELLED: { description: 'Ended on request; final, certainly unpaid, booked back.' },
    FAILED: { description: 'Certainly unpaid; final, booked back. `definiteFailureProof` and `failure` say why.' },
    RETURNED: { description: 'Offered, not taken, and back with us; final, booked back.' },
    COMPLETED: { description: 'Paid: its transfer was seen on the ledger; final.' },
  } as const,
});
