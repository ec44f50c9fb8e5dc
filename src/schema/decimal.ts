/** The `Decimal` scalar's two directions. Exact: PostgreSQL's decimal text or a bigint of 10⁻¹⁰ units in, canonical text out. */
import { Kind, type ValueNode } from 'graphql';
import { PermanentError } from '../env/errors.ts';
import { type Amount, formatAmount, parseAmount } from '../tokens/amount.ts';
import { apiError, inputErrorOf } from './api-error.ts';

// Sums may have more than the 28 integer digits of one amount, never more than ten decimals.
const DATABASE_DECIMAL = /^(-?)(\d+)(?:\.(\d{1,10}))?$/;

/** @returns always ten decimals, e.g. `200.0000000000`. @throws PermanentError DECIMAL_INVALID for what is no exact decimal. */
export function formatDecimal(value: unknown): string {
  if (typeof value === 'bigint') return formatAmount(value);
  const match = typeof value === 'string' ? DATABASE_DECIMAL.exec(value) : null;
  if (match === null) throw new PermanentError('DECIMAL_INVALID', 'Not an exact decimal.', { type: typeof value });
  const [, sign = '', whole = '', fraction = ''] = match;
  const units = BigInt(whole + fraction.padEnd(10, '0'));
  return formatAmount(sign === '-' ? -units : units);
}

/** A JSON number is refused: most clients have already rounded it. @throws GraphQLError. */
export function parseDecimal(value: unknown): Amount {
  if (typeof value !== 'string') {
    throw apiError(
      'AMOUNT_INVALID',
      'A Decimal is written as a string, e.g. "200.5": numbers lose digits on their way.',
    );
  }
  try {
    return parseAmount(value);
  } catch (error) {
    throw inputErrorOf(error);
  }
}

export function parseDecimalLiteral(node: ValueNode): Amount {
  return parseDecimal(node.kind === Kind.STRING ? node.value : null);
}
