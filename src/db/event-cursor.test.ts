import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CursorError, checkEventPoint, formatEventCursor, parseEventCursor } from './event-cursor.ts';

const epoch = '0123456789abcdef0123456789abcdef';

function codeOf(act: () => unknown): string | null {
  try {
    act();
  } catch (error) {
    if (error instanceof CursorError) return error.code;
    throw error;
  }
  return null;
}

describe('event cursor', () => {
  test('every point survives the round trip', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (position) => {
        expect(parseEventCursor(formatEventCursor({ epoch, position }))).toEqual({ epoch, position });
      }),
    );
  });

  test('anything we did not print is refused', () => {
    const good = formatEventCursor({ epoch, position: 7n });
    const encode = (text: string) => Buffer.from(text, 'latin1').toString('base64url');
    const bad = [
      '',
      ' ',
      `${good}=`,
      ` ${good}`,
      `${good}\n`,
      good.slice(0, -1),
      'A'.repeat(10_000),
      encode(`2.${epoch}.7`),
      encode(`1.${epoch}.07`),
      encode(`1.${epoch}.-1`),
      encode(`1.${epoch}.1e3`),
      encode(`1.${epoch}.9223372036854775808`),
      encode(`1..7`),
      encode(`1.${epoch}.7;drop table event`),
      '\u0000',
      '💣',
    ];

    for (const text of bad)
      expect(
        codeOf(() => parseEventCursor(text)),
        JSON.stringify(text),
      ).toBe('CURSOR_INVALID');
  });

  test('arbitrary text is never read as a cursor', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(codeOf(() => parseEventCursor(text))).toBe('CURSOR_INVALID');
      }),
    );
  }, 30_000); // Making such text is what takes its time.

  test('a cursor of another log or from the future is refused with the way on', () => {
    const log = { epoch, head: 5n };
    const facts = {
      startCursor: formatEventCursor({ epoch, position: 0n }),
      headCursor: formatEventCursor({ epoch, position: 5n }),
    };

    expect(() => checkEventPoint({ epoch: 'ff', position: 1n }, log)).toThrow(
      expect.objectContaining({ code: 'CURSOR_FROM_ANOTHER_LOG', facts }),
    );
    expect(() => checkEventPoint({ epoch, position: 6n }, log)).toThrow(
      expect.objectContaining({ code: 'CURSOR_AHEAD', facts }),
    );
    expect(codeOf(() => checkEventPoint({ epoch, position: 5n }, log))).toBeNull();
  });

  test('C3: a cursor of an epoch that has ended is good as far as the present one begins with it', () => {
    const log = { epoch, head: 9n, sharedPosition: 5n };
    const resumeCursor = formatEventCursor({ epoch, position: 5n });

    expect(checkEventPoint({ epoch: 'ff', position: 5n }, log)).toEqual({ epoch, position: 5n });
    expect(() => checkEventPoint({ epoch: 'ff', position: 6n }, log)).toThrow(
      expect.objectContaining({
        code: 'CURSOR_FROM_ANOTHER_LOG',
        facts: expect.objectContaining({ resumeCursor }),
      }),
    );
  });
});
