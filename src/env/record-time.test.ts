import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatRecordTime, parseDate, parseRecordTime, RECORD_TIME_MAX, RECORD_TIME_MIN } from './record-time.ts';

describe('record time', () => {
  test.each([
    [0n, '1970-01-01T00:00:00.000000Z'],
    [-1n, '1969-12-31T23:59:59.999999Z'],
    [1n, '1970-01-01T00:00:00.000001Z'],
    [RECORD_TIME_MIN, '0001-01-01T00:00:00.000000Z'],
    [RECORD_TIME_MAX, '9999-12-31T23:59:59.999999Z'],
    [951_782_400_000_000n, '2000-02-29T00:00:00.000000Z'],
    [-2_203_977_600_000_000n, '1900-02-28T00:00:00.000000Z'],
    [-2_203_891_200_000_000n, '1900-03-01T00:00:00.000000Z'],
  ])('%s is %s', (micros, text) => {
    expect(formatRecordTime(micros)).toBe(text);
    expect(parseRecordTime(text)).toBe(micros);
  });

  test('agrees with the platform wherever the platform can say', () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }), (millis) => {
        expect(formatRecordTime(BigInt(millis) * 1_000n)).toBe(`${new Date(millis).toISOString().slice(0, -1)}000Z`);
      }),
    );
  });

  test('every microsecond survives the round trip', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: RECORD_TIME_MIN, max: RECORD_TIME_MAX }), (micros) => {
        expect(parseRecordTime(formatRecordTime(micros))).toBe(micros);
      }),
    );
  });

  test('fewer decimals are read as they are', () => {
    expect(parseRecordTime('1970-01-01T00:00:01Z')).toBe(1_000_000n);
    expect(parseRecordTime('1970-01-01T00:00:01.5Z')).toBe(1_500_000n);
  });

  test.each([
    '',
    '1970-01-01',
    '1970-01-01T00:00:00',
    '1970-01-01T00:00:00+00:00',
    '1970-01-01t00:00:00z',
    '1970-01-01T00:00:00.1234567Z',
    '1970-02-30T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '1970-13-01T00:00:00Z',
    '1970-00-01T00:00:00Z',
    '1970-01-01T24:00:00Z',
    '1970-01-01T00:60:00Z',
    '2016-12-31T23:59:60Z',
    '0000-01-01T00:00:00Z',
    '0000-12-31T23:59:59Z',
    '9999-12-31T24:00:00Z',
    '10000-01-01T00:00:00Z',
    '-001-01-01T00:00:00Z',
    '1970-01-01T00:00:00Z\n',
    '١٩٧٠-01-01T00:00:00Z',
  ])('%j is refused', (text) => {
    expect(() => parseRecordTime(text)).toThrow(expect.objectContaining({ code: 'RECORD_TIME_INVALID' }));
  });

  test('what RFC 3339 cannot write is refused', () => {
    expect(() => formatRecordTime(RECORD_TIME_MIN - 1n)).toThrow('outside');
    expect(() => formatRecordTime(RECORD_TIME_MAX + 1n)).toThrow('outside');
  });
});

describe('a date', () => {
  test('counts days from 1970', () => {
    const dates = ['1970-01-01', '2000-03-01', '1969-12-31', '0001-01-01', '9999-12-31'];

    expect(dates.map(parseDate)).toEqual([0, 11_017, -1, -719_162, 2_932_896]);
  });

  test.each(['', '1970-1-1', '1970-02-30', '1900-02-29', '0000-01-01', '1970-01-01T00:00:00Z', '1970-01-01\n'])(
    '%j is refused',
    (text) => {
      expect(() => parseDate(text)).toThrow(expect.objectContaining({ code: 'DATE_INVALID' }));
    },
  );
});
