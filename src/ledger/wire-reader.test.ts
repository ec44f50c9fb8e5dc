import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GetUpdatesResponse } from '../gen/com/daml/ledger/api/v2/update_service.ts';
import { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { wireReader } from './wire-reader.ts';

/** What reading gives, an error included. */
function outcomeOf<T>(read: () => T): unknown {
  try {
    return read();
  } catch (error) {
    return `${error}`;
  }
}

test('text reads as the library reads it, malformed and cut off as well', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(4), (text, missing) => {
      const bytes = new BinaryWriter().bytes(text).finish();
      const given = bytes.subarray(0, Math.max(0, bytes.length - missing));

      expect(outcomeOf(() => wireReader(given).string())).toEqual(outcomeOf(() => new BinaryReader(given).string()));
    }),
  );
});

test('text of all scripts, and a byte-order mark, survive', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const bytes = new BinaryWriter().string(`\u{FEFF}${text}`).finish();

      expect(wireReader(bytes).string()).toBe(`\u{FEFF}${text.toWellFormed()}`);
    }),
  );
});

/** An update whose one event carries a value of so many levels, each a record. */
function updateOf(levels: number): Uint8Array {
  let value = Value.fromPartial({ sum: { $case: 'text', value: 'deep' } });
  for (let level = 1; level < levels; level += 1) {
    value = Value.fromPartial({ sum: { $case: 'record', value: { fields: [{ label: 'in', value }] } } });
  }
  const event = { event: { $case: 'exercised' as const, value: { choiceArgument: value } } };
  return GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({ update: { $case: 'transaction', value: { events: [event] } } }),
  ).finish();
}

test('A21: a value as deep as the ledger allows decodes; one that no ledger sends is refused', () => {
  const deepest = updateOf(100);

  for (const input of [deepest, wireReader(deepest)]) {
    expect(GetUpdatesResponse.encode(GetUpdatesResponse.decode(input)).finish()).toEqual(deepest);
  }
  expect(() => GetUpdatesResponse.decode(wireReader(updateOf(200)))).toThrow('recursion limit');
});

test('any bytes decode, or fail to, as the library decodes them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(outcomeOf(() => GetUpdatesResponse.decode(wireReader(bytes)))).toEqual(
        outcomeOf(() => GetUpdatesResponse.decode(bytes)),
      );
    }),
  );
});
