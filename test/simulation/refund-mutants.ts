/** Mistakes with what is sent back: money that leaves, and stays as well. */
import type { Mutant } from './mutants.ts';

const REFUND = 'deposits/desk-refund.ts';

export const REFUND_MUTANTS: readonly Mutant[] = [
  {
    name: 'recovered-refund-of-nothing',
    mistake:
      'A refund that a database forgot is made anew from its payment, and the deposit that it paid back stays where it is.',
    company: ['refunds', 'databaseRestored'],
    changes: [
      {
        file: 'withdrawals/recovered-payments.ts',
        find: `if (payer.kind === 'REFUNDS')\n    await recoverRefund(`,
        replace: `if (payer.kind === '')\n    await recoverRefund(`,
      },
    ],
  },
  {
    name: 'sent-back-to-another',
    mistake: 'What has no owner goes to whoever is named, instead of to whoever sent it.',
    company: ['refunds'],
    changes: [{ file: REFUND, find: 'receiver: sender,', replace: `receiver: sender.replace(/^alice/, 'carol'),` }],
  },
  {
    name: 'refunded-twice',
    mistake: 'A refund that is under way is no reason against another one.',
    company: ['refunds'],
    changes: [
      {
        file: 'deposits/desk-case-lock.ts',
        find: `UNPAID.has(refundState ?? '')`,
        replace: `refundState !== 'COMPLETED'`,
      },
    ],
  },
];
