import { GraphQLError, Kind } from 'graphql';
import { describe, expect, test } from 'vitest';
import { formatDecimal, parseDecimal, parseDecimalLiteral } from './decimal.ts';

describe('decimal', () => {
  test.each([
    ['200', '200.0000000000'],
    ['200.0000000000', '200.0000000000'],
    ['-0.5', '-0.5000000000'],
    ['0', '0.0000000000'],
    ['0.0000000001', '0.0000000001'],
    [2_000_000_000_001n, '200.0000000001'],
    ['99999999999999999999999999999999999999.9999999999', '99999999999999999999999999999999999999.9999999999'],
  ])('%s prints as %s', (value, text) => {
    expect(formatDecimal(value)).toBe(text);
  });

  test.each([['1e3'], ['NaN'], ['0.00000000001'], [''], [1.5], [200], [null]])('%s is no exact decimal', (value) => {
    expect(() => formatDecimal(value)).toThrow(expect.objectContaining({ code: 'DECIMAL_INVALID' }));
  });

  test('input is text and nothing else', () => {
    expect(parseDecimal('200.5')).toBe(2_005_000_000_000n);
    expect(parseDecimalLiteral({ kind: Kind.STRING, value: '0.1' })).toBe(1_000_000_000n);
    for (const value of [200, 200.5, 200n, true, null, '2e2', ' 1', '1.00000000001', '1,5', '']) {
      expect(() => parseDecimal(value), String(value)).toThrow(GraphQLError);
    }
    expect(() => parseDecimalLiteral({ kind: Kind.INT, value: '200' })).toThrow('as a string');
    expect(() => parseDecimalLiteral({ kind: Kind.FLOAT, value: '0.1' })).toThrow('as a string');
  });
});
