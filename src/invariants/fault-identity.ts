/**
 * By what a fault of the books is known again: what is at fault, and by how much where that stays. Never the amounts beside it, which move with every deposit: what people have looked at and decided about would
 * come back as if it were new.
 */
import type { BooksFault } from '../books/check-books.ts';
import { unreachable } from '../env/errors.ts';

export function identityOf(fault: BooksFault): string {
  return JSON.stringify([fault.kind, ...partsOf(fault)]);
}

function partsOf(fault: BooksFault): readonly string[] {
  switch (fault.kind) {
    case 'TREASURY_OFF':
      return [fault.party, fault.instrument, fault.difference];
    case 'TRANSFER_OFF':
      // These amounts are its own, and move with nothing but it.
      return [fault.transferId, fault.moved, fault.booked];
    case 'CREDIT_OFF':
      return [fault.transferId];
    case 'CAUSE_UNKNOWN':
      return [fault.cause];
    case 'POST_TRANSFER_OFF':
      return [fault.cause, fault.why];
    case 'CUSTOMER_BALANCE_OFF':
    case 'WAITING_OFF':
      return [fault.account, fault.instrument, fault.difference];
    case 'CUSTOMER_NEGATIVE':
      return [fault.account, fault.instrument, fault.debitedBy];
    case 'BOOKS_UNBALANCED':
      return [fault.network, fault.instrument, fault.difference];
    case 'WITHDRAWAL_OFF':
      return [fault.withdrawalId, fault.difference];
    case 'PAYMENT_OFF':
      return [fault.withdrawalId, fault.why];
    case 'RESERVATION_OFF':
      return [fault.submissionId, String(fault.attempt), fault.why];
    case 'MORE_FAULTS':
      return [fault.like.kind, String(fault.count), fault.digest];
    default:
      return unreachable(fault);
  }
}
