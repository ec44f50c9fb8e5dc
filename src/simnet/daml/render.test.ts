import { expect, test } from 'vitest';
import { renderRecord } from './render.ts';
import {
  type DamlRecord,
  identifier,
  list,
  optional,
  record,
  recordValue,
  text,
  textMap,
  unit,
  variant,
} from './value.ts';

const id = identifier('p', 'M', 'E');
const labels = (source: DamlRecord): string[] => source.fields.map(({ label }) => label);

test('trailing None fields are cut at every depth, None between others is kept', () => {
  const inner = record(id, {
    a: text('x'),
    b: optional(undefined),
    c: text('y'),
    d: optional(undefined),
    e: optional(undefined),
  });

  const rendered = renderRecord(record(id, { inner: recordValue(inner), last: optional(recordValue(inner)) }), true);

  expect(labels(rendered)).toEqual(['inner', 'last']);
  const [first, last] = rendered.fields.map(({ value }) => value?.sum);
  expect(first?.$case === 'record' && labels(first.value)).toEqual(['a', 'b', 'c']);
  const some = last?.$case === 'optional' ? last.value.value?.sum : undefined;
  expect(some?.$case === 'record' && labels(some.value)).toEqual(['a', 'b', 'c']);
});

test('without verbose no label and no type id is left anywhere, and constructors stay', () => {
  const inner = recordValue(record(id, { a: text('x') }));
  const source = record(id, {
    v: variant(id, 'Some', inner),
    l: list([inner]),
    m: textMap(new Map([['k', inner]])),
    u: unit(),
  });

  const rendered = JSON.stringify(renderRecord(source, false));

  expect(rendered).not.toContain('"M"');
  expect(rendered).not.toContain('"a"');
  expect(rendered).toContain('"constructor":"Some"');
  expect(rendered).toContain('"key":"k"');
});
