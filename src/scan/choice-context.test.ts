import { describe, expect, it } from 'vitest';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { ChoiceContextError, readChoiceContext } from './choice-context.ts';

function inner(tag: string, value: unknown): Value['sum'] {
  const sum = readChoiceContext({ key: { tag, value } }).get('key')?.sum;
  return sum?.$case === 'variant' && sum.value.constructor === tag ? sum.value.value?.sum : undefined;
}

describe('a choice context', () => {
  it.each<[string, unknown, Value['sum']]>([
    ['AV_Text', 'text', { $case: 'text', value: 'text' }],
    ['AV_Party', 'a::1220', { $case: 'party', value: 'a::1220' }],
    ['AV_ContractId', '00ab', { $case: 'contractId', value: '00ab' }],
    ['AV_Bool', false, { $case: 'bool', value: false }],
    ['AV_Int', '9223372036854775807', { $case: 'int64', value: 9_223_372_036_854_775_807n }],
    ['AV_Int', -3, { $case: 'int64', value: -3n }],
    ['AV_Decimal', '1.5', { $case: 'numeric', value: '1.5000000000' }],
    ['AV_Date', '2026-02-28', { $case: 'date', value: 20_512 }],
    ['AV_Time', '1970-01-01T00:00:01.000002Z', { $case: 'timestamp', value: 1_000_002n }],
  ])('reads %s', (tag, value, expected) => {
    expect(inner(tag, value)).toEqual(expected);
  });

  it('reads lists and maps, whose entries it puts in key order', () => {
    const text = (value: string) => ({ tag: 'AV_Text', value });

    expect(inner('AV_List', [text('a'), text('b')])).toMatchObject({ value: { elements: [{}, {}] } });
    expect(inner('AV_Map', { b: text('2'), a: text('1') })).toMatchObject({
      value: { entries: [{ key: 'a' }, { key: 'b' }] },
    });
    expect(inner('AV_RelTime', { microseconds: '5' })).toMatchObject({ $case: 'record' });
  });

  it.each<[string, unknown]>([
    ['AV_Int', '9223372036854775808'],
    ['AV_Int', 2 ** 53],
    ['AV_Int', 1.5],
    ['AV_Decimal', '1e3'],
    ['AV_Decimal', 1.5],
    ['AV_ContractId', '00AB'],
    ['AV_ContractId', ''],
    ['AV_Bool', 'true'],
    ['AV_Date', '2026-02-29'],
    ['AV_Time', '2026-01-01T24:00:00Z'],
    ['AV_Time', '2026-01-01T00:00:00+01:00'],
    ['AV_Map', []],
    ['AV_Secret', 'x'],
    ['__proto__', 'x'],
  ])('refuses %s %j', (tag, value) => {
    expect(() => readChoiceContext({ key: { tag, value } })).toThrow(ChoiceContextError);
  });

  it('refuses what is nested without end', () => {
    let value: unknown = { tag: 'AV_Text', value: '' };
    for (let depth = 0; depth < 20; depth += 1) value = { tag: 'AV_List', value: [value] };

    expect(() => readChoiceContext({ key: value })).toThrow('nested too deeply');
  });
});
