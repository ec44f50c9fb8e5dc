/** `WithdrawalState`. */
import { builder } from './builder.ts';

export const WithdrawalStateEnum = builder.enumType('WithdrawalState', {
  description:
    'Where a withdrawal stands. `COMPLETED`, `FAILED`, `CANCELLED`, `REJECTED` and `RETURNED` are final and never left. Since 0.1.',
  values: {
    REQUESTED: { description: 'Stored and debited; not judged yet.' },
    AWAITING_APPROVAL: { description: 'People, or the screening service, have to say yes; `policy` says who did.' },
    QUEUED: { description: 'Nothing that could pay is alive; `waitsFor` says what it waits for.' },
    IN_FLIGHT: { description: 'An attempt is open and may pay; `decidableBy` says until when this can be unknown.' },
    OFFERED: { description: 'The money is in an offer that the receiver has yet to accept.' },
    UNRESOLVED: {
      description:
        'Nobody can read whether it was paid: the inputs of an attempt vanished without its transfer, or its offer ended in an unknown way. `doubt` says why; two people decide with evidence, unless the ledger tells after all.',
    },
    REJECTED: { description: 'Refused by policy or people; final, booked back.' },
    CANCELLED: { description: 'Ended on request; final, certainly unpaid, booked back.' },
    FAILED: { description: 'Certainly unpaid; final, booked back. `definiteFailureProof` and `failure` say why.' },
    RETURNED: { description: 'Offered, not taken, and back with us; final, booked back.' },
    COMPLETED: { description: 'Paid: its transfer was seen on the ledger; final.' },
  } as const,
});
