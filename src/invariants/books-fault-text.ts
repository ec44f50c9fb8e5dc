/** A fault of the books, in a sentence for people. */
import type { BooksFault } from '../books/check-books.ts';
import { unreachable } from '../env/errors.ts';

export function describeBooksFault(fault: BooksFault): string {
  switch (fault.kind) {
    case 'TREASURY_OFF':
      return `${fault.party} holds ${fault.holdings} of ${fault.instrument}, booked are ${fault.booked}`;
    case 'TRANSFER_OFF':
      return `transfer ${fault.transferId} moved ${fault.moved}, booked are ${fault.booked}`;
    case 'CAUSE_UNKNOWN':
      return `the entry for ${fault.cause} has no such cause`;
    case 'CREDIT_OFF':
      return `transfer ${fault.transferId} is credited to whom it was not decided to belong, or brought nothing`;
    case 'CUSTOMER_BALANCE_OFF':
      return `the customer ${fault.account} has ${fault.kept} ${fault.instrument} as kept, and the journal says ${fault.booked}`;
    case 'CUSTOMER_NEGATIVE':
      return `the customer ${fault.account} has ${fault.booked} ${fault.instrument}: less than nothing, where Sluice keeps the balances`;
    case 'POST_TRANSFER_OFF':
      return `the entry ${fault.cause}: ${fault.why}`;
    case 'BOOKS_UNBALANCED':
      return `the accounts of ${fault.network} add up to ${fault.difference} ${fault.instrument}, and not to nothing`;
    case 'WAITING_OFF':
      return `account ${fault.account} should have ${fault.expected} of ${fault.instrument} waiting, booked are ${fault.booked}`;
    case 'WITHDRAWAL_OFF':
      return `withdrawal ${fault.withdrawalId} should have ${fault.expected} waiting, booked are ${fault.booked}`;
    case 'PAYMENT_OFF':
      return `withdrawal ${fault.withdrawalId}: ${fault.why}`;
    case 'RESERVATION_OFF':
      return `attempt ${fault.attempt} of ${fault.submissionId}: ${fault.why}`;
    case 'MORE_FAULTS':
      return `${fault.count} more like the last one: ${describeBooksFault(fault.like)}`;
    default:
      return unreachable(fault);
  }
}
