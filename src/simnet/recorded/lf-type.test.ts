import { expect, test } from 'vitest';
import {
  CONTRACT_ID,
  GUESS,
  genMapOf,
  INT,
  type Json,
  microsOfIso,
  optionalOf,
  PARTY,
  TEXT,
  valueOfJson,
} from './lf-type.ts';

const PARTY_ID = `alice::1220${'ab'.repeat(32)}`;

test.each([
  ['1970-01-01T00:00:00Z', 0n],
  ['1970-01-01T00:01:00.000114Z', 60_000_114n],
  ['1969-12-31T23:59:59.999999Z', -1n],
  ['2000-02-29T12:00:00.5Z', 951_825_600_500_000n],
  ['0001-01-01T00:00:00Z', -62_135_596_800_000_000n],
  ['2026-03-01T00:00:00.000001Z', 1_772_323_200_000_001n],
])('%s is %s microseconds', (iso, micros) => {
  expect(microsOfIso(iso)).toBe(micros);
});

test.each(['2026-03-01', '2026-03-01T00:00:00', '2026-03-01T00:00:00.0000001Z', 'now'])('%s is no time', (iso) => {
  expect(() => microsOfIso(iso)).toThrow(expect.objectContaining({ code: 'SIMNET_BAD_RECORDING' }));
});

test('null is None where an optional is described, and generic maps are lists of pairs', () => {
  expect(valueOfJson(null, optionalOf(TEXT)).sum).toEqual({ $case: 'optional', value: { value: undefined } });
  expect(valueOfJson([['1', 'x']], genMapOf(INT, TEXT)).sum).toEqual({
    $case: 'genMap',
    value: {
      entries: [{ key: { sum: { $case: 'int64', value: 1n } }, value: { sum: { $case: 'text', value: 'x' } } }],
    },
  });
});

test.each([
  ['a party', PARTY_ID, 'party'],
  ['a contract id', `00${'cd'.repeat(40)}`, 'contractId'],
  ['a decimal', '1.0000000000', 'numeric'],
  ['a time', '2026-03-01T00:00:00Z', 'time'],
  ['any other text', '1.5', 'text'],
  ['null', null, 'optional'],
  ['a record', { a: 'b' }, 'record'],
  ['a variant', { tag: 'A', value: {} }, 'variant'],
] as const)('without a description %s is guessed', (_name, json, kind) => {
  const expected = kind === 'time' ? 'timestamp' : kind;
  expect(valueOfJson(json as Json, GUESS).sum?.$case).toBe(expected);
});

test('JSON that does not fit its description is refused, unknown fields included', () => {
  const record = {
    kind: 'record',
    id: { packageId: 'p', moduleName: 'M', entityName: 'E' },
    fields: [['a', PARTY]],
  } as const;

  expect(() => valueOfJson(1, CONTRACT_ID)).toThrow(expect.objectContaining({ code: 'SIMNET_BAD_RECORDING' }));
  expect(() => valueOfJson({ a: PARTY_ID, b: 'x' }, record)).toThrow(
    expect.objectContaining({ code: 'SIMNET_BAD_RECORDING' }),
  );
});
