import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import { DecodeError, readDecimal } from '../tokens/value.ts';

/** A Decimal as Canton prints it, all ten decimals; `undefined` for no value. The hash covers the text, so another text is another value. */
export function readPrintedDecimal(value: Value | undefined): Amount | undefined {
  const amount = readDecimal(value);
  if (amount !== undefined && value?.sum?.value !== formatAmount(amount)) {
    throw new DecodeError('A Decimal that Canton would print differently.', { found: value?.sum?.value });
  }
  return amount;
}
