import fc from 'fast-check';
import { GraphQLError } from 'graphql';
import { describe, expect, test } from 'vitest';
import { ledgerKey } from '../read/ledger-keys.ts';
import { formatPageCursor, pageRequestOf, parsePageCursor } from './connection.ts';
import { formatGlobalId, keyOfGlobalId, NODE_TYPES, parseGlobalId, partsOfKey } from './global-id.ts';

const shape = { name: 'transfers', key: 'it' };
const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error instanceof GraphQLError ? error.extensions['code'] : error;
  }
  return null;
};

const storable = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('\0'));

describe('page cursors', () => {
  test('every key survives the round trip', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }), storable, (time, id) => {
        expect(parsePageCursor(shape, formatPageCursor(shape, [time, id]))).toEqual([time, id]);
      }),
    );
  });

  test('anything else is refused', () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const good = formatPageCursor(shape, [5n, 'tr_1']);
    const bad = [
      '',
      'x',
      `${good}=`,
      ` ${good}`,
      good.slice(0, -2),
      formatPageCursor({ ...shape, name: 'holdings' }, [5n, 'tr_1']),
      encode(['2', 'transfers', '5', 'tr_1']),
      encode(['1', 'transfers', '5']),
      encode(['1', 'transfers', '5', 'tr_1', 'more']),
      encode(['1', 'transfers', 5, 'tr_1']),
      encode(['1', 'transfers', '05', 'tr_1']),
      encode(['1', 'transfers', '1e9', 'tr_1']),
      encode(['1', 'transfers', '9223372036854775808', 'tr_1']),
      encode(['1', 'transfers', '5', 'tr\0']),
      encode(['1', 'transfers', '5', null]),
      encode({ length: 4 }),
      'A'.repeat(100_000),
    ];
    for (const cursor of bad)
      expect(
        codeOf(() => parsePageCursor(shape, cursor)),
        cursor,
      ).toBe('PAGE_CURSOR_INVALID');
  });

  test('sizes outside 1 to 100, and both ends at once, are refused', () => {
    for (const args of [{ first: 0 }, { first: -1 }, { first: 101 }, { last: 101 }, { first: 5, last: 5 }]) {
      expect(
        codeOf(() => pageRequestOf(shape, args)),
        JSON.stringify(args),
      ).toBe('PAGE_ARGUMENTS_INVALID');
    }
    expect(pageRequestOf(shape, {})).toEqual({ limit: 20, after: null, before: null, isFromEnd: false });
    expect(pageRequestOf(shape, { last: 100 })).toMatchObject({ limit: 100, isFromEnd: true });
  });
});

describe('global ids', () => {
  test('every key survives the round trip', () => {
    fc.assert(
      fc.property(fc.constantFrom(...NODE_TYPES), fc.array(storable, { minLength: 2, maxLength: 2 }), (type, parts) => {
        const { type: parsedType, key } = parseGlobalId(formatGlobalId(type, ledgerKey(...parts)));
        expect(parsedType).toBe(type);
        expect(partsOfKey(key, ['first', 'second'])).toEqual({ first: parts[0], second: parts[1] });
      }),
    );
  });

  test('foreign types and damaged ids are refused', () => {
    const good = formatGlobalId('Transfer', 'tr_1');
    const bad = [
      '',
      'x',
      `${good}=`,
      formatGlobalId('Nonsense', '1'),
      formatGlobalId('transfer', '1'),
      'A'.repeat(9_999),
    ];
    for (const id of bad)
      expect(
        codeOf(() => parseGlobalId(id)),
        id,
      ).toBe('ID_INVALID');
    expect(codeOf(() => keyOfGlobalId('Holding', good))).toBe('ID_INVALID');
    for (const key of ['', 'a', 'a/b/c', 'a/%', 'a/%00', 'a/%62', 'ä/b']) {
      expect(
        codeOf(() => partsOfKey(key, ['first', 'second'])),
        key,
      ).toBe('ID_INVALID');
    }
  });
});
